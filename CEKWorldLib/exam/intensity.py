"""Where the body is, and the one intensity scale that all times of an exam share."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

_SIDE = 128  # pixels; the mask is found on slices reduced to about this size
_IN_PLANE = np.ones((1, 3, 3), bool)
_CROSS = ndimage.generate_binary_structure(3, 1)[1:2]  # within the slice as well


def body_mask(voxels: np.ndarray) -> np.ndarray:
    """Finds the body: brighter than the air around it, holes filled slice by slice, small islands dropped.

    Found on block means of 128 pixels a side, so its edge is true to one block (2 pixels of 256, 4 of 512). It does
    not depend on the unit of the intensities.

    Args:
        voxels: (slices, rows, columns), air near zero.

    Returns:
        bool, same shape; all True where no air can be told from body.
    """
    block = max(1, math.ceil(max(voxels.shape[1:]) / _SIDE))
    reduced = _block_mean(voxels, block)
    positive = reduced[reduced > 0]
    if positive.size == 0:
        return np.ones(voxels.shape, bool)
    reference = float(np.percentile(positive, 99))
    # The square root brings fat-saturated fat nearer to water than to air; half of Otsu's threshold, about 7 % of the
    # brightest tissue, keeps lung walls and dark fat and still lies above noise of 4 %.
    threshold = 0.5 * _otsu(np.sqrt(np.clip(reduced / reference, 0.0, 1.0))) ** 2 * reference
    mask = reduced > threshold
    padded = np.pad(mask, ((0, 0), (2, 2), (2, 2)))
    closed = ndimage.binary_closing(padded, _IN_PLANE, iterations=2)[:, 2:-2, 2:-2]
    filled = ndimage.binary_fill_holes(closed, _CROSS)
    labels, count = ndimage.label(filled)
    if count == 0:
        return np.ones(voxels.shape, bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    # Two breasts are two islands; a wrap-around ghost or a marker is far below a twentieth of the larger one.
    kept = (sizes >= 0.05 * sizes.max())[labels] & (labels > 0)
    return kept.repeat(block, axis=1).repeat(block, axis=2)[:, : voxels.shape[1], : voxels.shape[2]]


def intensity_scale(voxels: np.ndarray, mask: np.ndarray | None = None) -> float:
    """The signal that counts as one for the model: the 98th percentile inside the body.

    Args:
        voxels: (slices, rows, columns).
        mask: the body, where it is known already.

    Returns:
        A positive number in the unit of the voxels; 1 for an image without any signal.
    """
    inside = voxels[body_mask(voxels) if mask is None else mask]
    scale = float(np.percentile(inside, 98)) if inside.size else 0.0
    return scale if scale > 0 else float(voxels.max(initial=0.0)) or 1.0


def _block_mean(voxels: np.ndarray, block: int) -> np.ndarray:
    """Mean over `block` x `block` pixels of each slice; edge blocks take what there is."""
    if block == 1:
        return voxels
    starts = [np.arange(0, side, block) for side in voxels.shape[1:]]
    summed = np.add.reduceat(np.add.reduceat(voxels, starts[0], axis=1), starts[1], axis=2)
    counts = [np.diff(np.append(start, side)) for start, side in zip(starts, voxels.shape[1:], strict=True)]
    return summed / np.outer(*counts).astype(np.float32)


def _otsu(values: np.ndarray) -> float:
    """The threshold that parts values in [0, 1] into two classes of greatest distance (Otsu, IEEE SMC 1979)."""
    counts, edges = np.histogram(values, 256, (0.0, 1.0))
    centres = (edges[1:] + edges[:-1]) / 2
    below, moment = np.cumsum(counts), np.cumsum(counts * centres)
    above = below[-1] - below
    between = (moment[-1] * below - moment * below[-1]) ** 2
    weight = below * above.astype(float)
    return float(centres[np.argmax(np.divide(between, weight, out=np.zeros(256), where=weight > 0))])
