"""The whole panel, from the real .ui file on real MRML, driven as a user drives it."""

from __future__ import annotations

import re

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
import vtk
from fake_qt import event_loop
from fake_qt.desktop import MODULE, Desktop
from in_process_worker import InProcessTransport, use_closed_form
from panel_exam import ARRIVAL_S, PHASES_S, add_exam, add_point, add_sequence
from panel_user import cells, choose_exam, shown_voxels, synthesize

from CEKWorldLib.gui import requirements
from CEKWorldLib.gui.choices import CurveMode, Device, OverlayChoice, Preset, Speed
from CEKWorldLib.kinetics.curve_type import CurveType
from CEKWorldLib.scene.images import array_of
from CEKWorldLib.worker.messages import Prepare, Synthesize

# Opening and choosing


def test_every_widget_the_code_names_is_in_the_ui_file(desktop):
    named = set()
    for path in (*(MODULE.parent / "CEKWorldLib" / "gui").glob("*.py"), MODULE / "CEKWorld.py"):
        named |= set(re.findall(r"\b_?ui\.([a-z]\w+)", path.read_text()))
    assert len(named) > 40
    assert sorted(name for name in named if not hasattr(desktop.ui, name)) == []


def test_the_module_says_what_it_is_and_that_its_images_are_synthetic(desktop):
    parent = desktop.description.parent
    assert parent.title == "CEKWorld" and parent.categories == ["Quantification"]
    assert "not acquired from the patient" in parent.helpText
    assert "not acquired from the patient" in desktop.ui.noticeLabel.text


def test_apply_waits_for_a_volume_and_refuses_series_and_its_own_output(desktop):
    ui, parameters = desktop.ui, desktop.parameters
    assert not ui.applyButton.enabled and "Choose" in ui.applyButton.toolTip
    parameters.inputNode = add_sequence(desktop.scene)
    assert not ui.applyButton.enabled and "series" in ui.applyButton.toolTip
    parameters.inputNode = add_exam(desktop.scene)
    assert ui.applyButton.enabled
    synthesize(desktop)
    parameters.inputNode = desktop.panel.session.output
    assert not ui.applyButton.enabled and "itself" in ui.applyButton.toolTip


def test_the_first_volume_of_the_scene_is_offered_as_input(desktop):
    volume = add_exam(desktop.scene)
    desktop.widget.exit()
    desktop.widget.enter()
    assert desktop.parameters.inputNode is volume
    assert desktop.ui.inputSelector.currentNode() is volume


def test_widgets_and_parameter_node_follow_each_other(desktop):
    ui, parameters = desktop.ui, desktop.parameters
    ui.seedSpinBox.setValue(7)
    ui.presetSelector.setCurrentIndex(list(Preset).index(Preset.BRAIN))
    ui.deviceSelector.setCurrentIndex(list(Device).index(Device.CPU))
    assert (parameters.seed, parameters.preset, parameters.device) == (7, Preset.BRAIN, Device.CPU)
    assert "600" in ui.presetSelector.toolTip  # the brain's last time
    assert not ui.timesEdit.visible
    parameters.preset, parameters.times = Preset.LIST, "0:60:20"
    assert ui.timesEdit.visible and ui.timesEdit.text == "0:60:20"
    parameters.speed = Speed.FAST
    assert desktop.panel.time.playback.speed == 60.0


def test_a_list_of_times_that_cannot_be_read_is_told_and_starts_nothing(desktop):
    choose_exam(desktop, times="soon")
    desktop.ui.applyButton.click()
    assert len(desktop.errors) == 1 and "first:last:step" in desktop.errors[0]
    assert InProcessTransport.made == []


# Synthesis


def test_a_synthesis_is_in_the_views_with_slider_marks_caption_and_provenance(desktop):
    volume = synthesize(desktop, seed=3)
    session, ui = desktop.panel.session, desktop.ui
    assert session.times_s == (0.0, ARRIVAL_S, *PHASES_S)
    assert ui.timeSlider.enabled and (ui.timeSlider.minimum, ui.timeSlider.maximum) == (0.0, 300.0)
    assert len(ui.timeTicksLabel.pixmap.marks) == len(session.times_s)
    output = session.output
    assert output.GetName().startswith("SYNTHETIC") and output.GetAttribute("CEKWorld.seed") == "3"
    composites = [desktop.scene.GetNthNodeByClass(n, "vtkMRMLSliceCompositeNode") for n in range(3)]
    assert {node.GetBackgroundVolumeID() for node in composites} == {output.GetID()}
    annotation = desktop.layout_manager.sliceWidget("Red").sliceView().cornerAnnotation()
    assert "SYNTHETIC" in annotation.GetText(vtk.vtkCornerAnnotation.UpperEdge)
    assert array_of(volume.GetImageData()).max() < shown_voxels(desktop).max()
    assert desktop.errors == []


