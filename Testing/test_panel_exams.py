"""One exam after another in the panel: nothing of the first is taken for the second's, nor synthetic for acquired."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
from panel_exam import add_exam, add_point, add_sequence
from panel_user import choose_exam, synthesize

from CEKWorldLib.gui.choices import OverlayChoice


def show_sequence(desktop, **choices):
    node = desktop.parameters.inputNode = add_sequence(desktop.scene, **choices)
    desktop.ui.showSeriesButton.click()
    return node


def composite(desktop):
    return desktop.scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")


def test_synthesized_phases_shown_again_are_still_marked_and_know_their_model(desktop):
    synthesize(desktop)
    desktop.ui.sequenceButton.click()
    desktop.parameters.inputNode = desktop.scene.GetFirstNodeByClass("vtkMRMLSequenceNode")
    desktop.ui.showSeriesButton.click()
    session = desktop.panel.session
    assert session.series_is_synthetic and session.caption.text.startswith("SYNTHETIC")
    assert session.output.GetName() == "SYNTHETIC T1 phases"
    assert session.output.GetAttribute("CEKWorld.model") == "closed form"
    assert session.series().synthetic and session.series().made_by["model"] == "closed form"
    first, second = session.times_s[-2:]
    desktop.ui.timeSlider.setValue((first + second) / 2)
    desktop.wait_until(lambda: desktop.ui.shownLabel.text.endswith("interpolated between two phases"), "a time between")


def test_overlay_and_chart_are_those_of_the_exam_that_is_shown(desktop):
    show_sequence(desktop)
    desktop.parameters.overlay = OverlayChoice.CURVE_TYPES
    synthesize(desktop)
    session = desktop.panel.session
    overlay = desktop.scene.GetNodeByID(composite(desktop).GetForegroundVolumeID())
    for place in ("GetSpacing", "GetOrigin"):
        assert getattr(overlay, place)() == getattr(session.output, place)()
    assert overlay.GetImageData().GetDimensions() == session.output.GetImageData().GetDimensions()
    assert session.chart.node.GetAttribute("CEKWorld.Synthetic") == "1" and "T1" in session.chart.node.GetName()


def test_the_overlay_of_the_exam_before_is_gone_when_the_next_is_cancelled(desktop):
    show_sequence(desktop)
    desktop.parameters.overlay = OverlayChoice.CURVE_TYPES
    assert composite(desktop).GetForegroundVolumeID()
    desktop.panel.run.opened.connect(desktop.ui.applyButton.click)
    synthesize(desktop)
    assert desktop.panel.session.is_open and not composite(desktop).GetForegroundVolumeID()


def test_uncertainty_stays_chosen_while_the_samples_it_needs_are_made(desktop):
    synthesize(desktop, samples=2)
    desktop.parameters.overlay = OverlayChoice.UNCERTAINTY
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: not desktop.panel.run.is_running, "the next samples")
    assert desktop.errors == [] and desktop.parameters.overlay is OverlayChoice.UNCERTAINTY
    assert composite(desktop).GetForegroundVolumeID()


def test_curves_of_an_exam_end_with_its_region_and_with_the_exam(desktop):
    node = synthesize(desktop)
    point = desktop.parameters.regionNode = add_point(desktop.scene, node)
    assert desktop.panel.meter.results
    desktop.parameters.regionNode = None
    assert desktop.panel.meter.results == [] and not desktop.ui.copyButton.enabled
    desktop.parameters.regionNode = point
    assert desktop.panel.meter.results
    desktop.panel.run.opened.connect(desktop.ui.applyButton.click)
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: not desktop.panel.run.is_running, "the cancel")
    assert desktop.panel.meter.results == [] and desktop.panel.run.metadata == {}
    assert not desktop.ui.copyButton.enabled


def test_an_exam_that_comes_while_another_module_is_open_leaves_the_views_alone(desktop):
    other = add_exam(desktop.scene, "what the user looks at")
    composite(desktop).SetBackgroundVolumeID(other.GetID())
    choose_exam(desktop, subtraction=True, projection=True)
    desktop.ui.applyButton.click()
    desktop.panel.exit()
    desktop.wait_until(lambda: not desktop.panel.run.is_running, "the synthesis")
    assert composite(desktop).GetBackgroundVolumeID() == other.GetID()
    assert not desktop.scene.GetFirstNodeByClass("vtkMRMLSliceNode").GetSlabReconstructionEnabled()
    desktop.panel.enter()
    assert composite(desktop).GetBackgroundVolumeID() == desktop.panel.session.output.GetID()
    assert any("SYNTHETIC" in text for text in desktop.layout_manager.captions("Red"))


def test_times_belong_to_the_volumes_in_the_order_of_the_list_and_are_shown_with_them(desktop):
    for n in range(3):
        volume = add_exam(desktop.scene, f"phase {n}")
        slicer.util.updateVolumeFromArray(volume, slicer.util.arrayFromVolume(volume) + 10 * n)
        desktop.ui.phasesSelector.setCheckState(volume, 2)
    desktop.ui.acquiredTimesEdit.setText("90, 90, 300")
    desktop.ui.showSeriesButton.click()
    assert "rising" in desktop.errors[0] and not desktop.panel.session.is_open
    desktop.ui.acquiredTimesEdit.setText("90, -60, 300")
    desktop.ui.showSeriesButton.click()
    assert desktop.ui.seriesNotesLabel.text == "phase 1: -60 s, phase 0: +90 s, phase 2: +300 s"
    series = desktop.panel.session.series()
    assert series.times_s.tolist() == [-60.0, 90.0, 300.0]
    assert [round(float((frame - series.frames[1]).mean())) for frame in series.frames] == [10, 0, 20]


def test_choosing_a_series_opens_what_it_needs_once(desktop):
    box = desktop.ui.seriesGroupBox
    desktop.parameters.inputNode = add_exam(desktop.scene)
    assert box.collapsed
    desktop.parameters.inputNode = add_sequence(desktop.scene)
    assert not box.collapsed
    box.collapsed = True
    desktop.parameters.seed = 7
    assert box.collapsed


def test_the_start_of_the_injection_can_be_told_for_a_series(desktop):
    desktop.ui.injectionEdit.setText("60")
    show_sequence(desktop)
    assert desktop.panel.session.times_s == (-60.0, 0.0, 30.0, 120.0, 300.0)
    desktop.ui.injectionEdit.setText("soon")
    desktop.ui.showSeriesButton.click()
    assert "'soon' is no number of seconds" in desktop.errors[0]


def test_what_was_said_of_a_series_is_not_taken_for_the_next(desktop):
    desktop.ui.injectionEdit.setText("60")
    show_sequence(desktop)
    show_sequence(desktop)
    assert desktop.panel.session.times_s == (0.0, 60.0, 90.0, 180.0, 360.0)
    desktop.ui.acquiredTimesEdit.setText("-60, 0, 30, 120, 300")
    desktop.ui.showSeriesButton.click()
    desktop.scene.Clear(0)
    show_sequence(desktop)
    assert desktop.panel.session.times_s == (0.0, 60.0, 90.0, 180.0, 360.0) and desktop.errors == []


def test_an_injection_that_times_of_single_volumes_leave_no_room_for_is_told(desktop):
    for n in range(2):
        desktop.ui.phasesSelector.setCheckState(add_exam(desktop.scene, f"phase {n}"), 2)
    desktop.ui.acquiredTimesEdit.setText("0, 90")
    desktop.ui.injectionEdit.setText("60")
    desktop.ui.showSeriesButton.click()
    assert "not both" in desktop.errors[0] and not desktop.panel.session.is_open


def test_a_series_is_shown_once_it_is_chosen_whatever_volumes_were_checked_for_the_one_before(desktop):
    volumes = [add_exam(desktop.scene, f"phase {n}") for n in range(2)]
    desktop.parameters.inputNode = volumes[0]
    for volume in volumes:
        desktop.ui.phasesSelector.setCheckState(volume, 2)
    desktop.ui.acquiredTimesEdit.setText("0, 90")
    desktop.ui.showSeriesButton.click()
    assert desktop.panel.session.times_s == (0.0, 90.0)
    show_sequence(desktop)
    assert desktop.errors == [] and desktop.panel.session.times_s == (0.0, 60.0, 90.0, 180.0, 360.0)


def test_two_acquired_phases_are_subtracted(desktop):
    for n in range(2):
        desktop.ui.phasesSelector.setCheckState(add_exam(desktop.scene, f"phase {n}"), 2)
    desktop.ui.acquiredTimesEdit.setText("0, 90")
    desktop.ui.showSeriesButton.click()
    desktop.parameters.subtraction = True
    assert desktop.panel.session.subtracted


def test_more_phases_than_memory_are_refused_before_anything_is_begun(desktop):
    synthesize(desktop)
    before = desktop.panel.session.times_s
    desktop.panel.session._frames.limit_bytes = 4 * 4 * 64 * 64 * 5
    desktop.ui.applyButton.click()
    assert "choose fewer times" in desktop.errors[0]
    assert desktop.panel.session.times_s == before and not desktop.panel.run.is_running


def test_a_synthesis_that_just_fits_into_memory_keeps_every_phase(desktop):
    times = "30, 60, 120, 300"
    frames = desktop.panel.session._frames
    for room in range(4, 8):
        frames.limit_bytes = 4 * 4 * 64 * 64 * room
        desktop.errors.clear()
        synthesize(desktop, times=times)
        if not desktop.errors:
            break
    assert desktop.panel.session.times_s == (0.0, 20.0, 30.0, 60.0, 120.0, 300.0)


def test_a_model_that_is_not_here_is_shown_as_none_and_another_can_be_chosen(desktop):
    desktop.parameters.model = "/gone/model"
    assert desktop.ui.modelSelector.currentIndex == -1
    desktop.ui.modelSelector.setCurrentIndex(0)
    assert desktop.parameters.model == "compact"
