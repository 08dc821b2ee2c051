"""Smooth random fields that can be evaluated at any point of space.

A field is a function of position, not of a grid, so that a single slice and the volume around it show the same
texture. All fields are read from one periodic lattice through a random offset and axis order.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import ndimage

LATTICE = 96
_CELLS_PER_LENGTH = 2.0  # smoothing of the lattice, in cells; trilinear reading of it is then free of kinks


@cache
def _lattice() -> np.ndarray:
    """A periodic, band-limited, zero-mean, unit-variance Gaussian random lattice."""
    white = np.random.default_rng(20190211).standard_normal((LATTICE,) * 3)
    smooth = ndimage.gaussian_filter(white, _CELLS_PER_LENGTH / np.sqrt(2), mode="wrap")
    return ((smooth - smooth.mean()) / smooth.std()).astype(np.float32)


def gaussian_field(points: np.ndarray, length_mm: float | tuple[float, float, float], seed: int) -> np.ndarray:
    """A zero-mean, unit-variance Gaussian random field.

    Args:
        points: positions in mm, shape (..., 3).
        length_mm: correlation length, one for all axes or one per axis (x, y, z).
        seed: the same seed gives the same function of position.

    Returns:
        float32 array of shape ``points.shape[:-1]``.
    """
    rng = np.random.default_rng(seed)
    offset = rng.uniform(0, LATTICE, 3)
    order = rng.permutation(3)
    scale = _CELLS_PER_LENGTH / np.broadcast_to(np.asarray(length_mm, float), 3)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0] if np.ndim(length_mm) == 0 else np.eye(3)[order]
    # A random rotation hides the lattice axes; with anisotropic lengths only the axis order may change.
    cells = points.astype(np.float32, copy=False) @ (turn * scale).T.astype(np.float32) + offset.astype(np.float32)
    coordinates = np.moveaxis(cells, -1, 0).reshape(3, -1)
    values = ndimage.map_coordinates(_lattice(), coordinates, order=1, mode="grid-wrap", output=np.float32)
    return values.reshape(points.shape[:-1])
