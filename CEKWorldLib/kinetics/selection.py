"""Which voxels of a region its curve is taken from."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import generate_binary_structure, label, uniform_filter

from CEKWorldLib.kinetics.curve_type import TYPES

_WINDOW = 3  # voxels a side, in the plane of the slices
_CLUSTER = 3  # voxels; fewer cannot be told from noise (one voxel at an SNR of 10: 6 % of the signal)


def hottest_window(enhancement: np.ndarray, inside: np.ndarray, slice_axis: int = 0) -> np.ndarray | None:
    """The 3x3 in-plane window, wholly inside, whose mean enhancement is highest; of equal ones the first.

    Args:
        enhancement: (slices, rows, columns) percent enhancement at t_e.
        inside: bool, where it is defined and in the region.
        slice_axis: the axis across the acquired plane.

    Returns:
        bool mask of nine voxels; None where no window fits.
    """
    size = [_WINDOW] * 3
    size[slice_axis] = 1
    values = np.where(inside, enhancement, 0.0)
    mean = uniform_filter(values.astype(float), size, mode="constant")
    full = uniform_filter(inside.astype(float), size, mode="constant") > 1 - 0.5 / _WINDOW**2
    if not full.any():
        return None
    # Rounding of running sums must not decide between equal windows.
    mean = np.where(full, np.round(mean, 6), -np.inf)
    centre = np.unravel_index(int(mean.argmax()), mean.shape)
    window = np.zeros(inside.shape, bool)
    window[tuple(slice(c - side // 2, c + side // 2 + 1) for c, side in zip(centre, size, strict=True))] = True
    return window


def worst_cluster(types: np.ndarray) -> np.ndarray | None:
    """The largest cluster of three or more connected voxels of the most suspicious type that has one.

    Args:
        types: (slices, rows, columns) of ``CurveType``, NONE outside the region. Voxels connect by their faces.

    Returns:
        bool mask; None where no type has such a cluster.
    """
    faces = generate_binary_structure(3, 1)
    for kind in reversed(TYPES):
        clusters, count = label(types == kind, faces)
        sizes = np.bincount(clusters.ravel(), minlength=count + 1)
        sizes[0] = 0
        if sizes.max() >= _CLUSTER:
            return clusters == sizes.argmax()
    return None
