"""The model's pixel grid: one canonical orientation, isotropic in-plane pixels, sides that are multiples of 32."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
from scipy import sparse

from CEKWorldLib.exam.volume import Volume

View = Literal["axial", "sagittal", "coronal"]
Weights: TypeAlias = sparse.csr_array | None

# LPS axes (0 = x to the left, 1 = y to posterior, 2 = z to the head) and the sign along which slices, rows and
# columns of each canonical view grow: a radiologist's display, head or anterior at the top, patient right (or
# anterior, in sagittal) on the left of the image.
_CANONICAL: dict[View, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    "axial": ((2, 1), (1, 1), (0, 1)),
    "sagittal": ((0, 1), (2, -1), (1, 1)),
    "coronal": ((1, 1), (2, -1), (0, 1)),
}
_VIEW_OF_NORMAL: tuple[View, View, View] = ("sagittal", "coronal", "axial")
_MULTIPLE = 32  # three halvings in the U-Net after the autoencoder's factor of four
_THICK = 1.5  # an axis spaced this much wider than both others is the slice axis, whatever its place in the array


def slice_axis(volume: Volume) -> int:
    """The array axis along which slices were acquired: 0, unless another one is clearly the thickest.

    Readers keep the acquired plane in the last two axes; files reoriented by other software may not.
    """
    spacing = volume.spacing[::-1]
    for axis in (1, 2):
        if all(spacing[axis] >= _THICK * spacing[other] for other in range(3) if other != axis):
            return axis
    return 0


@dataclass(frozen=True)
class ModelGrid:
    """How a volume's slices lie on the model's grid, and back.

    Slices are never interpolated between: only the acquired plane is turned (by flips and transposes alone) and
    resampled. Both images share their centre, so flipping the volume flips the model image and nothing else.

    Attributes:
        source_shape: the volume's (slices, rows, columns).
        axes: the array axes of the volume that become the model's slices, rows and columns.
        flipped: whether each of them runs against the canonical direction.
        view: the nearest canonical plane; oblique slices stay as acquired and take its name.
        pixel_mm: side of the model's square pixels.
        shape: the model's (slices, rows, columns).
        scale: model pixels per source pixel along rows and columns.
    """

    source_shape: tuple[int, int, int]
    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    view: View
    pixel_mm: float
    shape: tuple[int, int, int]
    scale: tuple[float, float]

    @classmethod
    def of(cls, volume: Volume, size: int = 256) -> ModelGrid:
        """Fits the grid so that the longest in-plane side of the volume covers `size` pixels.

        Args:
            volume: any orientation and spacing, one slice or more.
            size: pixels along the longest in-plane side.
        """
        spacing = volume.spacing[::-1]
        # Row a of `cosines` is the LPS unit vector along which array axis a (k, j, i) grows.
        cosines = np.asarray(volume.direction, float).reshape(3, 3).T[::-1]
        normal_axis = slice_axis(volume)
        view = _VIEW_OF_NORMAL[int(np.argmax(np.abs(cosines[normal_axis])))]
        (normal, _), (down, _), (right, _) = _CANONICAL[view]
        first, second = (axis for axis in range(3) if axis != normal_axis)
        as_stored = abs(cosines[first, down]) + abs(cosines[second, right])
        transposed = abs(cosines[second, down]) + abs(cosines[first, right])
        axes = (normal_axis, first, second) if as_stored >= transposed else (normal_axis, second, first)
        flipped = tuple(
            bool(cosines[axis, lps] * sign < 0) for axis, (lps, sign) in zip(axes, _CANONICAL[view], strict=True)
        )
        rows, columns = axes[1:]
        height_mm, width_mm = (volume.shape[axis] * spacing[axis] for axis in (rows, columns))
        pixel_mm = max(height_mm, width_mm) / size
        return cls(
            source_shape=volume.shape,
            axes=axes,
            flipped=flipped,  # type: ignore[arg-type]
            view=view,
            pixel_mm=pixel_mm,
            shape=(volume.shape[normal_axis], _padded(height_mm / pixel_mm), _padded(width_mm / pixel_mm)),
            scale=(spacing[rows] / pixel_mm, spacing[columns] / pixel_mm),
        )

    @property
    def slice_axis(self) -> int:
        """The volume's array axis that holds the slices; 0 for every scanner series."""
        return self.axes[0]

    def slice_index(self, index: int) -> int:
        """The model slice of source slice `index` (along `slice_axis`), and the other way round: a flip or nothing."""
        return self.shape[0] - 1 - index if self.flipped[0] else index

    def to_model(self, voxels: np.ndarray) -> np.ndarray:
        """Brings voxels of the source volume to the grid, averaging where pixels grow.

        Args:
            voxels: (slices, rows, columns) as in the volume.

        Returns:
            float32 `shape`; zero outside the source image. The voxels themselves (no copy) where the volume already
            lies on the grid.

        Raises:
            ValueError: the array does not have the volume's shape.
        """
        if voxels.shape != self.source_shape:
            raise ValueError(f"voxels {voxels.shape} are not those of the volume {self.source_shape}")
        turned = np.flip(voxels.transpose(self.axes), self._flips)
        return _resample(turned, *self._matrices_to_model)

    def to_source(self, array: np.ndarray) -> np.ndarray:
        """Brings an image on the grid back to the voxels of the source volume; zeros stay exactly zero.

        Args:
            array: (slices, rows, columns) as `shape`.

        Returns:
            float32 (slices, rows, columns) as in the volume; `array` itself where the volume lies on the grid.

        Raises:
            ValueError: the array does not have the grid's shape.
        """
        if array.shape != self.shape:
            raise ValueError(f"array {array.shape} is not on the grid {self.shape}")
        turned = _resample(array, *self._matrices_to_source)
        unflipped = np.flip(turned, self._flips)
        return np.ascontiguousarray(unflipped.transpose(np.argsort(self.axes)))

    def slice_to_source(self, plane: np.ndarray) -> np.ndarray:
        """Brings one model slice back to the source's slice, as `to_source` does for all of them.

        Args:
            plane: (rows, columns) of the grid.

        Returns:
            float32, the source's in-plane shape (`source_shape` without `slice_axis`).
        """
        if plane.shape != self.shape[1:]:
            raise ValueError(f"plane {plane.shape} is not on the grid {self.shape[1:]}")
        in_plane = tuple(axis - 1 for axis in self._flips if axis > 0)
        turned = np.flip(_resample(plane[None], *self._matrices_to_source)[0], in_plane)
        return np.ascontiguousarray(turned.T if self.axes[1] > self.axes[2] else turned)

    @property
    def _flips(self) -> tuple[int, ...]:
        return tuple(axis for axis in range(3) if self.flipped[axis])

    @cached_property
    def _matrices_to_model(self) -> tuple[Weights, Weights]:
        rows, columns = (self._matrix(side, to_model=True) for side in (0, 1))
        return rows, columns

    @cached_property
    def _matrices_to_source(self) -> tuple[Weights, Weights]:
        rows, columns = (self._matrix(side, to_model=False) for side in (0, 1))
        return rows, columns

    def _matrix(self, side: int, to_model: bool) -> Weights:
        source, model = self.source_shape[self.axes[1 + side]], self.shape[1 + side]
        if source == model and math.isclose(self.scale[side], 1.0, rel_tol=1e-6):
            return None
        return _interpolation(source, model, self.scale[side], to_model)


