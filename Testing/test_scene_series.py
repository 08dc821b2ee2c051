"""Sequences out of and into the scene, and maps over the images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
import vtk
from scene_phantom import PROVENANCE, TIMES_S, fill, frame_at, oblique, open_session
from vtk.util.numpy_support import numpy_to_vtk

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.phase_times import UnknownTimesError
from CEKWorldLib.exam.series_reading import read_series
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.scene.acquired_series import series_of_multivolume, series_of_sequence, series_of_volumes
from CEKWorldLib.scene.geometry import same_grid, set_geometry
from CEKWorldLib.scene.images import array_of, image_of

PHASES = (0.0, 20.0, *TIMES_S)


def volume_node(scene, volume: Volume, name: str = "phase"):
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    set_geometry(node, volume)
    node.SetAndObserveImageData(image_of(volume.voxels))
    return node


def test_published_phases_are_a_sequence_over_seconds_that_shares_its_voxels(scene):
    session = open_session(scene, oblique())
    sequence, browser = session.publish()
    assert (sequence.GetIndexName(), sequence.GetIndexUnit()) == ("time", "s")
    assert [float(sequence.GetNthIndexValue(n)) for n in range(len(PHASES))] == list(PHASES)
    assert sequence.GetName() == "SYNTHETIC T1 phases" and sequence.GetAttribute("CEKWorld.seed") == "7"
    session.show(90.0)
    phase = sequence.GetDataNodeAtValue("90", True)
    assert np.shares_memory(array_of(phase.GetImageData()), array_of(session.output.GetImageData()))
    assert phase.GetAttribute("CEKWorld.Synthetic") == "1"
    assert browser.GetMasterSequenceNode() is sequence


def test_the_browser_steps_through_copies_so_that_edits_reach_no_phase(scene):
    session = open_session(scene, oblique())
    sequence, browser = session.publish()
    browser.SetSelectedItemByIndexValue("180", True)
    proxy = browser.GetProxyNode(sequence)
    np.testing.assert_array_equal(array_of(proxy.GetImageData()), frame_at(oblique(), 180.0))
    array_of(proxy.GetImageData())[:] = -1
    proxy.Modified()
    browser.SetSelectedItemByIndexValue("90", True)
    session.show(180.0)
    np.testing.assert_array_equal(array_of(session.output.GetImageData()), frame_at(oblique(), 180.0))
    assert proxy.GetAttribute("CEKWorld.Synthetic") == "1" and "SYNTHETIC" in proxy.GetName()


def test_publishing_again_replaces_the_phases_in_the_same_nodes(scene):
    session = open_session(scene, oblique())
    first = session.publish()
    session.put_frame(75.0, frame_at(oblique(), 75.0))
    count = scene.GetNumberOfNodes()
    assert session.publish() == first
    assert scene.GetNumberOfNodes() == count
    assert first[0].GetNumberOfDataNodes() == len(PHASES) + 1


def test_phases_of_another_exam_seed_arrival_or_origin_leave_the_sequence_before_as_it_was(scene):
    session = open_session(scene, oblique())
    first, browser = session.publish()
    other = replace(PROVENANCE, seed=8)
    session.open_exam("T1", oblique(), other, 20.0, brightest=2.0)
    second, _ = session.publish()
    session.open_exam("T1", oblique(), other, 40.0, brightest=2.0)
    third, _ = session.publish()
    session.open_series("T1", replace(session.series(), synthetic=False))
    acquired, _ = session.publish()
    assert len({sequence.GetID() for sequence in (first, second, third, acquired)}) == 4
    assert second.GetNthIndexValue(1) == "20" and third.GetNthIndexValue(1) == "40"
    assert first.GetNumberOfDataNodes() == len(PHASES) and first.GetAttribute("CEKWorld.seed") == "7"
    assert acquired.GetAttribute("CEKWorld.Synthetic") == "0" and browser.GetMasterSequenceNode() is first


def test_phases_of_another_patients_exam_of_the_same_name_get_a_sequence_of_their_own(scene):
    volume = oblique()
    session = open_session(scene, volume)
    first, _ = session.publish()
    for other in (replace(volume, voxels=volume.voxels + 1), replace(volume, origin=(0.0, 0.0, 0.0)), volume):
        fill(session, other)
        again, _ = session.publish()
        assert (again is first) == (other is volume)
    assert first.GetNumberOfDataNodes() == len(PHASES)


def test_slicer_saves_what_the_project_reads(scene, tmp_path):
    sequence, _ = open_session(scene, oblique()).publish()
    storage = slicer.vtkMRMLVolumeSequenceStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(str(tmp_path / "phases.seq.nrrd"))
    assert storage.WriteData(sequence) == 1
    back = read_series(tmp_path / "phases.seq.nrrd")
    assert back.synthetic and back.times_s.tolist() == list(PHASES)
    assert same_grid(back.grid, oblique())
    np.testing.assert_array_equal(back.frames[3], frame_at(oblique(), 90.0))


def test_a_sequence_over_seconds_becomes_a_series(scene):
    sequence, _ = open_session(scene, oblique()).publish()
    series = series_of_sequence(sequence)
    assert series.synthetic and series.times_s.tolist() == list(PHASES)
    np.testing.assert_array_equal(series.frames[-1], frame_at(oblique(), 360.0))
    assert same_grid(series.grid, oblique())
    assert series_of_sequence(sequence, injection_s=30.0).times_s[:2].tolist() == [-30.0, -10.0]


def test_a_dicom_sequence_tells_its_times_by_its_multivolume_labels_in_milliseconds(scene):
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "DCE")
    for n in range(3):
        sequence.SetDataNodeAtValue(volume_node(scene, oblique()), str(n))
    sequence.SetIndexName("")
    sequence.SetIndexUnit("")
    with pytest.raises(UnknownTimesError, match="DCE"):
        series_of_sequence(sequence)
    assert series_of_sequence(sequence, times_s=(-5.0, 60.0, 120.0)).times_s.tolist() == [-5.0, 60.0, 120.0]
    sequence.SetAttribute("MultiVolume.FrameLabels", "0,63500,127000")
    sequence.SetAttribute("MultiVolume.FrameIdentifyingDICOMTagName", "TriggerTime")
    sequence.SetAttribute("MultiVolume.FrameIdentifyingDICOMTagUnits", "ms")
    series = series_of_sequence(sequence)
    assert series.times_s.tolist() == [0.0, 63.5, 127.0] and not series.synthetic


def test_a_multivolume_is_one_image_with_a_component_for_each_phase(scene):
    # slicer-core has no vtkMRMLMultiVolumeNode; a vector volume holds the same image and attributes.
    volume = oblique()
    frames = np.stack([frame_at(volume, t) for t in (0.0, 60.0, 120.0)])
    image = vtk.vtkImageData()
    image.SetDimensions(volume.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(np.moveaxis(frames, 0, -1).reshape(-1, 3), deep=True))
    node = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "DCE")
    set_geometry(node, volume)
    node.SetAndObserveImageData(image)
    node.SetAttribute("MultiVolume.FrameLabels", "0,60000,120000")
    node.SetAttribute("MultiVolume.FrameIdentifyingDICOMTagName", "AcquisitionTime")
    node.SetAttribute("MultiVolume.FrameIdentifyingDICOMTagUnits", "ms")
    series = series_of_multivolume(node)
    np.testing.assert_array_equal(series.frames, frames)
    assert series.times_s.tolist() == [0.0, 60.0, 120.0] and same_grid(series.grid, volume)
    with pytest.raises(CEKWorldError, match="single phase"):
        series_of_multivolume(volume_node(scene, volume))


def test_volumes_loaded_one_by_one_become_a_series_on_one_grid_only(scene):
    volume = oblique()
    nodes = [volume_node(scene, volume.like(frame_at(volume, t))) for t in (0.0, 60.0, 120.0)]
    series = series_of_volumes(nodes, (0.0, 60.0, 120.0))
    np.testing.assert_array_equal(series.frames[2], frame_at(volume, 120.0))
    with pytest.raises(CEKWorldError, match="rising"):
        series_of_volumes(nodes, (0.0, 60.0, 50.0))
    nodes[1].SetOrigin(0, 0, 0)
    with pytest.raises(CEKWorldError, match="Phase 2"):
        series_of_volumes(nodes, (0.0, 60.0, 120.0))
    with pytest.raises(CEKWorldError, match="at least 2"):
        series_of_volumes(nodes[:1], (0.0,))


def test_an_acquired_series_is_scrubbed_like_a_synthetic_one(scene):
    volume = oblique()
    nodes = [volume_node(scene, volume.like(frame_at(volume, t))) for t in (0.0, 60.0, 120.0)]
    session = open_session(scene, volume)
    session.open_series("DCE", series_of_volumes(nodes, (0.0, 60.0, 120.0)))
    assert session.show(30.0).caption == "t=+30 s (interpolated)"
    np.testing.assert_allclose(array_of(session.output.GetImageData()), frame_at(volume, 30.0), rtol=1e-6)


def test_a_volume_that_is_moved_by_a_transform_is_refused(scene):
    node = volume_node(scene, oblique())
    node.SetAndObserveTransformNodeID(scene.AddNewNodeByClass("vtkMRMLLinearTransformNode").GetID())
    with pytest.raises(CEKWorldError, match="harden"):
        series_of_volumes([node, node], (0.0, 60.0))


def drawn_colours(overlay) -> np.ndarray:
    """RGBA (slices, rows, columns, 4) as a slice view gets them."""
    display = overlay.GetDisplayNode()
    display.UpdateImageDataPipeline()
    display.GetOutputImageDataConnection().GetProducer().Update()
    return array_of(display.GetOutputImageData())


def test_curve_types_are_painted_in_their_colours_and_nothing_where_there_is_none(scene):
    composite = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    session = open_session(scene, oblique())
    types = np.zeros(oblique().shape, np.uint8)
    types[0, 0, :4] = range(4)
    session.overlay.show_types(types, "colour-blind", opacity=0.5)
    overlay = scene.GetNodeByID(composite.GetForegroundVolumeID())
    assert composite.GetForegroundOpacity() == 0.5
    assert overlay.GetName() == "SYNTHETIC curve types"
    assert not overlay.GetDisplayNode().GetInterpolate()
    painted = drawn_colours(overlay)[0, 0, :4]
    np.testing.assert_allclose(painted[1:, :3], [(0, 114, 178), (240, 228, 66), (213, 94, 0)], atol=1)
    assert painted[:, 3].tolist() == [0, 255, 255, 255]
    session.overlay.hide()
    assert composite.GetForegroundVolumeID() is None


def test_uncertainty_is_painted_where_it_is_known_in_the_same_node(scene):
    composite = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    session = open_session(scene, oblique())
    session.overlay.show_types(np.ones(oblique().shape, np.uint8))
    first = composite.GetForegroundVolumeID()
    spread = np.zeros(oblique().shape, np.float32)
    spread[0, 0, :4] = (np.nan, 0.5, 5.0, 50.0)
    session.overlay.show_uncertainty(spread, highest=10.0)
    assert composite.GetForegroundVolumeID() == first
    overlay = scene.GetNodeByID(first)
    assert overlay.GetName() == "SYNTHETIC uncertainty" and overlay.GetDisplayNode().GetInterpolate()
    assert drawn_colours(overlay)[0, 0, :4, 3].tolist() == [0, 0, 255, 255]


def test_a_sequence_made_of_a_series_keeps_where_its_times_came_from(scene):
    volume = oblique()
    nodes = [volume_node(scene, volume.like(frame_at(volume, t))) for t in (0.0, 60.0, 120.0)]
    session = open_session(scene, volume)
    series = replace(series_of_volumes(nodes, (0.0, 60.0, 120.0)), zero_source="")
    session.open_series("DCE", series)
    sequence, _browser = session.publish()
    assert sequence.GetAttribute("CEKWorld.TimeZero") == "first phase"
    assert series_of_sequence(sequence).zero_source == ""
