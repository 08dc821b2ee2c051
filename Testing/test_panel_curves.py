"""Curves in the panel, of synthesized and of acquired series."""

from __future__ import annotations

import re

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
import vtk
from in_process_worker import InProcessTransport
from panel_exam import add_exam, add_point, add_sequence
from panel_user import cells, choose_exam, synthesize
from vtk.util.numpy_support import vtk_to_numpy

from CEKWorldLib.gui.choices import CurveMode, OverlayChoice
from CEKWorldLib.kinetics.curve_type import CurveType
from CEKWorldLib.scene.images import array_of
from CEKWorldLib.worker.messages import Synthesize

# Curves


def test_a_point_gives_a_row_with_a_chip_and_follows_edits(desktop):
    node = synthesize(desktop)
    points = add_point(desktop.scene, node)
    desktop.parameters.regionNode = points
    assert desktop.ui.curvesTable.rowCount == 1
    row = cells(desktop)
    assert row[0] == "spot" and row[2] in ("persistent", "plateau", "washout") and row[9] == "9 / 9"
    assert desktop.ui.curvesTable.item(0, 2).background() is not None
    points.AddControlPoint([-30.0, -30.0, 2.0], "second")
    desktop.wait_until(lambda: desktop.ui.curvesTable.rowCount == 2, "the second point")
    assert "of the signal at t_e" in desktop.ui.curvesStatusLabel.text


def test_definitions_change_the_class_at_once(desktop):
    desktop.parameters.inputNode = add_sequence(desktop.scene)
    desktop.ui.showSeriesButton.click()
    desktop.parameters.regionNode = add_point(desktop.scene, desktop.panel.session.output)
    assert cells(desktop)[2] == "washout"  # 250 -> 190 is 24 % of the signal
    desktop.ui.bandSpinBox.setValue(30.0)
    assert cells(desktop)[2] == "plateau"
    desktop.parameters.mode = CurveMode.HOTTEST
    assert desktop.panel.meter.results[0].mode == "hottest"


def test_all_definitions_of_the_command_line_reach_the_curves(desktop):
    desktop.parameters.inputNode = add_sequence(desktop.scene)
    desktop.ui.showSeriesButton.click()
    desktop.parameters.regionNode = add_point(desktop.scene, desktop.panel.session.output)
    first = desktop.panel.meter.results[0]
    assert (first.settings.t_l_s, first.settings.arrival_s, first.settings.noise_sd) == (None, None, None)
    desktop.ui.lateTimeSpinBox.setValue(180.0)
    assert desktop.panel.meter.results[0].statistics.t_l_s == 180.0 and cells(desktop)[2] == "plateau"  # 250 -> 230
    desktop.ui.seriesArrivalSpinBox.setValue(30.0)
    desktop.ui.noiseSpinBox.setValue(2.0)
    settings = desktop.panel.meter.results[0].settings
    assert (settings.arrival_s, settings.noise_sd) == (30.0, 2.0)
    desktop.ui.noiseSpinBox.setValue(60.0)  # the baseline of 100 lies below three of it
    assert cells(desktop)[2] == "not evaluable"


def test_a_reference_tissue_gives_each_region_its_relative_enhancement_and_is_followed(desktop):
    desktop.parameters.inputNode = add_sequence(desktop.scene)
    desktop.ui.showSeriesButton.click()
    output = desktop.panel.session.output
    desktop.parameters.regionNode = add_point(desktop.scene, output)
    assert cells(desktop)[5] == "-"
    tissue = add_point(desktop.scene, output, "muscle")
    desktop.ui.tissueSelector.setCurrentNode(tissue)
    assert cells(desktop)[5] == "1.00" and desktop.panel.meter.results[0].reference == "muscle"
    assert "muscle" in desktop.ui.curvesTable.item(0, 5).toolTip()
    tissue.AddControlPoint([0.0, 0.0, 0.0], "second")
    desktop.wait_until(lambda: "must be one region" in desktop.ui.curvesStatusLabel.text, "the refusal")
    desktop.ui.tissueSelector.setCurrentNode(None)
    assert cells(desktop)[5] == "-"


