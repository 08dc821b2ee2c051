"""A region of interest on a series' grid: a small box of the volume and the voxels inside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from CEKWorldLib.errors import CEKWorldError

Box = tuple[slice, slice, slice]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Region:
    """Voxels of a grid. Keeping to their box makes the curve of an edited region a matter of milliseconds.

    Attributes:
        name: what the user calls it.
        shape: (slices, rows, columns) of the grid.
        box: where ``inside`` lies in the grid.
        inside: bool, of the box's shape.
        colour: red, green and blue, 0 to 1, as it is drawn.
    """

    name: str
    shape: tuple[int, int, int]
    box: Box
    inside: np.ndarray
    colour: Colour

    @property
    def mask(self) -> np.ndarray:
        """(slices, rows, columns) bool of the whole grid."""
        mask = np.zeros(self.shape, bool)
        mask[self.box] = self.inside
        return mask

    @property
    def corner(self) -> np.ndarray:
        """Slice, row and column of the box's first voxel."""
        return np.array([side.start for side in self.box])


def box_around(name: str, shape: tuple[int, int, int], first_ijk: np.ndarray, last_ijk: np.ndarray) -> Box:
    """The box of all voxels whose centres lie between two corners, cut off at the edge of the grid.

    Args:
        name: of the region, for the message.
        shape: of the grid.
        first_ijk: (3,) lower bounds of i, j, k.
        last_ijk: (3,) upper bounds.

    Raises:
        CEKWorldError: no voxel is left.
    """
    first = np.maximum(np.ceil(first_ijk[::-1]), 0).astype(int)
    stop = np.minimum(np.floor(last_ijk[::-1]) + 1, shape).astype(int)
    if np.any(stop <= first):
        raise CEKWorldError(f"The region '{name}' holds no voxel of the volume; draw it inside the field of view.")
    k, j, i = (slice(int(a), int(b)) for a, b in zip(first, stop, strict=True))
    return k, j, i


def box_points(box: Box) -> np.ndarray:
    """(slices, rows, columns, 4) homogeneous (i, j, k, 1) of every voxel of a box."""
    k, j, i = np.meshgrid(*(np.arange(side.start, side.stop) for side in box), indexing="ij")
    return np.stack([i, j, k, np.ones_like(i)], axis=-1).astype(float)