def test_the_worker_is_told_region_seed_and_the_slice_in_view(desktop):
    view = desktop.scene.GetFirstNodeByClass("vtkMRMLSliceNode")
    choose_exam(desktop, seed=11, preset=Preset.ABDOMEN)
    view.SetSliceOffset(1.0)
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: not desktop.panel.run.is_running, "the synthesis")
    requests = InProcessTransport.made[-1].requests
    prepared = next(request for request in requests if isinstance(request, Prepare))
    asked = next(request for request in requests if isinstance(request, Synthesize))
    assert prepared.anatomy == "abdomen" and prepared.geometry.shape == (4, 64, 64)
    assert (asked.seed, asked.first_slice, asked.injection.arrival_s) == (11, 1, ARRIVAL_S)


def test_apply_becomes_cancel_and_what_is_there_stays(desktop):
    choose_exam(desktop)
    seen: list[str] = []

    def cancel(progress) -> None:
        seen.append(desktop.ui.applyButton.text)
        desktop.ui.applyButton.click()

    desktop.panel.run.progressed.connect(cancel)
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: not desktop.panel.run.is_running, "the cancel")
    assert seen[0] == "Cancel" and desktop.ui.applyButton.text == "Apply"
    assert desktop.errors == [] and desktop.panel.session.is_open
    assert not desktop.ui.progressBar.visible
    desktop.panel.run.progressed.disconnect_all()
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: not desktop.panel.run.is_running, "the second run")
    assert set(PHASES_S) <= set(desktop.panel.session.times_s)


def test_progress_names_slices_and_the_time_left(desktop):
    choose_exam(desktop)
    texts: list[str] = []
    desktop.panel.run.progressed.connect(lambda progress: texts.append(desktop.ui.progressLabel.text))
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: not desktop.panel.run.is_running, "the synthesis")
    assert re.fullmatch(r"\d of 4 slices, \d+:\d\d left", texts[0])
    assert texts[-1].startswith("4 of 4")


def test_a_bad_volume_is_told_below_the_button(desktop):
    node = choose_exam(desktop)
    node.SetAndObserveImageData(constant_image())
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: not desktop.panel.run.is_running, "the refusal")
    assert "The volume" in desktop.ui.progressLabel.text and desktop.ui.progressLabel.visible
    assert not desktop.panel.session.is_open


def constant_image():
    image = vtk.vtkImageData()
    image.SetDimensions(32, 32, 4)
    image.AllocateScalars(vtk.VTK_FLOAT, 1)
    image.GetPointData().GetScalars().Fill(5.0)
    return image


# Time


def test_the_slider_shows_phases_previews_and_once_it_rests_the_exact_volume(desktop):
    synthesize(desktop)
    ui = desktop.ui
    ui.timeSlider.setValue(60.0)
    desktop.wait_until(lambda: ui.shownLabel.text == "SYNTHETIC t=+60 s, exact", "the phase")
    ui.timeSlider.setValue(77.0)
    desktop.wait_until(lambda: "t=+77 s, preview" in ui.shownLabel.text, "the preview")
    preview = shown_voxels(desktop).copy()
    desktop.wait_until(lambda: ui.shownLabel.text == "SYNTHETIC t=+77 s, exact", "the worker's volume")
    assert not np.array_equal(preview, shown_voxels(desktop))
    assert 77.0 not in desktop.panel.session.times_s  # looked at, but no phase
    assert ui.timeSpinBox.value == 77.0 and ui.timeLabel.text == "1:17"


def test_the_latest_of_many_slider_moves_is_what_is_shown_in_the_end(desktop):
    synthesize(desktop)
    shown: list[float] = []
    desktop.panel.time.scrubber.shown.connect(lambda what: shown.append(what.time_s))
    for step in range(200):
        desktop.ui.timeSlider.setValue(30.0 + step)
    desktop.wait_until(lambda: shown[-1] == 229.0, "the last move")
    assert len(shown) < 20


def test_phases_are_stepped_through_and_played(desktop):
    synthesize(desktop)
    ui, time = desktop.ui, desktop.panel.time
    ui.timeSlider.setValue(61.0)
    ui.nextPhaseButton.click()
    assert ui.timeSlider.value == 120.0
    ui.previousPhaseButton.click()
    ui.previousPhaseButton.click()
    assert ui.timeSlider.value == 30.0
    ui.playButton.click()
    assert time.playback.is_playing and ui.playButton.checked
    desktop.wait_until(lambda: ui.timeSlider.value > 33.0, "playback")
    ui.timeSlider.setValue(200.0)  # the user takes hold of the slider
    assert not time.playback.is_playing and not ui.playButton.checked


