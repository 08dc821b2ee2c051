"""The output volume: which voxels it shows, where they lie, how bright, and that it says what it is."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("slicer", reason="slicer-core is not installed")

import vtk
from scene_phantom import PROVENANCE, TIMES_S, fill, frame_at, oblique, open_session

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.scene.blending import weighted_sum
from CEKWorldLib.scene.frame_store import FrameStore
from CEKWorldLib.scene.geometry import array_of_matrix, same_grid, volume_of, world_to_ijk
from CEKWorldLib.scene.images import array_of, image_of
from CEKWorldLib.scene.provenance import caption
from CEKWorldLib.scene.scene_session import SceneSession


def shown_voxels(session) -> np.ndarray:
    return array_of(session.output.GetImageData())


def test_the_node_lies_where_simpleitk_puts_the_volume(scene):
    volume = oblique()
    node = open_session(scene, volume).output
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    image = volume.to_image()
    for index in ((0, 0, 0), (3, 2, 1), (23, 19, 5)):
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        ras = (array_of_matrix(matrix) @ [*index, 1])[:3]
        np.testing.assert_allclose(ras, lps * [-1, -1, 1], atol=1e-9)
        np.testing.assert_allclose(world_to_ijk(node) @ [*ras, 1], [*index, 1], atol=1e-9)
    assert node.GetImageData().GetOrigin() == (0, 0, 0) and node.GetImageData().GetSpacing() == (1, 1, 1)


def test_geometry_and_voxels_come_back_number_for_number(scene):
    volume = oblique()
    back = volume_of(open_session(scene, volume).output)
    assert (back.spacing, back.origin) == (volume.spacing, volume.origin)
    assert tuple(back.direction) == pytest.approx(volume.direction, abs=0)
    np.testing.assert_array_equal(back.voxels, volume.voxels)
    assert same_grid(back, volume)


def test_grids_differ_by_a_hundredth_of_a_millimetre_at_the_far_corner():
    volume = oblique()
    stretched = Volume(volume.voxels, (0.7, 0.9, 3.302), volume.origin, volume.direction)
    assert not same_grid(volume, stretched)


def test_a_cached_time_is_shown_without_copying(scene):
    session = open_session(scene, oblique())
    frame = np.full(session.output.GetImageData().GetDimensions()[::-1], 7.0, np.float32)
    session.put_frame(75.0, frame)
    shown = session.show(75.0)
    assert shown.exact and np.shares_memory(shown_voxels(session), frame)


def test_frames_live_as_long_as_the_node_shows_them_and_no_longer(scene):
    class Tracked(np.ndarray):
        """ndarrays cannot be referenced weakly; their subclasses can."""

    session = open_session(scene, oblique())
    frame = Tracked(oblique().shape, np.float32)
    frame[:] = 3.0
    alive = weakref.ref(frame)
    session.put_frame(75.0, frame)
    del frame
    session.show(75.0)
    gc.collect()
    assert alive() is not None and np.all(shown_voxels(session) == 3.0)
    session.put_frame(75.0, np.zeros(oblique().shape, np.float32))
    gc.collect()
    assert alive() is not None, "still shown"
    # VTK lets go of the last array's Python side when the next ones come.
    for _ in range(3):
        session.put_frame(75.0, np.zeros(oblique().shape, np.float32))
        session.show(75.0)
        gc.collect()
    assert alive() is None


def test_between_frames_a_preview_is_linear_and_says_so(scene):
    volume = oblique()
    session = open_session(scene, volume)
    shown = session.show(105.0)
    expected = (5 * frame_at(volume, 90.0) + frame_at(volume, 180.0)) / 6
    np.testing.assert_allclose(shown_voxels(session), expected, rtol=1e-6)
    assert not shown.exact and shown.caption == "SYNTHETIC t=+105 s (preview)"


def test_up_to_arrival_the_source_is_shown_and_after_the_last_frame_that_frame(scene):
    volume = oblique()
    session = open_session(scene, volume)
    for time_s, expected in ((-30.0, volume.voxels), (7.0, volume.voxels), (900.0, frame_at(volume, 360.0))):
        session.show(time_s)
        np.testing.assert_allclose(shown_voxels(session), expected, rtol=1e-6)


def test_every_preview_changes_the_image_so_that_views_draw_it(scene):
    session = open_session(scene, oblique())
    images = []
    for time_s in (61.0, 62.0, 63.0):
        session.show(time_s)
        images.append(session.output.GetImageData())
    assert images[0] is not images[1] and images[1] is not images[2]


def test_one_event_per_move_of_the_slider(scene):
    session = open_session(scene, oblique())
    node = session.output
    events = []
    node.AddObserver(node.ImageDataModifiedEvent, lambda *_: events.append(1))
    session.show(90.0)
    assert len(events) == 1


def test_the_window_stays_whatever_is_shown_and_follows_the_user(scene):
    session = open_session(scene, oblique())
    display = session.output.GetDisplayNode()
    assert not display.GetAutoWindowLevel()
    before = (display.GetWindow(), display.GetLevel())
    for time_s in TIMES_S:
        session.show(time_s)
        assert (display.GetWindow(), display.GetLevel()) == before
    display.SetWindowLevelMinMax(10.0, 20.0)
    session.show(60.0)
    assert display.GetWindowLevelMin() == 10.0


def test_subtraction_takes_the_source_off_and_keeps_a_window_of_its_own(scene):
    volume = oblique()
    session = open_session(scene, volume)
    display = session.output.GetDisplayNode()
    display.SetWindowLevelMinMax(11.0, 222.0)
    session.subtracted = True
    for time_s in (90.0, 105.0):
        assert session.show(time_s).subtracted
        np.testing.assert_allclose(shown_voxels(session), volume.voxels * time_s / 200, rtol=1e-4)
    assert display.GetWindowLevelMin() == 0.0
    display.SetWindowLevelMinMax(0.0, 99.0)
    session.subtracted = False
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (11.0, 222.0)
    session.subtracted = True
    assert display.GetWindowLevelMax() == 99.0


def test_synthetic_is_in_name_attributes_and_caption(scene):
    session = open_session(scene, oblique())
    session.show(90.0)
    node = session.output
    assert node.GetName() == "SYNTHETIC T1"
    assert node.GetAttribute("CEKWorld.Synthetic") == "1"
    assert node.GetAttribute("CEKWorld.model") == PROVENANCE.model
    assert node.GetAttribute("CEKWorld.model_sha256") == PROVENANCE.model_sha256
    assert node.GetAttribute("CEKWorld.seed") == "7"
    assert session.caption.text == "SYNTHETIC t=+90 s"


def test_the_upper_edge_of_every_view_says_synthetic(scene):
    session = open_session(scene, oblique())
    session.show(90.0)
    renderers = [vtk.vtkRenderer(), vtk.vtkRenderer()]
    texts = [session.caption.add(renderer) for renderer in renderers]
    assert [text.GetInput() for text in texts] == ["SYNTHETIC t=+90 s"] * 2
    session.show(180.0)
    assert [text.GetInput() for text in texts] == ["SYNTHETIC t=+180 s"] * 2
    assert renderers[1].HasViewProp(texts[1])
    scene.Clear(0)
    assert texts[0].GetInput() == ""
    session.caption.clear()
    assert not renderers[1].HasViewProp(texts[1])


def test_captions_by_hand():
    assert caption(93.25, True) == "SYNTHETIC t=+93.2 s"
    assert caption(-30.0, False) == "t=-30 s"
    assert caption(1234.5, True, exact=False) == "SYNTHETIC t=+1234.5 s (preview)"
    assert caption(45.0, False, exact=False) == "t=+45 s (interpolated)"
    assert caption(90.0, True, exact=False, partial=True) == "SYNTHETIC t=+90 s (not all slices yet)"


def test_a_frame_that_lacks_slices_is_neither_exact_nor_called_so_until_it_is_whole(scene):
    session = open_session(scene, oblique())
    session.put_glance(75.0, frame_at(oblique(), 75.0), partial=True)
    shown = session.show(75.0)
    assert shown.partial and not shown.exact and session.caption.text == "SYNTHETIC t=+75 s (not all slices yet)"
    session.put_glance(90.0, frame_at(oblique(), 90.0), partial=True)
    assert session.show(90.0).exact  # a phase, whatever a glance from before it was whole held
    session.put_glance(75.0, frame_at(oblique(), 75.0))
    assert session.show(75.0).exact and session.caption.text == "SYNTHETIC t=+75 s"


def test_acquired_series_are_not_called_synthetic_even_in_the_same_node(scene):
    session = open_session(scene, oblique())
    series = session.series()
    assert series.synthetic and series.times_s.tolist() == [0.0, 20.0, *TIMES_S]
    session.open_series("DCE", replace(series, synthetic=False))
    assert session.show(90.0).caption == "t=+90 s"
    assert session.output.GetName() == "DCE"
    assert session.output.GetAttribute("CEKWorld.Synthetic") == "0"
    assert session.output.GetAttribute("CEKWorld.seed") is None


def test_voxels_without_a_number_leave_the_window_that_of_the_others(scene):
    series = open_session(scene, oblique()).series()
    frames = series.frames.copy()
    frames[..., 0] = np.nan
    session = SceneSession(scene)
    session.open_series("DCE", replace(series, frames=frames, synthetic=False))
    display = session.output.GetDisplayNode()
    assert 0 < display.GetWindowLevelMin() < display.GetWindowLevelMax() < 1000


def test_a_frame_of_another_shape_is_refused(scene):
    with pytest.raises(CEKWorldError, match="does not fit"):
        open_session(scene, oblique()).put_frame(50.0, np.zeros((1, 2, 3), np.float32))


def test_the_real_session_fills_the_scene(scene):
    from closed_form_model import ClosedFormModel, phantom

    from CEKWorldLib.exam.protocol import Injection
    from CEKWorldLib.scene.provenance import Provenance
    from CEKWorldLib.synthesis.session import Session

    session, exam = Session(ClosedFormModel(), "cpu"), phantom(2, 64, 64)
    session.prepare(exam, Injection(arrival_s=20.0))
    session.synthesize((60.0, 120.0))
    facts = session.metadata()
    view = open_session(scene, oblique())
    view.open_exam("T1", exam.pre, Provenance(facts["model"], facts["model_sha256"], facts["seed"]), 20.0, 2.0)
    for time_s in session.times:
        view.put_frame(time_s, session.frame(time_s))
    view.show(60.0)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(volume_of(view.output).to_image()), session.frame(60.0))
    assert view.output.GetAttribute("CEKWorld.model_sha256") == "5" * 64


def test_weighted_sums_are_right_at_any_size():
    rng = np.random.default_rng(1)
    for shape in ((1, 1, 1), (3, 5, 7), (2, 200, 333)):
        a, b, c = rng.normal(size=(3, *shape)).astype(np.float32)
        out = np.full(shape, np.nan, np.float32)
        weighted_sum([(0.25, a), (0.75, b), (-1.0, c)], out)
        np.testing.assert_allclose(out, 0.25 * a + 0.75 * b - c, atol=1e-6)


def test_memory_makes_room_by_dropping_what_was_not_shown_for_longest():
    store = FrameStore(limit_bytes=3 * 4)
    frames = {t: np.full((1, 1, 1), t, np.float32) for t in (0.0, 60.0, 90.0, 180.0)}
    store.put(0.0, frames[0.0], keep=True)
    store.put(60.0, frames[60.0])
    store.put(90.0, frames[90.0])
    store.image(60.0)
    store.put(180.0, frames[180.0])
    assert store.times_s == (0.0, 60.0, 180.0)
    assert store.image(90.0) is None


def test_what_is_not_contiguous_is_refused_before_vtk_reads_past_it():
    with pytest.raises(ValueError, match="contiguous"):
        image_of(np.zeros((4, 4, 4), np.float32)[:, ::2])


def test_a_deleted_output_node_comes_back(scene):
    session = open_session(scene, oblique())
    scene.RemoveNode(session.output)
    session.show(90.0)
    assert session.output.GetName() == "SYNTHETIC T1" and session.output.GetScene() is scene
    assert not session.output.GetDisplayNode().GetAutoWindowLevel()
    fill(session, oblique())


def test_a_deleted_output_node_comes_back_into_the_views_unless_these_were_given_back(scene):
    view = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    other = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    session = open_session(scene, oblique())
    session.show_in_views()
    for _ in range(2):
        scene.RemoveNode(session.output)
        view.SetBackgroundVolumeID(other.GetID())  # as Slicer's slice controller does
        session.show(90.0)
        assert view.GetBackgroundVolumeID() == session.output.GetID()
    session.layers.restore()
    scene.RemoveNode(session.output)
    session.show(90.0)
    assert view.GetBackgroundVolumeID() != session.output.GetID()
