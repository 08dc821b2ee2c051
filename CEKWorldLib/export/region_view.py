"""Where a picture of a region looks: the slice with most of it, turned as it is read, and the part around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from CEKWorldLib.exam.grid import ModelGrid
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.export.style import OUTLINE

_MARGIN = 1.5  # of the region's extent, on each side
_LEAST = 0.3  # of the slice's sides: less would not tell where in the body it is


@dataclass(frozen=True)
class RegionView:
    """A slice of a volume, and a part of it.

    Attributes:
        grid: how the volume's slices are turned.
        index: of the slice.
        outline: (rows, columns) bool, the region in the turned slice.
        box: rows and columns around it, in the proportions of the slice.
        sides_mm: height and width of the turned slice.
    """

    grid: ModelGrid
    index: int
    outline: np.ndarray
    box: tuple[slice, slice]
    sides_mm: tuple[float, float]

    @classmethod
    def of(cls, volume: Volume, positions: np.ndarray) -> RegionView:
        """The view of a region.

        Args:
            volume: geometry of what is shown.
            positions: (V, 3) slice, row and column of the region's voxels.
        """
        grid = ModelGrid.of(volume)
        mask = np.zeros(volume.shape, bool)
        mask[tuple(positions.T)] = True
        index = int(mask.sum(axis=tuple(axis for axis in range(3) if axis != grid.slice_axis)).argmax())
        outline = _turned(mask, grid, index)
        height, width = (
            volume.spacing[2 - axis] * size for axis, size in zip(grid.axes[1:], outline.shape, strict=True)
        )
        return cls(grid, index, outline, _box(outline), (height, width))

    def plane(self, voxels: np.ndarray) -> np.ndarray:
        """The slice of a volume: patient right (or anterior) on the left, head or anterior at the top."""
        return _turned(voxels, self.grid, self.index)

    @property
    def pixel(self) -> float:
        """Height of a pixel over its width."""
        (height, width), (rows, columns) = self.sides_mm, self.outline.shape
        return height / rows / (width / columns)


def draw_outline(cell: Axes, outline: np.ndarray) -> None:
    """Draws the border of a region; one that fills the picture, or lies outside of it, has none."""
    if outline.any() and not outline.all():
        cell.contour(outline, levels=[0.5], colors=[OUTLINE], linewidths=1.0)


def _turned(voxels: np.ndarray, grid: ModelGrid, index: int) -> np.ndarray:
    plane = np.take(voxels, index, grid.slice_axis)
    plane = plane.T if grid.axes[1] > grid.axes[2] else plane
    return np.flip(plane, tuple(axis for axis in (0, 1) if grid.flipped[1 + axis]))


def _box(outline: np.ndarray) -> tuple[slice, slice]:
    where = np.argwhere(outline)
    shape = np.array(outline.shape)
    extent = np.ptp(where, axis=0) + 1
    share = min(max(float(np.max((1 + 2 * _MARGIN) * extent / shape)), _LEAST), 1.0)
    size = np.ceil(share * shape).astype(int)
    middle = where.min(axis=0) + extent / 2
    start = np.clip(np.round(middle - size / 2).astype(int), 0, shape - size)
    rows, columns = (slice(int(first), int(first + length)) for first, length in zip(start, size, strict=True))
    return rows, columns