def test_subtraction_and_projection_apply_and_are_taken_back(desktop):
    synthesize(desktop)
    view = desktop.scene.GetFirstNodeByClass("vtkMRMLSliceNode")
    desktop.ui.timeSlider.setValue(60.0)
    desktop.wait_until(lambda: "+60" in desktop.ui.shownLabel.text, "60 s")
    whole = shown_voxels(desktop).mean()
    desktop.ui.subtractionCheckBox.click()
    assert 0 < shown_voxels(desktop).mean() < whole / 2
    desktop.ui.projectionCheckBox.click()
    assert view.GetSlabReconstructionEnabled()
    desktop.ui.projectionCheckBox.click()
    assert not view.GetSlabReconstructionEnabled()


# Curves


def test_a_point_gives_a_row_with_a_chip_and_follows_edits(desktop):
    node = synthesize(desktop)
    points = add_point(desktop.scene, node)
    desktop.parameters.regionNode = points
    assert desktop.ui.curvesTable.rowCount == 1
    row = cells(desktop)
    assert row[0] == "spot" and row[2] in ("persistent", "plateau", "washout") and row[8] == "9 / 9"
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


def test_a_new_segment_is_edited_on_the_series(desktop):
    synthesize(desktop)
    desktop.ui.newSegmentButton.click()
    node = desktop.parameters.regionNode
    assert node.IsA("vtkMRMLSegmentationNode") and node.GetSegmentation().GetNumberOfSegments() == 1
    editor = desktop.panel.curves.editor._widget
    assert editor.segmentationNode() is node and not desktop.ui.segmentEditorGroupBox.collapsed
    desktop.widget.exit()
    assert not editor._observes


def test_table_is_copied_and_saved(desktop, tmp_path):
    node = synthesize(desktop)
    desktop.parameters.regionNode = add_point(desktop.scene, node)
    desktop.ui.copyButton.click()
    lines = desktop.copied.splitlines()
    assert lines[0].split("\t")[0] == "Region" and lines[1].split("\t")[0] == "spot"
    desktop.dialogs.append(str(tmp_path / "lesion.csv"))
    desktop.ui.saveCsvButton.click()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lesion-statistics.csv", "lesion.csv"]
    assert (tmp_path / "lesion.csv").read_text().startswith("# SYNTHETIC")


def test_several_samples_give_shares_spread_and_an_uncertainty_overlay(desktop):
    node = choose_exam(desktop, samples=3)
    desktop.parameters.regionNode = add_point(desktop.scene, node)
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: not desktop.panel.run.is_running, "three samples")
    row = cells(desktop)
    assert re.fullmatch(r"\w+ \d+ %", row[2]) and "±" in row[4]
    assert desktop.panel.meter.results[0].uncertainty.samples == 3
    seeds = [r.seed for r in InProcessTransport.made[-1].requests if isinstance(r, Synthesize)]
    assert seeds == [0, 1, 2, 0]  # the first once more, for times between the phases
    desktop.parameters.overlay = OverlayChoice.UNCERTAINTY
    assert desktop.errors == []
    composite = desktop.scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    overlay = desktop.scene.GetNodeByID(composite.GetForegroundVolumeID())
    assert overlay.GetAttribute("CEKWorld.Role") == "overlay" and array_of(overlay.GetImageData()).max() > 0


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


# What happens to module, worker and scene


def test_a_worker_that_dies_is_told_comes_back_and_costs_no_image(desktop):
    synthesize(desktop)
    before = desktop.panel.session.times_s
    InProcessTransport.made[-1].kill()
    desktop.wait_until(lambda: len(InProcessTransport.made) == 2, "the next worker")
    assert any("started again" in text for text in desktop.statuses)
    assert desktop.panel.session.times_s == before
    desktop.wait_until(lambda: desktop.ui.workerStatusLabel.text == "ready", "the recovery")
    desktop.ui.timeSlider.setValue(77.0)
    desktop.wait_until(lambda: "t=+77 s, exact" in desktop.ui.shownLabel.text, "a volume of the next worker")


