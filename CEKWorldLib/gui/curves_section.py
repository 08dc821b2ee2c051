"""The section Curves: what is measured, the table, the plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.gui.application import Application
from CEKWorldLib.gui.connections import Connections
from CEKWorldLib.gui.curve_measuring import CurveMeter
from CEKWorldLib.gui.curve_table import as_text
from CEKWorldLib.gui.curves_table_widget import fill_table
from CEKWorldLib.gui.exporting import statistics_beside, write_tables
from CEKWorldLib.gui.parameters import Parameters
from CEKWorldLib.gui.segment_editor import SegmentEditor
from CEKWorldLib.gui.showing_errors import errors_shown
from CEKWorldLib.gui.widgets import say
from CEKWorldLib.kinetics.roi import RoiResult
from CEKWorldLib.scene.scene_session import SceneSession


class CurvesSection:
    """Regions to draw and choose, and what their curves say.

    Args:
        ui: the panel's widgets.
        application: around the panel.
        session: what holds the series.
        meter: measures the regions.
    """

    def __init__(self, ui: Any, application: Application, session: SceneSession, meter: CurveMeter) -> None:
        self._ui = ui
        self._application = application
        self._session = session
        self._meter = meter
        self._parameters: Parameters | None = None
        self._chosen: tuple[Any, ...] = ()
        self.editor = SegmentEditor(ui.segmentEditorGroupBox.layout(), application.scene)
        meter.measured.connect(self._show)
        meter.failed.connect(lambda sentence: self._show([], sentence))
        self._connections = Connections()
        add = self._connections.add
        add(ui.newSegmentButton, "clicked()", self.new_segment)
        add(ui.newBoxButton, "clicked()", lambda: self.new_markup("vtkMRMLMarkupsROINode", _("Box")))
        add(ui.newCurveButton, "clicked()", lambda: self.new_markup("vtkMRMLMarkupsClosedCurveNode", _("Curve")))
        add(ui.newPointButton, "clicked()", lambda: self.new_markup("vtkMRMLMarkupsFiducialNode", _("Point")))
        add(ui.hoverCheckBox, "toggled(bool)", self._follow_mouse)
        add(ui.showPlotButton, "clicked()", self.show_plot)
        add(ui.copyButton, "clicked()", self.copy)
        add(ui.saveCsvButton, "clicked()", self.save)
        self._show([])

    def set_parameters(self, parameters: Parameters | None) -> None:
        self._parameters = parameters
        self._chosen = ()

    def update(self) -> None:
        """Measures the chosen region, where it or how it is measured has changed."""
        parameters = self._parameters
        if parameters is None:
            return
        node = parameters.regionNode
        tissue = parameters.tissueNode
        session = self._session
        chosen = (node, tissue, parameters.mode, parameters.followRegion, session.settings, session.is_open)
        if chosen == self._chosen:
            return
        self._chosen = chosen
        self._meter.mode = parameters.mode.mode
        if node is None:
            self._show([])
        elif node.IsA("vtkMRMLSegmentationNode") and session.is_open:
            self.editor.edit(node, session.output)
        self._meter.choose(node, tissue, parameters.followRegion)

    def new_segment(self) -> None:
        """Makes a segmentation with an empty segment, ready to be painted."""
        with errors_shown(self._application):
            output = self._output()
            node = self._application.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", _("Regions"))
            node.CreateDefaultDisplayNodes()
            node.SetReferenceImageGeometryParameterFromVolumeNode(output)
            node.GetSegmentation().AddEmptySegment("", _("Region"))
            self._choose(node)
            self._ui.segmentEditorGroupBox.collapsed = False

    def new_markup(self, class_name: str, name: str) -> None:
        """Makes a markup and has the user place it."""
        with errors_shown(self._application):
            self._output()
            scene = self._application.scene
            node = scene.AddNewNodeByClass(class_name, scene.GenerateUniqueName(name))
            node.CreateDefaultDisplayNodes()
            self._choose(node)
            self._application.place(node)

    def show_plot(self) -> None:
        self._application.show_chart(self._session.chart.node)

    def copy(self) -> None:
        self._application.copy_text(as_text(self._meter.results, self._session.series_is_synthetic))
        self._application.show_status(_("The table was copied to the clipboard."))

    def save(self) -> None:
        with errors_shown(self._application):
            chosen = self._application.choose_file_to_save(_("Save curves"), "curves.csv", _("Curves (*.csv)"))
            if chosen is not None and self._may_write(statistics_beside(chosen)):
                written = write_tables(chosen, self._meter.results, self._session.series_is_synthetic)
                names = ", ".join(path.name for path in written)
                self._application.show_status(_("Written: {names}").format(names=names))

    def _may_write(self, path: Path) -> bool:
        """Asks before a file is replaced that the user has not chosen himself."""
        question = _("'{name}' is there already. Replace it?").format(name=path.name)
        return not path.exists() or self._application.confirm(question)

    def enter(self) -> None:
        """The module is opened."""
        self.editor.enter()
        self.follow_mouse()

    def follow_mouse(self) -> None:
        """Shows the curve of the voxel under the mouse where the user has chosen so."""
        self._follow_mouse(self._ui.hoverCheckBox.checked)

    def exit(self) -> None:
        """Another module is opened."""
        self.editor.exit()
        self._follow_mouse(False)

    def forget(self) -> None:
        """The scene is being closed."""
        self.editor.forget()
        self._chosen = ()
        self._ui.hoverCheckBox.setChecked(False)
        self._show([])

    def close(self) -> None:
        self._connections.end()

    def _choose(self, node: Any) -> None:
        if self._parameters is not None:
            self._parameters.regionNode = node

    def _output(self) -> Any:
        if not self._session.is_open:
            raise CEKWorldError(_("There is no series yet; synthesize one, or show an acquired one."))
        return self._session.output

    def _follow_mouse(self, on: bool) -> None:
        if self._session.is_open:
            self._session.follow_mouse(on)

    def _show(self, results: list[RoiResult], remark: str = "") -> None:
        fill_table(self._ui.curvesTable, results)
        definition = results[0].settings.description() if results else ""
        say(self._ui.curvesStatusLabel, remark or definition)
        for button in (self._ui.showPlotButton, self._ui.copyButton, self._ui.saveCsvButton):
            button.setEnabled(bool(results))