@pytest.mark.parametrize("kind", ["point", "segment"])
def test_a_region_that_a_transform_moves_is_measured_where_it_lies_now(desktop, kind):
    node = synthesize(desktop)
    region = add_point(desktop.scene, node)
    if kind == "segment":
        ball, bounds = vtk.vtkSphereSource(), [0.0] * 6
        node.GetRASBounds(bounds)
        ball.SetCenter(np.reshape(bounds, (3, 2)).mean(1).tolist())
        ball.SetRadius(4.0)
        ball.Update()
        region = desktop.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "ball")
        region.AddSegmentFromClosedSurfaceRepresentation(ball.GetOutput(), "ball")
    desktop.parameters.regionNode = region
    before = desktop.panel.meter.results[0].enhancement
    move, far = desktop.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode"), vtk.vtkMatrix4x4()
    region.SetAndObserveTransformNodeID(move.GetID())
    far.SetElement(0, 3, 4000.0)
    move.SetMatrixTransformToParent(far)
    desktop.wait_until(lambda: not desktop.panel.meter.results, "word that it lies outside")
    move.SetMatrixTransformToParent(vtk.vtkMatrix4x4())
    desktop.wait_until(lambda: desktop.panel.meter.results, "its curve")
    np.testing.assert_array_equal(desktop.panel.meter.results[0].enhancement, before)


def test_the_overlay_of_curve_types_follows_the_definitions_once_they_are_settled(desktop):
    desktop.parameters.inputNode = add_sequence(desktop.scene)
    desktop.ui.showSeriesButton.click()
    desktop.parameters.overlay = OverlayChoice.CURVE_TYPES
    composite = desktop.scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    types = lambda: set(  # noqa: E731
        np.unique(array_of(desktop.scene.GetNodeByID(composite.GetForegroundVolumeID()).GetImageData())).tolist()
    )
    assert types() == {CurveType.WASHOUT}
    desktop.ui.bandSpinBox.setValue(30.0)
    assert types() == {CurveType.WASHOUT}
    desktop.wait_until(lambda: types() == {CurveType.PLATEAU}, "the overlay by the new definition")


def test_an_empty_region_is_told_and_disables_the_buttons(desktop):
    synthesize(desktop)
    desktop.ui.newPointButton.click()
    assert "still empty" in desktop.ui.curvesStatusLabel.text
    assert not desktop.ui.copyButton.enabled
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    selection = slicer.app.applicationLogic().GetSelectionNode()
    assert selection.GetActivePlaceNodeID() == desktop.parameters.regionNode.GetID()


@pytest.mark.parametrize("button", ["newSegmentButton", "newBoxButton", "newCurveButton", "newPointButton"])
def test_a_region_cannot_be_drawn_before_there_is_a_series(desktop, button):
    getattr(desktop.ui, button).click()
    assert "no series yet" in desktop.errors[0]
    assert desktop.parameters.regionNode is None


def curve_names(desktop) -> list[str]:
    """The lines of the chart that are curves of regions."""
    chart = desktop.panel.session.chart.node
    names = [chart.GetNthPlotSeriesNode(n).GetName() for n in range(chart.GetNumberOfPlotSeriesNodes())]
    return [name for name in names if name not in ("time cursor", "t_e", "t_l")]


def test_a_region_that_is_emptied_is_in_the_plot_no_more(desktop):
    desktop.parameters.inputNode = add_sequence(desktop.scene)
    desktop.ui.showSeriesButton.click()
    points = desktop.parameters.regionNode = add_point(desktop.scene, desktop.panel.session.output)
    assert curve_names(desktop) == ["spot"]
    points.RemoveAllControlPoints()
    desktop.wait_until(lambda: "still empty" in desktop.ui.curvesStatusLabel.text, "the empty region")
    assert curve_names(desktop) == [] and desktop.ui.curvesTable.rowCount == 0


def test_a_point_whose_place_was_taken_back_is_not_measured_and_those_after_it_are(desktop):
    desktop.parameters.inputNode = add_sequence(desktop.scene)
    desktop.ui.showSeriesButton.click()
    points = add_point(desktop.scene, desktop.panel.session.output)
    for name in ("second", "third"):
        points.AddControlPoint(points.GetNthControlPointPosition(0), name)
    points.UnsetNthControlPointPosition(1)
    desktop.parameters.regionNode = points
    assert [cells(desktop, row)[0] for row in range(desktop.ui.curvesTable.rowCount)] == ["spot", "third"]


def test_the_mouse_is_followed_from_the_first_series_on_where_that_was_chosen_before(desktop):
    desktop.ui.hoverCheckBox.click()
    desktop.parameters.inputNode = add_sequence(desktop.scene)
    desktop.ui.showSeriesButton.click()
    origin = desktop.panel.session.output.GetOrigin()
    desktop.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode").SetCursorPositionRAS(list(origin))
    assert curve_names(desktop) == ["voxel"]