def stack_neighbours(array: np.ndarray) -> np.ndarray:
    """Gives every slice its two neighbours as channels; edge slices repeat.

    Args:
        array: (slices, rows, columns).

    Returns:
        (slices, 3, rows, columns): previous, own, next.
    """
    return np.stack([np.concatenate([array[:1], array[:-1]]), array, np.concatenate([array[1:], array[-1:]])], axis=1)


def _padded(pixels: float) -> int:
    # The small allowance keeps 256.0000001 pixels, a rounding of millimetres, at 256.
    return _MULTIPLE * max(1, math.ceil(pixels / _MULTIPLE - 1e-4))


def _interpolation(source: int, model: int, scale: float, to_model: bool) -> sparse.csr_array:
    """Weights along one side: linear interpolation where pixels shrink, the mean over the new pixel where they grow.

    One formula does both: the overlap of the input pixel with a window as wide as the larger of the two pixels. It
    never overshoots, so that no negative enhancement appears beside a bright vessel. Only model pixels whose centre
    lies inside the source image take part, in both directions: the padding neither receives nor lends signal.

    Args:
        source: pixels of the source side.
        model: pixels of the padded model side.
        scale: model pixels per source pixel.
        to_model: direction.

    Returns:
        float32 (targets, inputs); each row sums to one, or to zero for the padding.
    """
    # Positions from the common centre, in source pixels.
    source_at = np.arange(source) - (source - 1) / 2
    model_at = (np.arange(model) - (model - 1) / 2) / scale
    distance = np.abs(model_at[:, None] - source_at[None, :])
    # In input pixels: how much wider than one input pixel the window is, and how far away the input lies.
    input_pixel, target_pixel = (1.0, 1.0 / scale) if to_model else (1.0 / scale, 1.0)
    window = max(1.0, target_pixel / input_pixel)
    weights = np.clip((window + 1.0) / 2.0 - distance / input_pixel, 0.0, 1.0)
    # A side narrower than one model pixel still gets the pixels next to its centre.
    weights[np.abs(model_at) > max(source, 1.0 / scale) / 2 + 1e-6] = 0.0
    if not to_model:
        weights = weights.T
    total = weights.sum(1, keepdims=True)
    mean = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return sparse.csr_array(mean.astype(np.float32))


def _resample(stack: np.ndarray, rows: Weights, columns: Weights) -> np.ndarray:
    """Applies the weights to the last two axes of (slices, rows, columns); None leaves a side alone.

    Slice by slice, which stays in the cache; sparse, since a matrix of 512 x 256 holds two or three numbers per row.
    """
    stack = np.ascontiguousarray(stack, dtype=np.float32)
    if rows is None and columns is None:
        return stack
    height = stack.shape[1] if rows is None else rows.shape[0]
    width = stack.shape[2] if columns is None else columns.shape[0]
    result = np.empty((len(stack), height, width), np.float32)
    for plane, target in zip(stack, result, strict=True):
        resampled = plane if rows is None else rows @ plane
        target[:] = resampled if columns is None else (columns @ resampled.T).T
    return result