def test_a_worker_that_dies_during_a_synthesis_leaves_apply_to_be_pressed_again(desktop):
    choose_exam(desktop)
    desktop.panel.run.progressed.connect(lambda progress: InProcessTransport.made[0].kill())
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: not desktop.panel.run.is_running, "the failure")
    assert "ended unexpectedly" in desktop.ui.progressLabel.text
    assert desktop.ui.applyButton.text == "Apply" and desktop.ui.applyButton.enabled
    desktop.panel.run.progressed.disconnect_all()
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: set(PHASES_S) <= set(desktop.panel.session.times_s), "the second try")


def test_leaving_the_module_gives_views_and_layout_back_and_entering_takes_them_again(desktop):
    other = add_exam(desktop.scene, "what the user looked at")
    composite = desktop.scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    composite.SetBackgroundVolumeID(other.GetID())
    node = synthesize(desktop)
    desktop.parameters.regionNode = add_point(desktop.scene, node)
    layout = desktop.layout_manager.layout
    desktop.ui.showPlotButton.click()
    assert desktop.layout_manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotView
    desktop.ui.playButton.click()
    desktop.widget.exit()
    annotation = desktop.layout_manager.sliceWidget("Red").sliceView().cornerAnnotation()
    assert composite.GetBackgroundVolumeID() == other.GetID()
    assert desktop.layout_manager.layout == layout
    assert annotation.GetText(vtk.vtkCornerAnnotation.UpperEdge) in ("", None)
    assert not desktop.panel.time.playback.is_playing
    desktop.widget.enter()
    assert composite.GetBackgroundVolumeID() == desktop.panel.session.output.GetID()


def test_closing_the_scene_empties_the_panel_and_the_next_exam_works(desktop):
    for _round in range(3):
        node = synthesize(desktop)
        desktop.parameters.regionNode = add_point(desktop.scene, node)
        desktop.ui.playButton.click()
        desktop.scene.Clear(0)
        event_loop.process_events()
        assert not desktop.panel.session.is_open and not desktop.ui.timeSlider.enabled
        assert desktop.ui.curvesTable.rowCount == 0 and not desktop.ui.exportDicomButton.enabled
    assert desktop.errors == []


def test_scene_closed_in_the_middle_of_a_synthesis(desktop):
    choose_exam(desktop)
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: desktop.panel.session.is_open, "the exam")
    desktop.scene.Clear(0)
    for _round in range(50):
        event_loop.process_events()
    assert not desktop.panel.session.is_open and not desktop.panel.run.is_running


def test_reload_ends_the_worker_and_its_folder_and_goes_on_with_the_scene(desktop, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    node = synthesize(desktop)
    assert [path for path in tmp_path.iterdir()] != []
    desktop.widget.cleanup()
    assert list(tmp_path.iterdir()) == []
    desktop.widget = None
    desktop.load_module()
    assert desktop.parameters.inputNode is node
    nodes = desktop.scene.GetNumberOfNodes()
    synthesized = desktop.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: not desktop.panel.run.is_running, "the synthesis")
    assert desktop.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == synthesized
    assert desktop.scene.GetNumberOfNodes() == nodes


def test_200_slider_moves_add_no_nodes(desktop):
    synthesize(desktop)
    nodes = desktop.scene.GetNumberOfNodes()
    for step in range(200):
        desktop.panel.time.scrubber._now(1.3 * step)
    assert desktop.scene.GetNumberOfNodes() == nodes


def test_the_module_works_without_a_main_window(monkeypatch):
    use_closed_form(monkeypatch)
    desktop = Desktop(monkeypatch, main_window=False)
    monkeypatch.setattr("CEKWorldLib.gui.qprocess_transport.QProcessTransport", InProcessTransport)
    desktop.load_module()
    node = synthesize(desktop)
    desktop.parameters.regionNode = add_point(desktop.scene, node)
    desktop.ui.showPlotButton.click()
    desktop.widget.exit()
    desktop.close()
    assert desktop.errors == []


# Models and packages


def test_without_pytorch_apply_says_how_to_get_it(desktop, monkeypatch):
    choose_exam(desktop)
    monkeypatch.setattr(requirements, "installed_version", lambda name: None if name == "torch" else "99")
    desktop.ui.applyButton.click()
    assert "Extensions Manager" in desktop.errors[0] and InProcessTransport.made == []


def test_the_chosen_model_shows_card_place_size_and_is_verified(desktop):
    ui = desktop.ui
    assert ui.modelSelector.currentText == "compact"
    assert "compact" in ui.weightsStatusLabel.text and "MB" in ui.weightsStatusLabel.text
    assert not ui.deleteModelButton.enabled
    ui.modelCardButton.click()
    assert "Where it fails" in desktop.texts[0]
    ui.verifyModelButton.click()
    assert re.search(r"[0-9a-f]{64}", ui.weightsStatusLabel.text)
