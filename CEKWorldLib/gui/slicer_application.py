"""The panel's application in 3D Slicer. All of it works without a main window, where there is nothing to show it in."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.gui.connections import Connections
from CEKWorldLib.gui.drawing_turns import View

_SETTINGS = "CEKWorld"
_PLOT_LAYOUT = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotView


class SlicerApplication:
    """See ``application.Application``."""

    def __init__(self) -> None:
        self.scene = slicer.mrmlScene
        self._connections = Connections()
        self._own_layout: int | None = None
        self._users_layout: int | None = None

    def show_error(self, text: str) -> None:
        slicer.util.errorDisplay(text, windowTitle="CEKWorld")

    def show_status(self, text: str) -> None:
        slicer.util.showStatusMessage(text, 5000)

    def confirm(self, question: str) -> bool:
        return slicer.util.confirmOkCancelDisplay(question, windowTitle="CEKWorld")

    def show_text(self, title: str, text: str) -> None:
        slicer.util.infoDisplay(title, windowTitle="CEKWorld", detailedText=text)

    def choose_folder(self, title: str) -> Path | None:
        chosen = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title)
        return Path(chosen) if chosen else None

    def choose_file_to_save(self, title: str, name: str, kinds: str) -> Path | None:
        chosen = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, name, kinds)
        return Path(chosen) if chosen else None

    def copy_text(self, text: str) -> None:
        slicer.app.clipboard().setText(text)

    def busy(self, title: str) -> ProgressDialog:
        return ProgressDialog(title)

    def setting(self, name: str, default: str) -> str:
        return slicer.util.settingsValue(f"{_SETTINGS}/{name}", default)

    def keep_setting(self, name: str, value: str) -> None:
        qt.QSettings().setValue(f"{_SETTINGS}/{name}", value)

    def views(self) -> list[View]:
        manager = slicer.app.layoutManager()
        if manager is None:
            return []
        slices = [manager.sliceWidget(name).sliceView() for name in manager.sliceViewNames()]
        return [*slices, *(manager.threeDWidget(n).threeDView() for n in range(manager.threeDViewCount))]

    def slice_renderers(self) -> list[Any]:
        manager = slicer.app.layoutManager()
        if manager is None:
            return []
        windows = (manager.sliceWidget(name).sliceView().renderWindow() for name in manager.sliceViewNames())
        return [max(window.GetRenderers(), key=lambda renderer: renderer.GetLayer()) for window in windows]

    def show_chart(self, chart: Any) -> None:
        manager = slicer.app.layoutManager()
        if manager is None:
            return
        if manager.layout != _PLOT_LAYOUT:
            self._users_layout, self._own_layout = manager.layout, _PLOT_LAYOUT
            manager.setLayout(_PLOT_LAYOUT)
        for n in range(manager.plotViewCount):
            manager.plotWidget(n).mrmlPlotViewNode().SetPlotChartNodeID(chart.GetID())

    def follow_layout(self, act: Callable[[], None] | None) -> None:
        self._connections.end()
        manager = slicer.app.layoutManager()
        if manager is not None and act is not None:
            self._connections.add(manager, "layoutChanged(int)", act)

    def restore_layout(self) -> None:
        manager = slicer.app.layoutManager()
        if manager is not None and self._users_layout is not None and manager.layout == self._own_layout:
            manager.setLayout(self._users_layout)
        self._own_layout = self._users_layout = None

    def place(self, node: Any) -> None:
        logic = slicer.app.applicationLogic()
        selection, interaction = logic.GetSelectionNode(), logic.GetInteractionNode()
        selection.SetReferenceActivePlaceNodeClassName(node.GetClassName())
        selection.SetReferenceActivePlaceNodeID(node.GetID())
        interaction.SetPlaceModePersistence(0)
        interaction.SetCurrentInteractionMode(interaction.Place)

    def file_of_instance(self, uid: str) -> str:
        database = _open_database()
        return database.fileForInstance(uid) if database is not None else ""

    def import_dicom(self, folder: Path) -> None:
        from DICOMLib import DICOMUtils

        database = _open_database()
        if database is None:
            raise CEKWorldError(_("The DICOM database is not open; open the module DICOM once, and try again."))
        if not DICOMUtils.importDicom(str(folder), database, copyFiles=True):
            raise CEKWorldError(_("The DICOM database did not take the images; the error log says why."))
        logging.info("Images were imported into the DICOM database")


def _open_database() -> Any | None:
    """The DICOM database; ``slicer`` has none where the module DICOM is switched off or has not been set up yet."""
    database = getattr(slicer, "dicomDatabase", None)
    return database if database is not None and database.isOpen else None


class ProgressDialog:
    """A modal dialog with a button to cancel; see ``application.BusyDialog``.

    It is modal so that nothing else can be begun while events are processed here.
    """

    def __init__(self, title: str) -> None:
        self._dialog = slicer.util.createProgressDialog(
            windowTitle="CEKWorld", labelText=title, maximum=100, autoClose=False
        )
        self._dialog.windowModality = qt.Qt.ApplicationModal
        # Without a main window it is the last window, whose end would end all event loops, the DICOM importer's too.
        self._dialog.setAttribute(qt.Qt.WA_QuitOnClose, False)

    def report(self, what: str, done: int, total: int) -> bool:
        self._dialog.labelText = what
        self._dialog.maximum = total
        self._dialog.value = done
        slicer.app.processEvents()
        return not self._dialog.wasCanceled

    def close(self) -> None:
        self._dialog.close()
        self._dialog.deleteLater()