def test_the_plot_counts_from_the_first_phase_before_and_after_a_region_where_the_injection_is_not_known(desktop):
    sequence = desktop.parameters.inputNode = add_sequence(desktop.scene, unit="", times_s=(0, 1, 2, 3, 4))
    sequence.SetAttribute("MultiVolume.FrameLabels", "0,60000,90000,180000,360000")
    sequence.SetAttribute("MultiVolume.FrameIdentifyingDICOMTagName", "AcquisitionTime")
    desktop.ui.showSeriesButton.click()
    chart = desktop.panel.session.chart.node
    assert chart.GetXAxisTitle() == "time after the first phase (s)"
    desktop.parameters.regionNode = add_point(desktop.scene, desktop.panel.session.output)
    assert chart.GetXAxisTitle() == "time after the first phase (s)"
    synthesize(desktop)
    assert desktop.panel.session.chart.node.GetXAxisTitle() == "time after injection (s)"


def test_a_new_segment_is_edited_on_the_series(desktop):
    synthesize(desktop)
    desktop.ui.newSegmentButton.click()
    node = desktop.parameters.regionNode
    assert node.IsA("vtkMRMLSegmentationNode") and node.GetSegmentation().GetNumberOfSegments() == 1
    editor = desktop.panel.curves.editor._widget
    assert editor.segmentationNode() is node and not desktop.ui.segmentEditorGroupBox.collapsed
    desktop.widget.exit()
    assert not editor._observes


def test_a_segmentation_chosen_before_the_series_is_edited_on_it(desktop):
    node = desktop.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    desktop.parameters.regionNode = node
    desktop.parameters.inputNode = add_sequence(desktop.scene)
    desktop.ui.showSeriesButton.click()
    assert desktop.panel.curves.editor._widget.segmentationNode() is node


def test_table_is_copied_and_saved(desktop, tmp_path):
    node = synthesize(desktop)
    desktop.parameters.regionNode = add_point(desktop.scene, node)
    desktop.ui.copyButton.click()
    lines = desktop.copied.splitlines()
    assert lines[0].split("\t")[0] == "Region" and lines[1].split("\t")[0] == "spot"
    assert lines[2].startswith("SYNTHETIC")
    desktop.dialogs.append(str(tmp_path / "lesion.csv"))
    desktop.ui.saveCsvButton.click()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lesion-statistics.csv", "lesion.csv"]
    assert (tmp_path / "lesion.csv").read_text().startswith("# SYNTHETIC")


def test_statistics_of_another_file_of_that_name_are_not_replaced_unasked(desktop, tmp_path):
    desktop.parameters.regionNode = add_point(desktop.scene, synthesize(desktop))
    there = tmp_path / "lesion-statistics.csv"
    there.write_text("mine")
    for desktop.confirms in (False, True):
        desktop.dialogs.append(str(tmp_path / "lesion.csv"))
        desktop.ui.saveCsvButton.click()
        assert (there.read_text() == "mine") is not desktop.confirms
        assert (tmp_path / "lesion.csv").exists() is desktop.confirms


def test_several_samples_give_shares_spread_and_an_uncertainty_overlay(desktop):
    node = choose_exam(desktop, samples=3)
    desktop.parameters.regionNode = add_point(desktop.scene, node)
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: not desktop.panel.run.is_running, "three samples")
    row = cells(desktop)
    assert re.fullmatch(r"\w+ \d+ %", row[2]) and "±" in row[4]
    assert desktop.panel.meter.results[0].uncertainty.samples == 3
    asked = [r for r in InProcessTransport.made[-1].requests if isinstance(r, Synthesize)]
    assert [r.seed for r in asked] == [0, 1, 2, 0]  # the first once more, for times between the phases
    assert {r.steps for r in asked} == {1}  # without a step of the sampler all samples are the same
    desktop.parameters.overlay = OverlayChoice.UNCERTAINTY
    assert desktop.errors == []
    composite = desktop.scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    overlay = desktop.scene.GetNodeByID(composite.GetForegroundVolumeID())
    assert overlay.GetAttribute("CEKWorld.Role") == "overlay" and array_of(overlay.GetImageData()).max() > 0


def band_series(desktop) -> list:
    """The plot series of the chart that are edges of a band."""
    chart = desktop.panel.session.chart.node
    series = [chart.GetNthPlotSeriesNode(n) for n in range(chart.GetNumberOfPlotSeriesNodes())]
    return [node for node in series if " SD" in node.GetName()]


def plotted(series) -> np.ndarray:
    return vtk_to_numpy(series.GetTableNode().GetTable().GetColumnByName("value"))


