"""The module's tests inside Slicer. They ask for effects, never for dialogs, which answer by themselves there."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import slicer
import vtk

from CEKWorldLib.gui.requirements import DICOM_EXPORT, SYNTHESIS, installed_version, missing
from CEKWorldLib.gui.sample_data import FILE
from CEKWorldLib.kinetics.curve_type import CurveType
from CEKWorldLib.scene.output_volume import TIME_KEY

_MODULE = "CEKWorld"
_SLICES = slice(10, 14)  # of the sample, through its lesion; all 24 take minutes without a GPU
_TIMES = "0, 45, 90, 180, 300"
_PATIENCE_S = 300.0


class SelfTests:
    """To be mixed into Slicer's ``ScriptedLoadableModuleTest``, which calls every method with "test" in its name.

    One of them reloads the library. What the panel holds then is of other classes than those imported here, so choices
    are set by the panel's own classes, and results compared by name.
    """

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()
        self._open_module()

    def tearDown(self) -> None:
        slicer.mrmlScene.Clear()

    def test_synthesis_is_scrubbed_measured_and_exported(self) -> None:
        if self._lacks_packages():
            return
        panel, volume = self.widget.panel, self._sample()
        self._synthesize(volume)
        self._check_scrubbing()
        results = self._measure_point(volume)
        assert results[0].curve_type.name in CurveType.__members__, "the region has no curve type"
        assert self.widget.ui.curvesTable.rowCount == 1
        self._export()
        panel.export.make_sequence()
        sequence = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSequenceNode")
        assert sequence.GetNumberOfDataNodes() == len(panel.session.times_s)
        assert sequence.GetAttribute("CEKWorld.Synthetic") == "1"

    def test_acquired_series_has_slider_curves_and_overlay(self) -> None:
        parameters = self._parameters()
        parameters.inputNode = self._acquired()
        self.widget.panel.input.show_series()
        session = self.widget.panel.session
        assert session.is_open and not session.series_is_synthetic
        assert len(session.times_s) == 5
        result = self._measure_point(session.output)[0]
        washout = CurveType.WASHOUT.name
        assert result.curve_type.name == washout, f"{result.curve_type} of a curve that falls by a fifth"
        parameters.overlay = type(parameters.overlay).CURVE_TYPES
        assert session.overlay is not None and parameters.overlay.name == "CURVE_TYPES"

    def test_scene_close_leaves_an_empty_panel(self) -> None:
        self._parameters().inputNode = self._acquired()
        self.widget.panel.input.show_series()
        for _round in range(3):
            slicer.mrmlScene.Clear()
            assert not self.widget.panel.session.is_open
            assert not self.widget.ui.timeSlider.enabled
        self._open_module()
        self.test_acquired_series_has_slider_curves_and_overlay()

    def test_reload_goes_on_with_the_scene(self) -> None:
        self._sample()
        self.widget.onReload()
        self._open_module()
        assert self._parameters().inputNode is not None
        assert not self.widget.panel.session.is_open

    # What the tests share

    def _open_module(self) -> None:
        """Opens the module as the user does; without a main window it only learns that it is open."""
        if slicer.util.mainWindow() is not None:
            slicer.util.selectModule(_MODULE)
        self.widget = slicer.util.getModuleWidget(_MODULE)
        if slicer.util.mainWindow() is None:
            self.widget.enter()

    def _synthesize(self, volume: Any) -> None:
        parameters, panel = self._parameters(), self.widget.panel
        parameters.inputNode = volume
        parameters.preset, parameters.times = type(parameters.preset).LIST, _TIMES
        failures: list[str] = []
        panel.run.failed.connect(failures.append)
        self.widget.ui.applyButton.click()
        assert panel.run.is_running, "Apply did not start a synthesis"
        self._wait(lambda: not panel.run.is_running, "the synthesis to end")
        assert not failures, failures
        assert {45.0, 90.0, 180.0, 300.0} <= set(panel.session.times_s), panel.session.times_s

    def _check_scrubbing(self) -> None:
        session, slider = self.widget.panel.session, self.widget.ui.timeSlider
        nodes = slicer.mrmlScene.GetNumberOfNodes()
        for time_s in (60.0, 61.5, 90.0, 250.0, 300.0):
            slider.setValue(time_s)
            self._wait(partial(self._shows, time_s), f"t = {time_s} s to be shown")
        assert slicer.mrmlScene.GetNumberOfNodes() == nodes, "scrubbing made nodes"
        assert "SYNTHETIC" in session.caption.text
        slider.setValue(123.0)
        self._wait(lambda: "exact" in self.widget.ui.shownLabel.text, "the exact volume of a time between phases")

    def _measure_point(self, volume: Any) -> list:
        points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "spot")
        points.CreateDefaultDisplayNodes()
        bounds = [0.0] * 6
        volume.GetRASBounds(bounds)
        points.AddControlPoint([(bounds[2 * n] + bounds[2 * n + 1]) / 2 for n in range(3)])
        self._parameters().regionNode = points
        results = self.widget.panel.meter.results
        assert len(results) == 1, self.widget.ui.curvesStatusLabel.text
        return results

    def _export(self) -> None:
        from DICOMLib import DICOMUtils

        if missing(DICOM_EXPORT):
            self._say("pydicom 3 or highdicom is missing: the export is not tested")
            return
        with DICOMUtils.TemporaryDICOMDatabase() as database:
            self.widget.panel.export.export_dicom()
            patient = database.patients()[0]
            series = [uid for study in database.studiesForPatient(patient) for uid in database.seriesForStudy(study)]
            # Each phase, the regions and the report.
            assert len(series) == len(self.widget.panel.session.times_s) + 2, series

    def _sample(self) -> Any:
        volume = slicer.util.loadVolume(str(FILE))
        slicer.util.updateVolumeFromArray(volume, slicer.util.arrayFromVolume(volume)[_SLICES].copy())
        return volume

    def _acquired(self) -> Any:
        """A sequence of noise-free phases that rise fast and wash out."""
        sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "acquired")
        sequence.SetIndexName("time")
        sequence.SetIndexUnit("s")
        sequence.SetIndexTypeFromString("numeric")
        for time_s, signal in ((0.0, 100.0), (60.0, 210.0), (90.0, 250.0), (180.0, 230.0), (360.0, 190.0)):
            image = vtk.vtkImageData()
            image.SetDimensions(16, 16, 8)
            image.AllocateScalars(vtk.VTK_FLOAT, 1)
            image.GetPointData().GetScalars().Fill(signal)
            phase = slicer.vtkMRMLScalarVolumeNode()
            phase.SetAndObserveImageData(image)
            sequence.SetDataNodeAtValue(phase, f"{time_s:g}")
        return sequence

    def _parameters(self) -> Any:
        return self.widget.parameters

    def _shows(self, time_s: float) -> bool:
        return float(self.widget.panel.session.output.GetAttribute(TIME_KEY)) == time_s

    def _lacks_packages(self) -> bool:
        lacking = missing(SYNTHESIS) + ([] if installed_version("torch") else ["torch"])
        if lacking:
            self._say(f"missing: {', '.join(lacking)}; synthesis is not tested")
        return bool(lacking)

    def _say(self, message: str) -> None:
        print(f"SKIPPED: {message}")  # Slicer's runTest takes any exception for a failure, unittest's SkipTest too
        self.delayDisplay(message)  # type: ignore[attr-defined]

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        """Serves the user until something is so."""
        end = time.monotonic() + _PATIENCE_S
        while not condition():
            assert time.monotonic() < end, f"waited in vain for {what}"
            slicer.app.processEvents()
            time.sleep(0.01)
