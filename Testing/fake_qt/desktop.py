"""Slicer around the module: the application, its utilities, the DICOM database. ``Desktop`` is what a test holds."""

from __future__ import annotations

import importlib.util
import sys
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import SimpleITK as sitk
import slicer
import vtk

from CEKWorldLib.scene.standalone import StandaloneScene

from . import event_loop, parameter_node, scripted_module, widgets
from .objects import QObject
from .ui_file import load_ui, named_widgets

MODULE = Path(__file__).resolve().parents[2] / "CEKWorld"
_FRAMES = "MultiVolume.NumberOfFrames"


def _module(name: str, **contents: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(contents)
    sys.modules[name] = module
    return module


class _Keys:
    def __init__(self, text: str) -> None:
        self.text = text


class _Settings:
    values: dict[str, Any] = {}

    def setValue(self, name: str, value: Any) -> None:
        self.values[name] = value


class _FileDialog:
    answers: list[str] = []

    @staticmethod
    def getExistingDirectory(parent: Any, title: str) -> str:
        return _FileDialog.answers.pop(0)

    @staticmethod
    def getSaveFileName(parent: Any, title: str, name: str, kinds: str) -> str:
        return _FileDialog.answers.pop(0)


def _install() -> None:
    """Makes ``import qt`` and the like work. The library's files keep what they imported, so this is for good."""
    names = [name for name in dir(widgets) if name.startswith("Q")]
    qt = _module("qt", **{name: getattr(widgets, name) for name in names})
    for name in ("QTimer", "QProcess", "QProcessEnvironment", "QByteArray"):
        setattr(qt, name, getattr(event_loop, name))
    qt.QKeySequence, qt.QSettings, qt.QFileDialog = _Keys, _Settings, _FileDialog
    qt.Qt = SimpleNamespace(
        WidgetWithChildrenShortcut=1, ApplicationModal=2, WA_QuitOnClose=76, Horizontal=1, Unchecked=0, Checked=2
    )
    _module("ctk", ctkCollapsibleButton=widgets.ctkCollapsibleButton, ctkDoubleSlider=widgets.ctkDoubleSlider)
    _module("slicer.i18n", tr=lambda text: text, translate=lambda context, text: text)
    _module(
        "slicer.parameterNodeWrapper",
        parameterNodeWrapper=parameter_node.parameterNodeWrapper,
        WithinRange=parameter_node.WithinRange,
    )
    bases = {name: base for name, base in vars(scripted_module).items() if name.startswith("ScriptedLoadable")}
    _module("slicer.ScriptedLoadableModule", **bases)
    editor = SimpleNamespace(qMRMLSegmentEditorWidget=widgets.qMRMLSegmentEditorWidget)
    _module("qSlicerSegmentationsModuleWidgetsPythonQt", **vars(editor))


_install()


class ProgressDialog(widgets.QWidget):
    PROPERTIES = {"labelText": "", "maximum": 100, "value": 0, "wasCanceled": False}

    def setAttribute(self, attribute: int, on: bool) -> None: ...


class Database:
    """The DICOM database: files by their UIDs."""

    def __init__(self) -> None:
        self.isOpen = True
        self.headers: dict[str, Any] = {}
        self._files: dict[str, str] = {}

    def take(self, folder: str) -> None:
        """Copies headers; the files themselves may go."""
        from pydicom import dcmread

        for path in sorted(Path(folder).rglob("*.dcm")):
            header = dcmread(path, stop_before_pixels=True)
            self.headers[header.SOPInstanceUID] = header
            self._files[header.SOPInstanceUID] = str(path)

    def fileForInstance(self, uid: str) -> str:
        return self._files.get(uid, "")

    def patients(self) -> list[str]:
        return sorted({str(header.PatientID) for header in self.headers.values()})

    def studiesForPatient(self, patient: str) -> list[str]:
        return sorted({h.StudyInstanceUID for h in self.headers.values() if h.PatientID == patient})

    def seriesForStudy(self, study: str) -> list[str]:
        return sorted({h.SeriesInstanceUID for h in self.headers.values() if h.StudyInstanceUID == study})


class View:
    """What the panel needs of a ``ctkVTKAbstractView``."""

    def __init__(self) -> None:
        self.paused = 0
        self._window = _render_window()

    def renderWindow(self) -> vtk.vtkRenderWindow:
        return self._window

    def pauseRender(self) -> int:
        self.paused += 1
        return self.paused

    def resumeRender(self) -> int:
        assert self.paused > 0, "Cannot resume rendering, pause render count is already 0!"
        self.paused -= 1
        return self.paused


class LayoutManager(QObject):
    """Three slice views and a 3-D view, and a plot view in layouts that have one."""

    PROPERTIES = {
        "layout": slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView,
        "plotViewCount": 1,
        "threeDViewCount": 1,
    }
    SIGNALS = ("layoutChanged(int)",)
    TELLS = {"layout": "layoutChanged(int)"}

    def __init__(self, desktop: Desktop) -> None:
        super().__init__()
        self._slice_views = {name: View() for name in ("Red", "Green", "Yellow")}
        self._volume_view = View()
        self._plot_view = desktop.scene.AddNewNodeByClass("vtkMRMLPlotViewNode")

    def setLayout(self, layout: int, new_views: tuple[str, ...] = ()) -> None:
        """A layout makes the slice views it needs; which ones, the test says."""
        self._slice_views.update({name: View() for name in new_views})
        self.layout = layout

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self._slice_views)

    def sliceWidget(self, name: str) -> Any:
        return SimpleNamespace(sliceView=lambda: self._slice_views[name])

    def threeDWidget(self, number: int) -> Any:
        return SimpleNamespace(threeDView=lambda: self._volume_view)

    @property
    def views(self) -> list[View]:
        return [*self._slice_views.values(), self._volume_view]

    def captions(self, name: str) -> list[str]:
        """The texts that lie over a slice view."""
        _image, overlay = self._slice_views[name].renderWindow().GetRenderers()
        return [actor.GetInput() for actor in overlay.GetViewProps()]

    def plotWidget(self, number: int) -> Any:
        return SimpleNamespace(mrmlPlotViewNode=lambda: self._plot_view)


