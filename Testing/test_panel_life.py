"""The panel outlives what happens to module, worker and scene."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
from fake_qt import event_loop
from fake_qt.desktop import Desktop
from in_process_worker import InProcessTransport, use_closed_form
from panel_exam import PHASES_S, add_exam, add_point
from panel_user import choose_exam, synthesize

from CEKWorldLib.gui import gradual_copy
from CEKWorldLib.gui.choices import OverlayChoice
from CEKWorldLib.gui.synthesis_run import Step
from CEKWorldLib.scene.images import array_of
from CEKWorldLib.worker.messages import Prepare


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
    (caption,) = desktop.layout_manager.captions("Red")
    desktop.widget.exit()
    assert composite.GetBackgroundVolumeID() == other.GetID()
    assert desktop.layout_manager.layout == layout
    assert "SYNTHETIC" in caption and desktop.layout_manager.captions("Red") == []
    assert not desktop.panel.time.playback.is_playing
    desktop.widget.enter()
    assert composite.GetBackgroundVolumeID() == desktop.panel.session.output.GetID()


def test_views_that_a_layout_makes_say_synthetic_as_long_as_the_module_is_open(desktop):
    synthesize(desktop)
    manager = desktop.layout_manager
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutThreeOverThreeView, new_views=("Slice4",))
    assert [len(manager.captions(name)) for name in ("Red", "Slice4")] == [1, 1]
    assert "SYNTHETIC" in manager.captions("Slice4")[0]
    desktop.widget.exit()
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView, new_views=("Slice5",))
    assert [manager.captions(name) for name in ("Red", "Slice4", "Slice5")] == [[], [], []]


def test_overlay_projection_and_mouse_come_back_with_the_module(desktop):
    add_exam(desktop.scene, "what the user looked at")
    synthesize(desktop)
    desktop.parameters.overlay, desktop.parameters.projection = OverlayChoice.CURVE_TYPES, True
    desktop.ui.hoverCheckBox.click()
    composite = desktop.scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    view = desktop.scene.GetFirstNodeByClass("vtkMRMLSliceNode")
    overlay = composite.GetForegroundVolumeID()
    image = desktop.scene.GetNodeByID(overlay).GetImageData()
    (caption,) = desktop.layout_manager.captions("Red")
    desktop.widget.exit()
    assert composite.GetForegroundVolumeID() != overlay and not view.GetSlabReconstructionEnabled()
    desktop.widget.enter()
    assert composite.GetForegroundVolumeID() == overlay and view.GetSlabReconstructionEnabled()
    assert desktop.scene.GetNodeByID(overlay).GetImageData() is image  # shown again, not computed again
    assert desktop.panel.session._hover is not None and desktop.errors == []
    desktop.widget.exit()
    desktop.scene.RemoveNode(desktop.scene.GetNodeByID(overlay))
    desktop.widget.enter()
    assert desktop.scene.GetNodeByID(composite.GetForegroundVolumeID()).GetAttribute("CEKWorld.Role") == "overlay"


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


@pytest.fixture
def slow_copies(monkeypatch):
    """Every slice fills a round of the event loop, as in a large exam."""
    moments = itertools.count()
    monkeypatch.setattr(gradual_copy, "perf_counter", lambda: next(moments))


def test_an_exam_that_is_copied_in_rounds_is_the_same_in_the_end(desktop, slow_copies):
    node = synthesize(desktop)
    np.testing.assert_array_equal(desktop.panel.run.request.volume.voxels, array_of(node.GetImageData()))
    assert set(PHASES_S) <= set(desktop.panel.session.times_s) and desktop.errors == []


@pytest.mark.parametrize("act", ["cancel", "close the scene"])
def test_a_cancel_or_a_closed_scene_ends_the_copy_of_the_exam(desktop, slow_copies, act):
    choose_exam(desktop)
    desktop.ui.applyButton.click()
    assert desktop.ui.applyButton.text == "Cancel" and desktop.panel.run.step is Step.OPENING
    desktop.ui.applyButton.click() if act == "cancel" else desktop.scene.Clear(0)
    for _round in range(20):
        event_loop.process_events()
    assert not desktop.panel.run.is_running and not desktop.panel.session.is_open
    assert not any(isinstance(request, Prepare) for request in InProcessTransport.made[-1].requests)
    synthesize(desktop)
    assert set(PHASES_S) <= set(desktop.panel.session.times_s)


def test_a_volume_that_is_edited_while_it_is_copied_is_not_synthesized(desktop, slow_copies):
    node = choose_exam(desktop)
    desktop.ui.applyButton.click()
    slicer.util.arrayFromVolume(node)[-1] = 0
    slicer.util.arrayFromVolumeModified(node)
    desktop.wait_until(lambda: not desktop.panel.run.is_running, "the refusal")
    assert "changed while it was read" in desktop.ui.progressLabel.text
    assert not any(isinstance(request, Prepare) for request in InProcessTransport.made[-1].requests)


def test_a_scene_closed_while_further_samples_are_copied_leaves_no_file(desktop, slow_copies, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    choose_exam(desktop, samples=3)
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: desktop.panel.run.step is Step.SAMPLING, "the second sample")
    assert list(tmp_path.glob("cekworld-samples-*"))
    desktop.scene.Clear(0)
    assert not list(tmp_path.glob("cekworld-samples-*"))


def test_cancelling_between_two_samples_keeps_the_worker_and_ends_the_run(desktop, slow_copies):
    choose_exam(desktop, samples=3)
    desktop.ui.applyButton.click()
    run = desktop.panel.run
    desktop.wait_until(lambda: run.step is Step.SAMPLING and not run._is_synthesizing, "frames of the second sample")
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: not run.is_running, "the cancel")
    assert len(InProcessTransport.made) == 1 and desktop.ui.applyButton.text == "Apply"
    assert run.store is None and desktop.errors == []


def test_reload_ends_the_worker_and_its_folder_and_goes_on_with_the_scene(desktop, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    node = synthesize(desktop)
    assert [path for path in tmp_path.iterdir()] != []
    desktop.ui.timeSlider.setValue(77.0)
    desktop.widget.cleanup()
    assert list(tmp_path.iterdir()) == []
    assert not any(view.paused for view in desktop.layout_manager.views)
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


def test_views_that_a_move_holds_back_are_all_drawn_in_the_end(desktop):
    synthesize(desktop)
    desktop.wait_until(lambda: not any(view.paused for view in desktop.layout_manager.views), "the views")
    desktop.ui.timeSlider.setValue(77.0)
    assert all(view.paused for view in desktop.layout_manager.views)
    for _round in range(10):
        event_loop.process_events()
    assert not any(view.paused for view in desktop.layout_manager.views)


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
