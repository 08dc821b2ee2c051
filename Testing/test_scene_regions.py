"""Regions drawn in a scene, checked voxel by voxel, and their curves in the plot nodes."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
import slicer
import vtk
from scene_phantom import OBLIQUE, oblique, open_session
from vtk.util.numpy_support import vtk_to_numpy

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.kinetics.roi import roi_curves
from CEKWorldLib.kinetics.settings import Settings
from CEKWorldLib.scene.geometry import matrix_of, world_to_ijk
from CEKWorldLib.scene.images import image_of
from CEKWorldLib.scene.regions import from_click, from_closed_curve, from_roi, from_segment, from_segmentation


@pytest.fixture
def session(scene):
    session = open_session(scene, oblique())
    session.settings = Settings(arrival_s=20.0)
    return session


def ras(volume, i: float, j: float, k: float) -> list[float]:
    return (np.linalg.inv(world_to_ijk(volume)) @ [i, j, k, 1])[:3].tolist()


def drawn(mask: np.ndarray, volume, segmentation, name: str) -> str:
    image = slicer.vtkOrientedImageData()
    image.ShallowCopy(image_of(mask.astype(np.uint8)))
    image.SetGeometryFromImageToWorldMatrix(matrix_of(np.linalg.inv(world_to_ijk(volume))))
    return segmentation.AddSegmentFromBinaryLabelmapRepresentation(image, name)


def random_mask(shape=(6, 20, 24)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[1:4, 3:15, 5:20] = np.random.default_rng(5).random((3, 12, 15)) > 0.6
    return mask


def test_a_segment_gives_exactly_its_voxels(session, scene):
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    mask = random_mask()
    region = from_segment(segmentation, drawn(mask, session.output, segmentation, "lesion"), session.output)
    np.testing.assert_array_equal(region.mask, mask)
    assert region.name == "lesion"
    assert region.inside.size < mask.size / 2


def test_overlapping_segments_keep_their_own_voxels(session, scene):
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    masks = {"a": random_mask(), "b": np.roll(random_mask(), 2, axis=1), "c": np.roll(random_mask(), 1, axis=0)}
    for name, mask in masks.items():
        drawn(mask, session.output, segmentation, name)
    segmentation.GetSegmentation().AddEmptySegment("", "not drawn yet")
    for region in from_segmentation(segmentation, session.output):
        np.testing.assert_array_equal(region.mask, masks[region.name])
    assert len(from_segmentation(segmentation, session.output)) == 3


def test_a_segment_beyond_the_edge_keeps_what_lies_inside(session, scene):
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    image = slicer.vtkOrientedImageData()
    image.ShallowCopy(image_of(np.ones((6, 20, 24), np.uint8)))
    to_world = np.linalg.inv(world_to_ijk(session.output)) @ np.array(
        [[1, 0, 0, 20], [0, 1, 0, -15], [0, 0, 1, 0], [0, 0, 0, 1.0]]
    )
    image.SetGeometryFromImageToWorldMatrix(matrix_of(to_world))
    segment = segmentation.AddSegmentFromBinaryLabelmapRepresentation(image, "edge")
    expected = np.zeros((6, 20, 24), bool)
    expected[:, :5, 20:] = True
    np.testing.assert_array_equal(from_segment(segmentation, segment, session.output).mask, expected)


def test_a_moved_segmentation_moves_its_voxels(session, scene):
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    mask = random_mask()
    segment = drawn(mask, session.output, segmentation, "lesion")
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    step = np.eye(4)
    step[:3, 3] = np.array(ras(session.output, 0, 2, 1)) - ras(session.output, 0, 0, 0)
    transform.SetMatrixTransformToParent(matrix_of(step))
    segmentation.SetAndObserveTransformNodeID(transform.GetID())
    moved = from_segment(segmentation, segment, session.output).mask
    np.testing.assert_array_equal(moved, np.roll(mask, (1, 2), axis=(0, 1)))


@pytest.mark.parametrize("from_the_exam", [True, False], ids=["grid of the exam", "grid of its own"])
def test_a_segment_that_is_a_surface_alone_is_filled(session, scene, from_the_exam):
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    if from_the_exam:
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(session.output)
    segmentation.GetSegmentation().SetSourceRepresentationName("Closed surface")
    ball, radius = vtk.vtkSphereSource(), 6.0
    centre = ras(session.output, 12, 10, 3)
    ball.SetCenter(centre)
    ball.SetRadius(radius)
    ball.SetThetaResolution(64)
    ball.SetPhiResolution(64)
    ball.Update()
    segment = segmentation.AddSegmentFromClosedSurfaceRepresentation(ball.GetOutput(), "from a mesh")
    mask = from_segment(segmentation, segment, session.output).mask
    assert not segmentation.GetSegmentation().ContainsRepresentation("Binary labelmap")
    distances = [
        np.linalg.norm(np.subtract(ras(session.output, i, j, k), centre)) for k, j, i in np.ndindex(mask.shape)
    ]
    distances = np.reshape(distances, mask.shape)
    assert mask[distances < radius - 1.0].all() and not mask[distances > radius + 1.0].any()


def test_an_empty_segment_has_no_curve(session, scene):
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segment = segmentation.GetSegmentation().AddEmptySegment("", "lesion")
    with pytest.raises(CEKWorldError, match="lesion"):
        from_segment(segmentation, segment, session.output)


@pytest.mark.parametrize("turned", [False, True], ids=["along the patient", "along the volume"])
def test_a_box_holds_the_voxels_whose_centres_it_holds(session, scene, turned):
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    centre, size = np.array(ras(session.output, 11, 9, 3)), np.array([6.0, 7.0, 8.0])
    axes = np.diag([-1.0, -1.0, 1.0]) @ np.reshape(OBLIQUE, (3, 3)) if turned else np.eye(3)
    placed = np.eye(4)
    placed[:3, :3], placed[:3, 3] = axes, centre
    roi.SetAndObserveObjectToNodeMatrix(matrix_of(placed))
    roi.SetSize(size)
    expected = np.zeros((6, 20, 24), bool)
    for k, j, i in np.ndindex(expected.shape):
        expected[k, j, i] = np.all(np.abs(axes.T @ (np.array(ras(session.output, i, j, k)) - centre)) <= size / 2)
    np.testing.assert_array_equal(from_roi(roi, session.output).mask, expected)
    assert expected.sum() > 20


def test_a_box_outside_holds_no_voxel(session, scene):
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    roi.SetCenter(ras(session.output, 500, 0, 0))
    roi.SetSize(3, 3, 3)
    with pytest.raises(CEKWorldError, match="box"):
        from_roi(roi, session.output)


@pytest.mark.parametrize("axis", [0, 1, 2], ids=["slice", "row", "column"])
def test_a_closed_curve_fills_one_slice_of_the_plane_it_is_drawn_in(session, scene, axis):
    curve = scene.AddNewNodeByClass("vtkMRMLMarkupsClosedCurveNode", "curve")
    curve.SetCurveTypeToLinear()
    sides = {0: ((3.5, 12.5), (4.5, 15.5)), 1: ((0.5, 3.5), (4.5, 15.5)), 2: ((0.5, 3.5), (3.5, 12.5))}[axis]
    for u, v in ((0, 0), (0, 1), (1, 1), (1, 0)):
        kji = [sides[0][u], sides[1][v]]
        kji.insert(axis, 2.2)
        curve.AddControlPointWorld(vtk.vtkVector3d(*ras(session.output, *kji[::-1])))
    expected = np.zeros((6, 20, 24), bool)
    cut = [slice(int(low + 0.5), int(high + 0.5)) for low, high in sides]
    cut.insert(axis, slice(2, 3))
    expected[tuple(cut)] = True
    np.testing.assert_array_equal(from_closed_curve(curve, session.output).mask, expected)


def test_a_bent_curve_leaves_its_hollow_out(session, scene):
    curve = scene.AddNewNodeByClass("vtkMRMLMarkupsClosedCurveNode", "curve")
    curve.SetCurveTypeToLinear()
    for i, j in ((2.5, 2.5), (15.5, 2.5), (15.5, 15.5), (12.5, 15.5), (12.5, 5.5), (2.5, 5.5)):
        curve.AddControlPointWorld(vtk.vtkVector3d(*ras(session.output, i, j, 2)))
    expected = np.zeros((6, 20, 24), bool)
    expected[2, 3:6, 3:16] = expected[2, 3:16, 13:16] = True
    np.testing.assert_array_equal(from_closed_curve(curve, session.output).mask, expected)


def test_two_points_are_no_curve(session, scene):
    curve = scene.AddNewNodeByClass("vtkMRMLMarkupsClosedCurveNode", "curve")
    curve.AddControlPointWorld(vtk.vtkVector3d(*ras(session.output, 2, 2, 2)))
    with pytest.raises(CEKWorldError, match="three points"):
        from_closed_curve(curve, session.output)


def test_points_whose_place_was_taken_back_are_no_curve(session, scene):
    curve = scene.AddNewNodeByClass("vtkMRMLMarkupsClosedCurveNode", "curve")
    for n, (i, j) in enumerate(((2, 2), (9, 2), (9, 9))):
        curve.AddControlPointWorld(vtk.vtkVector3d(*ras(session.output, i, j, 2)))
        curve.UnsetNthControlPointPosition(n)
    with pytest.raises(CEKWorldError, match="three points"):
        from_closed_curve(curve, session.output)


def test_a_click_takes_nine_pixels_of_the_acquired_plane(session):
    region = from_click(ras(session.output, 10.3, 8.4, 2.2), session.output)
    expected = np.zeros((6, 20, 24), bool)
    expected[2, 7:10, 9:12] = True
    np.testing.assert_array_equal(region.mask, expected)
    sideways = from_click(ras(session.output, 10, 8, 2), session.output, slice_axis=1)
    assert sideways.inside.shape == (3, 1, 3)
    assert from_click(ras(session.output, 0, 0, 0), session.output).inside.sum() == 4
    with pytest.raises(CEKWorldError, match="outside"):
        from_click(ras(session.output, 0, 0, 6.6), session.output)


def plotted(series) -> np.ndarray:
    table = series.GetTableNode().GetTable()
    columns = [table.GetColumnByName(name) for name in (series.GetXColumnName(), series.GetYColumnName())]
    return np.stack([vtk_to_numpy(column) for column in columns])


def series_by_name(chart) -> dict:
    nodes = [chart.GetNthPlotSeriesNode(n) for n in range(chart.GetNumberOfPlotSeriesNodes())]
    return {node.GetName(): node for node in nodes}


def test_the_curve_in_the_plot_is_that_of_the_kinetics_room(session):
    region = from_click(ras(session.output, 10, 8, 2), session.output)
    result = session.measure([region])[0]
    series = session.series()
    expected = roi_curves(series.frames, series.times_s, {"click": region.mask}, session.settings)[0]
    np.testing.assert_allclose(result.enhancement, expected.enhancement)
    np.testing.assert_array_equal(result.positions, expected.positions)
    node = series_by_name(session.chart.node)["SYNTHETIC click"]
    np.testing.assert_allclose(plotted(node), [expected.times_s, expected.enhancement])
    np.testing.assert_allclose(plotted(node)[1, -1], 180.0, rtol=1e-5)


def test_editing_regions_updates_the_same_nodes(session, scene):
    first = from_click(ras(session.output, 10, 8, 2), session.output)
    other = from_click(ras(session.output, 15, 8, 2), session.output, name="other")
    session.measure([first, other])
    nodes = [scene.GetNthNode(n).GetID() for n in range(scene.GetNumberOfNodes())]
    for n in range(5, 15):
        session.measure([from_click(ras(session.output, n, 8, 2), session.output), other])
    assert [scene.GetNthNode(n).GetID() for n in range(scene.GetNumberOfNodes())] == nodes
    session.measure([other])
    assert "SYNTHETIC click" not in series_by_name(session.chart.node)
    assert scene.GetNumberOfNodes() == len(nodes) - 2


def test_lines_stand_at_the_current_time_and_at_those_that_are_compared(session):
    session.measure([from_click(ras(session.output, 10, 8, 2), session.output)])
    session.show(90.0)
    session.show(104.0)
    lines = series_by_name(session.chart.node)
    assert plotted(lines["time cursor"])[0].tolist() == [104.0, 104.0]
    assert plotted(lines["t_e"])[0].tolist() == [90.0, 90.0]
    assert plotted(lines["t_l"])[0].tolist() == [360.0, 360.0]
    low, high = plotted(lines["time cursor"])[1]
    assert low < 0 and high > 180.0
    session.measure([])
    assert "t_e" not in series_by_name(session.chart.node)


def test_moving_the_cursor_tells_the_chart(session):
    session.show(60.0)
    told = []
    session.chart.node.AddObserver("ModifiedEvent", lambda *_: told.append(1))
    session.show(61.0)
    assert told


def test_the_voxel_under_the_mouse_has_its_curve_until_the_mouse_leaves(session, scene):
    crosshair = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    session.follow_mouse(True)
    crosshair.SetCursorPositionRAS(ras(session.output, 10, 8, 2))
    curve = plotted(series_by_name(session.chart.node)["SYNTHETIC voxel"])
    np.testing.assert_allclose(curve, [[0, 20, 60, 90, 180, 360], [0, 0, 30, 45, 90, 180]], atol=1e-3)
    crosshair.SetCursorPositionRAS([1e4, 0, 0])
    assert "SYNTHETIC voxel" not in series_by_name(session.chart.node)
    session.follow_mouse(False)
    crosshair.SetCursorPositionRAS(ras(session.output, 10, 8, 2))
    assert "SYNTHETIC voxel" not in series_by_name(session.chart.node)