def _render_window() -> vtk.vtkRenderWindow:
    """A slice view's: a renderer of the image, and one of what lies over it. Nothing is drawn."""
    window = vtk.vtkRenderWindow()
    window.SetNumberOfLayers(2)
    for layer in range(2):
        renderer = vtk.vtkRenderer()
        renderer.SetLayer(layer)
        window.AddRenderer(renderer)
    return window


class Desktop:
    """Slicer with the module loaded.

    Args:
        patch: pytest's ``monkeypatch``, which takes everything back that is put into ``slicer``.
        main_window: whether there is one.

    Attributes:
        scene: ``slicer.mrmlScene``.
        errors, statuses, texts, copied: what was shown to the user.
        confirms: the user's answer to questions.
        dialogs: his answers to file dialogs.
    """

    def __init__(self, patch: Any, main_window: bool = True) -> None:
        self._patch = patch
        self._standalone = StandaloneScene()
        self.scene = self._standalone.scene
        self.scene.AddNode(slicer.vtkMRMLInteractionNode())
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene)
        for name in ("Red", "Green", "Yellow"):
            self._add_view(name)
        self.errors: list[str] = []
        self.statuses: list[str] = []
        self.texts: list[str] = []
        self.copied = ""
        self.confirms = True
        self.database = Database()
        self.dialogs = _FileDialog.answers = []
        self.settings = _Settings.values = {}
        self.layout_manager = LayoutManager(self) if main_window else None
        self.module: ModuleType | None = None
        self.widget: Any = None
        self._put_into_slicer()

    @property
    def panel(self) -> Any:
        return self.widget.panel

    @property
    def ui(self) -> Any:
        return self.widget.ui

    @property
    def parameters(self) -> Any:
        return self.widget.parameters

    def load_module(self) -> Any:
        """As Slicer does at start-up and when the user opens the module."""
        spec = importlib.util.spec_from_file_location("CEKWorld", MODULE / "CEKWorld.py")
        self.module = sys.modules["CEKWorld"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)
        scripted_module.ScriptedLoadableModuleWidget.path = MODULE
        self.description = self.module.CEKWorld(SimpleNamespace())
        self.widget = self.module.CEKWorldWidget(SimpleNamespace(isEntered=False))
        self.widget.setup()
        self.widget.parent.isEntered = True
        self.widget.enter()
        return self.widget

    def close(self) -> None:
        if self.widget is not None:
            self.widget.cleanup()
            self.widget = None

    def load_volume(self, path: str) -> Any:
        image = sitk.ReadImage(path)
        node = self.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", Path(path).stem)
        from CEKWorldLib.exam.volume import Volume
        from CEKWorldLib.scene.geometry import set_geometry
        from CEKWorldLib.scene.images import image_of

        volume = Volume.from_image(image)
        node.SetAndObserveImageData(image_of(volume.voxels))
        set_geometry(node, volume)
        return node

    def wait_until(self, condition: Any, what: str, seconds: float = 120.0) -> None:
        event_loop.wait_until(condition, seconds, what)

    def _add_view(self, name: str) -> None:
        nodes = [self.scene.CreateNodeByClass(kind) for kind in ("vtkMRMLSliceNode", "vtkMRMLSliceCompositeNode")]
        for node in nodes:
            node.UnRegister(None)
            node.SetSingletonTag(name)
            self.scene.AddNode(node)
        nodes[0].SetOrientation({"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}[name])

    def _put_into_slicer(self) -> None:
        put = lambda name, value: self._patch.setattr(slicer, name, value, raising=False)  # noqa: E731
        put("mrmlScene", self.scene)
        put("dicomDatabase", self.database)
        selection = self.scene.GetFirstNodeByClass("vtkMRMLSelectionNode")
        interaction = self.scene.GetFirstNodeByClass("vtkMRMLInteractionNode")
        logic = SimpleNamespace(GetSelectionNode=lambda: selection, GetInteractionNode=lambda: interaction)
        clipboard = SimpleNamespace(setText=lambda text: setattr(self, "copied", text))
        application = SimpleNamespace(
            layoutManager=lambda: self.layout_manager,
            applicationLogic=lambda: logic,
            clipboard=lambda: clipboard,
            processEvents=event_loop.process_events,
            connect=lambda signature, slot: True,
        )
        put("app", application)
        put("modules", SimpleNamespace())
        utilities = {
            "loadUI": load_ui,
            "childWidgetVariables": named_widgets,
            "errorDisplay": lambda text, **_: self.errors.append(text),
            "infoDisplay": lambda text, detailedText="", **_: self.texts.append(f"{text}\n{detailedText}"),
            "confirmOkCancelDisplay": lambda text, **_: self.confirms,
            "showStatusMessage": lambda text, _ms=0: self.statuses.append(text),
            "settingsValue": lambda name, default: self.settings.get(name, default),
            "mainWindow": lambda: None,
            "createProgressDialog": lambda **words: ProgressDialog(),
            "loadVolume": self.load_volume,
            "getModuleWidget": lambda name: self.widget,
            "reloadScriptedModule": lambda name: self._reload(),
            "updateVolumeFromArray": _replace_voxels,
        }
        for name, value in utilities.items():
            self._patch.setattr(slicer.util, name, value, raising=False)
        self._patch.setitem(sys.modules, "DICOMLib", SimpleNamespace(DICOMUtils=_DicomUtils(self)))

    def _reload(self) -> None:
        self.close()
        self.load_module()


class _DicomUtils:
    def __init__(self, desktop: Desktop) -> None:
        self._desktop = desktop

    def importDicom(self, folder: str, database: Database, copyFiles: bool = False) -> bool:
        database.take(folder)
        return True

    @contextmanager
    def TemporaryDICOMDatabase(self):
        before, slicer.dicomDatabase = slicer.dicomDatabase, Database()
        try:
            yield slicer.dicomDatabase
        finally:
            slicer.dicomDatabase = before


def _replace_voxels(node: Any, voxels: np.ndarray) -> None:
    from CEKWorldLib.scene.images import image_of

    node.SetAndObserveImageData(image_of(np.ascontiguousarray(voxels)))
