"""numpy arrays as ``vtkImageData`` and back, without copying."""

from __future__ import annotations

from typing import Any

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy


def image_of(voxels: np.ndarray) -> Any:
    """A ``vtkImageData`` on the memory of an array; origin 0 and spacing 1, as MRML wants it.

    VTK's array keeps the numpy array alive for as long as anything holds the image.

    Args:
        voxels: (slices, rows, columns), contiguous; a ``np.memmap`` of a worker's slot serves as well.

    Raises:
        ValueError: not contiguous, so that VTK would read past the array.
    """
    if not voxels.flags.c_contiguous:
        raise ValueError("voxels must be contiguous to be shared with VTK")
    image = vtk.vtkImageData()
    image.SetDimensions(voxels.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(voxels.reshape(-1), deep=False))
    return image


def array_of(image: Any) -> np.ndarray:
    """The voxels of a ``vtkImageData`` as (slices, rows, columns) or, with components, (..., components); shared."""
    scalars = image.GetPointData().GetScalars()
    shape = image.GetDimensions()[::-1]
    components = scalars.GetNumberOfComponents()
    return vtk_to_numpy(scalars).reshape(shape if components == 1 else (*shape, components))
