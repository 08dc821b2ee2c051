"""A volume's grid as the stack of slices DICOM knows: rows, columns and slice normal right-handed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from CEKWorldLib.dicom.source import Source, SourceImage
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.grid import slice_axis
from CEKWorldLib.exam.volume import Volume

_NEAR = 0.1  # of the slice spacing: what the reader lets pass as evenly spaced
_SAME_EXTENT = 0.01


@dataclass(frozen=True)
class Stack:
    """How voxels become DICOM slices. They are only ever turned and reordered, never interpolated.

    Attributes:
        axis: the array axis that holds the slices.
        reverse: whether slices run against the normal, cross(along a row, down a column), as in left-handed volumes;
            they are then written in the opposite order, as position rises along the normal in DICOM (PS3.3 C.7.6.2.1).
        positions: (slices, 3) LPS mm of the first pixel, in the order written.
        orientation: (6,) unit vectors along a row and down a column.
        spacing: mm between rows, between columns, between slices.
        shape: slices, rows, columns as written.
    """

    axis: int
    reverse: bool
    positions: np.ndarray
    orientation: np.ndarray
    spacing: tuple[float, float, float]
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, grid: Volume) -> Stack:
        """The stack of a volume of any orientation."""
        # Row a is the LPS unit vector along which array axis a (k, j, i) grows.
        vectors = np.asarray(grid.direction, float).reshape(3, 3).T[::-1]
        spacing = grid.spacing[::-1]
        axis = slice_axis(grid)
        rows, columns = (other for other in range(3) if other != axis)
        reverse = bool(np.cross(vectors[columns], vectors[rows]) @ vectors[axis] < 0)
        steps = np.arange(grid.shape[axis])[:: -1 if reverse else 1]
        return cls(
            axis=axis,
            reverse=reverse,
            positions=np.asarray(grid.origin) + steps[:, None] * spacing[axis] * vectors[axis],
            orientation=np.concatenate([vectors[columns], vectors[rows]]),
            spacing=(spacing[rows], spacing[columns], spacing[axis]),
            shape=(grid.shape[axis], grid.shape[rows], grid.shape[columns]),
        )

    def planes(self, voxels: np.ndarray) -> np.ndarray:
        """Voxels of the grid as (slices, rows, columns) in the order written; a view."""
        stacked = np.moveaxis(voxels, self.axis, 0)
        return stacked[::-1] if self.reverse else stacked

    @property
    def centres(self) -> np.ndarray:
        """(slices, 3) LPS mm of the middle of each slice."""
        _, rows, columns = self.shape
        along_row, along_column = self.orientation[:3], self.orientation[3:]
        middle = along_column * self.spacing[0] * (rows - 1) / 2 + along_row * self.spacing[1] * (columns - 1) / 2
        return self.positions + middle

    def source_images(self, source: Source) -> list[SourceImage]:
        """The source's image of each slice, in the order written; empty where the source was not DICOM.

        Raises:
            CEKWorldError: the source lies elsewhere, so it is not what the series was made from.
        """
        if not source.images:
            return []
        centres = np.array([image.centre for image in source.images])
        extent = sorted((self.shape[1] * self.spacing[0], self.shape[2] * self.spacing[1]))
        found = []
        for centre in self.centres:
            distances = np.linalg.norm(centres - centre, axis=1)
            image = source.images[int(distances.argmin())]
            if distances.min() > _NEAR * self.spacing[2] or not np.allclose(
                extent, sorted(image.extent_mm), rtol=_SAME_EXTENT
            ):
                raise CEKWorldError(
                    "The series does not lie where the images of the source do; name the DICOM series it was made from."
                )
            found.append(image)
        return found
