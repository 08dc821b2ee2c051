"""What happens to the scene happens to the session: nothing crashes, nothing is left, nothing grows."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import psutil
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
from scene_phantom import fill, frame_at, oblique, open_session

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.scene.images import array_of
from CEKWorldLib.scene.observers import Observers
from CEKWorldLib.scene.regions import from_click


def node_ids(scene) -> list[str]:
    return [scene.GetNthNode(n).GetID() for n in range(scene.GetNumberOfNodes())]


def use(session) -> None:
    """Everything a user may have done before closing the scene."""
    volume = session.output
    session.show(90.0)
    session.show(91.5)
    session.subtracted = True
    session.show(90.0)
    session.follow_mouse(True)
    session.measure([from_click(volume.GetOrigin(), volume)])
    session.overlay.show_types(np.ones(oblique().shape, np.uint8))
    session.layers.project(20.0)
    session.publish()


def test_200_scrub_steps_add_no_nodes_and_no_observers(scene):
    session = open_session(scene, oblique())
    session.measure([from_click(session.output.GetOrigin(), session.output)])
    session.show(0.0)
    nodes, told = node_ids(scene), observers_of(session.output)
    assert told > 0
    for step in range(200):
        session.show(step * 2.0)
    assert node_ids(scene) == nodes
    assert observers_of(session.output) == told


def observers_of(node) -> int:
    """VTK prints its observers, one line each."""
    return str(node).count("vtkObserver (")


def test_20_scene_closes_leave_nodes_observers_and_memory_as_they_were(scene):
    session = open_session(scene, oblique())
    use(session)
    scene.Clear(0)
    nodes, told = node_ids(scene), observers_of(scene)
    process = psutil.Process()
    memory = []
    for _ in range(20):
        fill(session, oblique((20, 128, 128)))  # 1.3 MB a frame
        session.show(90.0)
        session.show(95.0)
        session.publish()
        scene.Clear(0)
        gc.collect()
        memory.append(process.memory_info().rss)
    assert node_ids(scene) == nodes
    assert observers_of(scene) == told
    assert memory[-1] - memory[4] < 4 * 2**20


def test_a_closed_scene_empties_the_session_and_tells_the_front(scene):
    told = []
    session = open_session(scene, oblique(), on_scene_closed=lambda: told.append(scene.IsClosing()))
    use(session)
    scene.Clear(0)
    assert len(told) == 1
    assert not session.is_open and session.times_s == () and session.show(90.0) is None
    with pytest.raises(CEKWorldError, match="no exam"):
        session.publish()
    fill(session, oblique())
    assert session.show(90.0).exact


def test_nothing_is_added_while_a_scene_is_loaded(scene):
    session = open_session(scene, oblique())
    scene.StartState(slicer.vtkMRMLScene.ImportState)
    nodes = node_ids(scene)
    assert session.show(90.0) is None
    assert node_ids(scene) == nodes
    scene.EndState(slicer.vtkMRMLScene.ImportState)
    assert session.show(90.0).exact


def test_importing_a_saved_session_into_an_open_one_leaves_the_open_one_alone(scene, standalone, tmp_path):
    session = open_session(scene, oblique())
    use(session)
    session.subtracted = False
    path = str(tmp_path / "scene.mrml")
    scene.SetURL(path)
    scene.Commit(path)
    own = session.output
    scene.SetURL(path)
    scene.Import()
    assert session.output is own
    assert session.show(180.0).exact
    np.testing.assert_array_equal(own.GetImageData().GetDimensions(), (24, 20, 6))


def test_a_deleted_or_moved_output_volume_costs_neither_curve_nor_mouse(scene):
    session = open_session(scene, oblique())
    session.show(90.0)
    place = session.output.GetOrigin()
    session.follow_mouse(True)
    scene.RemoveNode(session.output)
    scene.GetFirstNodeByClass("vtkMRMLCrosshairNode").SetCursorPositionRAS(list(place))
    np.testing.assert_array_equal(array_of(session.output.GetImageData()), frame_at(oblique(), 90.0))
    assert session.output.GetAttribute("CEKWorld.TimeSeconds") == "90"
    assert session.measure([from_click(place, session.output)])[0].voxels > 0
    moved = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    session.output.SetAndObserveTransformNodeID(moved.GetID())
    assert session.grid.shape == oblique().shape


def test_undo_does_not_take_the_session_apart(scene):
    scene.SetUndoOn()
    session = open_session(scene, oblique())
    scene.SaveStateForUndo()
    use(session)
    extra = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "point")
    extra.SetUndoEnabled(True)
    scene.Undo()
    assert session.show(180.0).exact
    assert session.output.GetScene() is scene
    session.measure([from_click(session.output.GetOrigin(), session.output)])


def test_a_module_that_is_loaded_again_goes_on_with_the_nodes_that_are_there(scene):
    session = open_session(scene, oblique())
    use(session)
    before, told = node_ids(scene), observers_of(scene)
    for _ in range(5):
        session.close()
        session = open_session(scene, oblique())
        use(session)
    assert node_ids(scene) == before
    assert observers_of(scene) == told


def test_the_scene_does_not_keep_a_session_alive(scene):
    session = open_session(scene, oblique())
    use(session)
    alive = weakref.ref(session)
    del session
    gc.collect()
    assert alive() is None
    scene.GetFirstNodeByClass("vtkMRMLCrosshairNode").SetCursorPositionRAS([1.0, 2.0, 3.0])
    scene.Clear(0)


def test_closing_leaves_results_and_gives_the_views_back(scene):
    before = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "before")
    composite = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    slice_node = scene.AddNewNodeByClass("vtkMRMLSliceNode")
    composite.SetBackgroundVolumeID(before.GetID())
    composite.SetForegroundOpacity(0.25)
    session = open_session(scene, oblique())
    session.show_in_views()
    use(session)
    assert composite.GetBackgroundVolumeID() == session.output.GetID()
    assert slice_node.GetSlabReconstructionEnabled() and slice_node.GetSlabReconstructionThickness() == 20.0
    output = session.output
    session.close()
    assert output.GetScene() is scene
    assert composite.GetBackgroundVolumeID() == before.GetID()
    assert composite.GetForegroundVolumeID() is None and composite.GetForegroundOpacity() == 0.25
    assert not slice_node.GetSlabReconstructionEnabled()


def test_volumes_that_the_user_has_chosen_since_stay_in_the_views(scene):
    before, chosen = (scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name) for name in ("before", "chosen"))
    red, green = (scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode") for _view in range(2))
    for composite in (red, green):
        composite.SetBackgroundVolumeID(before.GetID())
        composite.SetForegroundVolumeID(before.GetID())
    session = open_session(scene, oblique())
    session.show_in_views()
    session.overlay.show_types(np.ones(oblique().shape, np.uint8))
    red.SetBackgroundVolumeID(chosen.GetID())
    red.SetForegroundVolumeID(chosen.GetID())
    session.overlay.hide()
    session.close()
    for composite, volume in ((red, chosen), (green, before)):
        assert composite.GetBackgroundVolumeID() == composite.GetForegroundVolumeID() == volume.GetID()


def test_cleared_observers_are_gone_from_what_they_observed(scene):
    class Receiver:
        count = 0

        def told(self) -> None:
            self.count += 1

    receiver, observers = Receiver(), Observers()
    observers.add(scene, "ModifiedEvent", receiver.told)
    scene.Modified()
    observers.clear()
    scene.Modified()
    assert receiver.count == 1 and len(observers) == 0
