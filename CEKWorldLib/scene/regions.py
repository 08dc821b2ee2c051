"""Regions that the user has drawn in a scene, as voxels of a volume node: segments, boxes, closed curves, clicks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.scene.geometry import array_of_matrix, matrix_of, world_to_ijk
from CEKWorldLib.scene.images import array_of, image_of
from CEKWorldLib.scene.region import Box, Colour, Region, box_around, box_points

_CLICK_SIDE = 3  # pixels; what readers place on the hottest spot
_ROUNDING = 1e-6  # voxels; a face drawn through voxel centres takes them in


def from_segment(segmentation: Any, segment_id: str, volume: Any) -> Region:
    """The voxels of a segment's binary labelmap, nearest neighbour where its grid is another one.

    Args:
        segmentation: ``vtkMRMLSegmentationNode``.
        segment_id: of the segment.
        volume: ``vtkMRMLScalarVolumeNode`` whose grid is meant.

    Raises:
        CEKWorldError: the segment is empty or lies outside.
    """
    segment = segmentation.GetSegmentation().GetSegment(segment_id)
    name, shape = segment.GetName(), _shape(volume)
    drawn = _drawn(segmentation, segment_id)
    if drawn is None:
        raise CEKWorldError(f"The region '{name}' is empty; draw it inside the field of view.")
    slicer.vtkSlicerSegmentationsModuleLogic.ApplyParentTransformToOrientedImageData(segmentation, drawn)
    on_grid = slicer.vtkOrientedImageData()
    ijk_to_world = matrix_of(np.linalg.inv(world_to_ijk(volume)))
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceGeometry(drawn, ijk_to_world, on_grid)
    extent = np.reshape(on_grid.GetExtent(), (3, 2))
    if np.any(extent[:, 1] < extent[:, 0]):
        raise CEKWorldError(f"The region '{name}' lies outside the volume; draw it inside the field of view.")
    box = box_around(name, shape, extent[:, 0], extent[:, 1])
    cut = tuple(slice(s.start - low, s.stop - low) for s, low in zip(box, extent[::-1, 0], strict=True))
    return _region(name, shape, box, array_of(on_grid)[cut] != 0, segment.GetColor())


def from_segmentation(segmentation: Any, volume: Any) -> list[Region]:
    """All segments that hold voxels of the volume, in their order."""
    regions = []
    for segment_id in segmentation.GetSegmentation().GetSegmentIDs():
        try:
            regions.append(from_segment(segmentation, segment_id, volume))
        except CEKWorldError:  # a segment that is not drawn yet has no curve yet
            continue
    return regions


def from_roi(roi: Any, volume: Any) -> Region:
    """The voxels whose centres lie in a markups box, turned or not.

    Args:
        roi: ``vtkMRMLMarkupsROINode``.
        volume: whose grid is meant.

    Raises:
        CEKWorldError: it holds no voxel.
    """
    object_to_world = array_of_matrix(roi.GetObjectToWorldMatrix())
    half = np.array(roi.GetSize()) / 2
    signs = np.stack(np.meshgrid(*[(-1.0, 1.0)] * 3), axis=-1).reshape(-1, 3)
    corners = np.column_stack([signs * half, np.ones(8)]) @ (world_to_ijk(volume) @ object_to_world).T
    shape = _shape(volume)
    box = box_around(roi.GetName(), shape, corners.min(0)[:3] - _ROUNDING, corners.max(0)[:3] + _ROUNDING)
    to_object = np.linalg.inv(world_to_ijk(volume) @ object_to_world)
    inside = np.all(np.abs(box_points(box) @ to_object.T)[..., :3] <= half + _ROUNDING, axis=-1)
    return _region(roi.GetName(), shape, box, inside, roi.GetDisplayNode().GetSelectedColor())


def from_closed_curve(curve: Any, volume: Any) -> Region:
    """The voxels inside a closed curve, one slice of the grid thick: those nearest to the curve's plane.

    The curve is drawn in a slice view, so its plane is the axis of the grid along which it varies least.

    Args:
        curve: ``vtkMRMLMarkupsClosedCurveNode`` with at least three points.
        volume: whose grid is meant.

    Raises:
        CEKWorldError: too few points, or no voxel inside.
    """
    name, shape = curve.GetName(), _shape(volume)
    if curve.GetNumberOfDefinedControlPoints() < 3:  # a point whose place was taken back stays in the list
        raise CEKWorldError(f"The curve '{name}' has fewer than three points; close it around a region.")
    world = vtk_to_numpy(curve.GetCurvePointsWorld().GetData()).astype(float)
    points = (np.column_stack([world, np.ones(len(world))]) @ world_to_ijk(volume).T)[:, :3]
    normal = int(np.ptp(points, axis=0).argmin())
    first, last = points.min(0), points.max(0)
    first[normal] = last[normal] = np.rint(points[:, normal].mean())
    box = box_around(name, shape, first, last)
    plane = [axis for axis in range(3) if axis != normal]
    inside = _in_polygon(box_points(box)[..., plane], points[:, plane])
    return _region(name, shape, box, inside, curve.GetDisplayNode().GetSelectedColor())


def from_click(
    position_ras: Sequence[float], volume: Any, slice_axis: int = 0, name: str = "click", colour: Colour = (1, 1, 0)
) -> Region:
    """The 3x3 pixels around a point, in the plane that was acquired.

    Args:
        position_ras: (3,) world position.
        volume: whose grid is meant.
        slice_axis: array axis across the acquired plane, ``exam.grid.slice_axis``.
        name: of the region.
        colour: of its curve.

    Raises:
        CEKWorldError: the point lies outside the volume.
    """
    k, j, i = voxel_at(position_ras, volume)
    reach = np.full(3, _CLICK_SIDE // 2)
    reach[2 - slice_axis] = 0
    centre = np.array([i, j, k])
    box = box_around(name, _shape(volume), centre - reach, centre + reach)
    inside = np.ones([side.stop - side.start for side in box], bool)
    return _region(name, _shape(volume), box, inside, colour)


def voxel_at(position_ras: Sequence[float], volume: Any) -> tuple[int, int, int]:
    """Slice, row and column of the voxel at a world position.

    Raises:
        CEKWorldError: the position lies outside the volume.
    """
    ijk = np.rint(world_to_ijk(volume) @ [*position_ras, 1.0])[:3].astype(int)
    kji = ijk[::-1]
    if np.any(kji < 0) or np.any(kji >= _shape(volume)):
        raise CEKWorldError("The point lies outside the volume; click inside the image.")
    return int(kji[0]), int(kji[1]), int(kji[2])


def _drawn(segmentation: Any, segment_id: str) -> Any | None:
    """A segment's own box of the labelmap it shares with others; None where it has no voxel.

    A segment that is a surface alone, such as one read from a mesh file, is filled for this.

    Slicer's own copy of a segment goes through the whole labelmap several times: 33 ms at 320x320x160, this 3 ms.
    """
    shared = segmentation.GetBinaryLabelmapInternalRepresentation(segment_id)
    value = segmentation.GetSegmentation().GetSegment(segment_id).GetLabelValue()
    if shared is None:
        shared, value = slicer.vtkOrientedImageData(), 1
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        if not logic.GetSegmentBinaryLabelmapRepresentation(segmentation, segment_id, shared, False):
            return None
    if shared.IsEmpty():
        return None
    inside = array_of(shared) == value
    extent = list(shared.GetExtent())
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        hit = np.flatnonzero(inside.any(axis=others))
        if not len(hit):
            return None
        inside = inside.take(range(hit[0], hit[-1] + 1), axis)
        low = extent[4 - 2 * axis]
        extent[4 - 2 * axis : 6 - 2 * axis] = [low + int(hit[0]), low + int(hit[-1])]
    matrix, box = vtk.vtkMatrix4x4(), slicer.vtkOrientedImageData()
    shared.GetImageToWorldMatrix(matrix)
    box.ShallowCopy(image_of(np.ascontiguousarray(inside, np.uint8)))
    box.SetExtent(extent)
    box.SetGeometryFromImageToWorldMatrix(matrix)
    return box


def _region(name: str, shape: tuple[int, int, int], box: Box, inside: np.ndarray, colour: Colour) -> Region:
    if not inside.any():
        raise CEKWorldError(f"The region '{name}' holds no voxel of the volume; draw it larger, or inside the image.")
    return Region(name, shape, box, inside, colour)


def _shape(volume: Any) -> tuple[int, int, int]:
    columns, rows, slices = volume.GetImageData().GetDimensions()
    return slices, rows, columns


def _in_polygon(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Whether points (..., 2) lie inside a polygon (N, 2): a ray to the right crosses its edges an odd number of times.

    Shimrat M. Algorithm 112: position of point relative to polygon. Commun ACM 1962;5:434.
    """
    x, y = points[..., 0], points[..., 1]
    inside = np.zeros(x.shape, bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside
