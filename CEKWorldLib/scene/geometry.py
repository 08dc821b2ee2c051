"""Geometry between the project's volumes (LPS) and MRML (RAS)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import slicer
import vtk

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.scene.images import array_of

_TOLERANCE_MM = 1e-3  # of a voxel's position; scanners write positions with three decimals and more


def set_geometry(node: Any, volume: Volume) -> None:
    """Gives a volume node a volume's origin, spacing and axes, number for number: only signs change."""
    lps_to_ras = np.array([-1.0, -1.0, 1.0])
    directions = np.reshape(volume.direction, (3, 3)) * lps_to_ras[:, None]
    node.SetSpacing(*volume.spacing)
    node.SetOrigin(*(volume.origin * lps_to_ras))
    node.SetIJKToRASDirections(*directions.ravel())


def volume_of(node: Any) -> Volume:
    """A volume node as a volume; the voxels are the node's own where they are float32, else a copy.

    Raises:
        CEKWorldError: no voxels, or moved by a transform.
    """
    grid = grid_of(node)
    return replace(grid, voxels=np.asarray(array_of(node.GetImageData()), np.float32))


def grid_of(node: Any) -> Volume:
    """The geometry of a volume node: a volume of zeros that takes neither time nor memory.

    Raises:
        CEKWorldError: no voxels, or moved by a transform.
    """
    if node.GetImageData() is None:
        raise CEKWorldError(f"The volume '{node.GetName()}' has no voxels; load it again.")
    if node.GetParentTransformNode() is not None:
        raise CEKWorldError(f"The volume '{node.GetName()}' is moved by a transform; harden the transform first.")
    directions = [[0.0] * 3 for _ in range(3)]
    node.GetIJKToRASDirections(directions)
    ras_to_lps = np.array([-1.0, -1.0, 1.0])
    return Volume(
        voxels=np.broadcast_to(np.float32(0), node.GetImageData().GetDimensions()[::-1]),
        spacing=node.GetSpacing(),
        origin=tuple((np.array(node.GetOrigin()) * ras_to_lps).tolist()),
        direction=tuple((np.array(directions) * ras_to_lps[:, None]).ravel().tolist()),
    )


def world_to_ijk(node: Any) -> np.ndarray:
    """(4, 4) matrix from world RAS to (i, j, k) of a volume node, transforms above the node included."""
    to_node, to_ijk = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(None, node.GetParentTransformNode(), to_node)
    node.GetRASToIJKMatrix(to_ijk)
    return array_of_matrix(to_ijk) @ array_of_matrix(to_node)


def array_of_matrix(matrix: Any) -> np.ndarray:
    """(4, 4) copy of a ``vtkMatrix4x4``."""
    return np.array([matrix.GetElement(row, column) for row in range(4) for column in range(4)]).reshape(4, 4)


def matrix_of(array: np.ndarray) -> Any:
    """``vtkMatrix4x4`` of a (4, 4) array."""
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(array.ravel().tolist())
    return matrix


def same_grid(first: Volume, second: Volume) -> bool:
    """Whether two volumes have the same shape and their voxels the same places, within 0.001 mm."""
    if first.shape != second.shape:
        return False
    return all(np.allclose(_corner(first, n), _corner(second, n), rtol=0, atol=_TOLERANCE_MM) for n in range(4))


def _corner(volume: Volume, axis: int) -> np.ndarray:
    """LPS position of the last voxel along an axis i, j or k; 3 gives the first voxel."""
    index = np.zeros(3)
    if axis < 3:
        index[axis] = volume.shape[2 - axis] - 1
    return np.reshape(volume.direction, (3, 3)) @ (index * volume.spacing) + volume.origin
