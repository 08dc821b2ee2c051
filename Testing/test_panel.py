"""The whole panel, from the real .ui file on real MRML, driven as a user drives it: input, synthesis, time."""

from __future__ import annotations

import re

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import vtk
from fake_qt.desktop import MODULE
from in_process_worker import InProcessTransport
from panel_exam import ARRIVAL_S, PHASES_S, add_exam, add_point, add_sequence
from panel_user import choose_exam, shown_voxels, synthesize

from CEKWorldLib.gui import requirements
from CEKWorldLib.gui.choices import Device, Preset, Speed
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
    assert "SYNTHETIC" in desktop.layout_manager.captions("Red")[0]
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
    assert asked.steps is None


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


def test_slices_that_a_cancel_left_unsynthesized_are_not_shown_as_exact_nor_exported(desktop):
    node = choose_exam(desktop)
    desktop.panel.run.progressed.connect(lambda progress: progress.done == 2 and desktop.ui.applyButton.click())
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: "not all slices yet" in desktop.panel.session.caption.text, "two slices of four")
    assert not desktop.panel.run.is_running
    assert "show the source" in desktop.ui.shownLabel.text and "exact" not in desktop.ui.shownLabel.text
    unchanged = (shown_voxels(desktop) == array_of(node.GetImageData())).all(axis=(1, 2))
    assert unchanged.any() and not unchanged.all()
    assert not desktop.ui.exportDicomButton.enabled and not desktop.ui.sequenceButton.enabled


def test_phases_read_before_a_cancel_have_marks_and_curves(desktop, monkeypatch):
    node = choose_exam(desktop)
    desktop.parameters.regionNode = add_point(desktop.scene, node)
    session = desktop.panel.session
    put_frame = session.put_frame

    def put_and_cancel(time_s, voxels):
        put_frame(time_s, voxels)
        if time_s == PHASES_S[1]:
            desktop.ui.applyButton.click()

    monkeypatch.setattr(session, "put_frame", put_and_cancel)
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: not desktop.panel.run.is_running, "the cancel")
    assert session.times_s == (0.0, ARRIVAL_S, *PHASES_S[:2]) and desktop.errors == []
    assert desktop.panel.meter.results[0].times_s.tolist() == list(session.times_s)
    assert desktop.ui.exportDicomButton.enabled


def test_a_time_between_phases_is_exact_once_the_synthesis_has_ended(desktop):
    synthesize(desktop)
    assert "t=+90 s" in desktop.ui.shownLabel.text  # a minute and ten after arrival; no phase
    desktop.wait_until(lambda: desktop.ui.shownLabel.text == "SYNTHETIC t=+90 s, exact", "the exact volume")


def test_all_warnings_stay_below_the_button_until_the_scene_is_closed(desktop):
    for sentence in ("Looks already contrast-enhanced.", "Not a T1-weighted sequence."):
        desktop.panel.run.noticed.emit(sentence)
    assert desktop.ui.progressLabel.text == "Looks already contrast-enhanced. Not a T1-weighted sequence."
    desktop.scene.Clear(0)
    assert desktop.ui.progressLabel.text == ""


def test_a_synthesized_volume_is_not_synthesized_from(desktop):
    synthesize(desktop)
    desktop.ui.sequenceButton.click()
    browser = desktop.scene.GetFirstNodeByClass("vtkMRMLSequenceBrowserNode")
    desktop.parameters.inputNode = browser.GetProxyNode(browser.GetMasterSequenceNode())
    assert not desktop.ui.applyButton.enabled and "acquired pre-contrast" in desktop.ui.applyButton.toolTip


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


def test_a_single_phase_after_a_bolus_without_delay_is_subtracted(desktop):
    synthesize(desktop, arrival=0.0, times="90", subtraction=True)
    assert desktop.panel.session.times_s == (0.0, 90.0) and desktop.panel.session.subtracted


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