def test_a_band_of_samples_lies_around_the_curve_in_its_colour_and_goes_with_the_samples(desktop):
    node = choose_exam(desktop, samples=3)
    points = desktop.parameters.regionNode = add_point(desktop.scene, node)
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: not desktop.panel.run.is_running, "three samples")
    lower, upper = band_series(desktop)
    uncertainty = desktop.panel.meter.results[0].uncertainty
    np.testing.assert_allclose(plotted(upper) - plotted(lower), 2 * uncertainty.enhancement_sd, atol=1e-9)
    assert (plotted(upper)[1:] > plotted(lower)[1:]).any() and lower.GetColor() == upper.GetColor()
    nodes = desktop.scene.GetNumberOfNodes()
    before = plotted(upper).copy()
    points.SetNthControlPointPosition(0, -30.0, -30.0, 2.0)
    desktop.wait_until(lambda: not np.array_equal(plotted(upper), before), "the edited region")
    assert band_series(desktop) == [lower, upper] and desktop.scene.GetNumberOfNodes() == nodes
    desktop.parameters.samples = 1
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: not desktop.panel.run.is_running, "one sample")
    assert band_series(desktop) == []
    assert desktop.scene.GetNumberOfNodes() == nodes - 4  # two tables, two series


def test_curves_of_several_samples_begin_at_the_injection_whatever_times_are_listed(desktop):
    node = choose_exam(desktop, samples=2, times="60, 90, 120, 300")
    desktop.parameters.regionNode = add_point(desktop.scene, node)
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: not desktop.panel.run.is_running, "two samples")
    (result,) = desktop.panel.meter.results
    assert result.uncertainty.samples == 2 and result.times_s.tolist() == [0.0, 20.0, 60.0, 90.0, 120.0, 300.0]
    np.testing.assert_array_equal(result.enhancement[:2], 0.0)
    assert (result.enhancement[2:] > 1.0).all()


def test_samples_that_are_whole_outlast_a_worker_that_dies_after_them(desktop):
    node = choose_exam(desktop, samples=2)
    desktop.parameters.regionNode = add_point(desktop.scene, node)
    run = desktop.panel.run
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: run._sample == 2, "both samples")
    InProcessTransport.made[-1].kill()
    desktop.wait_until(lambda: not run.is_running, "the death")
    assert "ended unexpectedly" in desktop.ui.progressLabel.text and run.store is not None
    assert desktop.panel.meter.results[0].uncertainty.samples == 2


def test_uncertainty_without_samples_is_refused_and_the_choice_goes_back(desktop):
    synthesize(desktop)
    desktop.parameters.overlay = OverlayChoice.UNCERTAINTY
    assert "two samples" in desktop.errors[0]
    assert desktop.parameters.overlay is OverlayChoice.NONE
    desktop.parameters.overlay = OverlayChoice.CURVE_TYPES
    assert len(desktop.errors) == 1


# Acquired series


def test_an_acquired_sequence_has_slider_and_curves_and_is_not_called_synthetic(desktop):
    desktop.parameters.inputNode = add_sequence(desktop.scene)
    desktop.ui.showSeriesButton.click()
    session = desktop.panel.session
    assert session.times_s == (0.0, 60.0, 90.0, 180.0, 360.0)
    assert desktop.ui.timeSlider.maximum == 360.0
    desktop.ui.timeSlider.setValue(90.0)
    desktop.wait_until(lambda: desktop.ui.shownLabel.text == "t=+90 s, exact", "the phase")
    assert "SYNTHETIC" not in session.output.GetName()
    desktop.ui.timeSlider.setValue(120.0)
    desktop.wait_until(lambda: desktop.ui.shownLabel.text == "t=+120 s, interpolated between two phases", "120 s")
    assert desktop.layout_manager.captions("Red") == ["t=+120 s (interpolated)"]
    desktop.parameters.regionNode = add_point(desktop.scene, session.output)
    assert desktop.panel.meter.results[0].curve_type is CurveType.WASHOUT
    assert InProcessTransport.made == []  # no model is needed


def test_a_sequence_that_does_not_tell_its_times_asks_for_them_and_takes_them(desktop):
    desktop.parameters.inputNode = add_sequence(desktop.scene, unit="", times_s=(0, 1, 2, 3, 4))
    desktop.ui.showSeriesButton.click()
    assert "give a time for each phase" in desktop.errors[0]
    desktop.ui.acquiredTimesEdit.setText("-20, 40, 100, 160, 220")
    desktop.ui.showSeriesButton.click()
    assert desktop.panel.session.times_s == (-20.0, 40.0, 100.0, 160.0, 220.0)


def test_volumes_that_were_loaded_one_by_one_become_a_series(desktop):
    nodes = [add_exam(desktop.scene, f"phase {n}") for n in range(3)]
    for node in nodes:
        desktop.ui.phasesSelector.setCheckState(node, 2)
    desktop.ui.showSeriesButton.click()
    assert "give a time for each of them" in desktop.errors[0]
    desktop.ui.acquiredTimesEdit.setText("0:120:60")
    desktop.ui.showSeriesButton.click()
    assert desktop.panel.session.times_s == (0.0, 60.0, 120.0)
