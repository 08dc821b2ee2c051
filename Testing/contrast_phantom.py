"""A breast-like phantom over time whose enhancement, and whose displacement where it is moved, are known."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

TIMES_S = (-60.0, 90.0, 210.0, 330.0)
SPACING_MM = (4.0, 2.7, 2.7)


def phantom(slices: int = 10, side: int = 48, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames at ``TIMES_S``, the lesion and the body.

    Fat with strands of gland, a lesion of 20 mm that washes out, a heart that enhances, noise of 1 %.

    Returns:
        (4, slices, side, side) float32 near 0 to 900, bool lesion, bool body.
    """
    rng = np.random.default_rng(seed)
    z, y, x = np.mgrid[:slices, :side, :side].astype(np.float32)
    centre = (side - 1) / 2
    radius = np.hypot((y - centre) / 0.8, x - centre)
    body = radius < 0.45 * side
    texture = ndimage.gaussian_filter(rng.standard_normal(body.shape), (1.0, 2.0, 2.0))
    texture /= texture.std()
    pre = np.where(body, 300.0 + 80.0 * texture, 0.0)
    pre[(radius < 0.30 * side) & (texture > 0.4)] += 150.0
    gland = (radius < 0.30 * side) & (texture > 0.4)
    lesion = np.hypot(np.hypot((z - slices / 2) * 2, y - 0.45 * side), x - 0.4 * side) < 4.0
    heart = np.hypot(y - 0.75 * side, x - 0.55 * side) < 0.09 * side
    pre = ndimage.gaussian_filter(np.clip(pre, 0, None), (0.3, 0.6, 0.6))
    gains = {90.0: (1.4, 1.0, 0.10), 210.0: (1.2, 0.9, 0.20), 330.0: (1.0, 0.8, 0.25)}
    frames = []
    for time in TIMES_S:
        in_lesion, in_heart, in_gland = gains.get(time, (0.0, 0.0, 0.0))
        gain = in_lesion * lesion + in_heart * heart + in_gland * gland
        frame = pre + 350.0 * ndimage.gaussian_filter(gain.astype(np.float32), (0.3, 0.6, 0.6))
        frames.append(np.abs(frame + 4.0 * rng.standard_normal(frame.shape)))
    return np.rint(np.stack(frames)).astype(np.float32), lesion, body


def displaced(frame: np.ndarray, field_mm: np.ndarray) -> np.ndarray:
    """The frame after the patient moved: what was at ``p + field`` is now at ``p``.

    Args:
        field_mm: (3, slices, rows, columns), along slices, rows and columns.
    """
    steps = np.array(SPACING_MM).reshape(3, 1, 1, 1)
    places = np.indices(frame.shape) + field_mm / steps
    return ndimage.map_coordinates(frame, places, order=3, mode="nearest").clip(0).astype(np.float32)


def breathing(shape: tuple[int, int, int], amplitude_mm: float) -> np.ndarray:
    """A smooth displacement, up to about ``amplitude_mm``: the body shifts, and its front sinks."""
    z, y, x = (axis / side for axis, side in zip(np.indices(shape), shape, strict=True))
    down = 0.55 + 0.45 * np.cos(np.pi * y) * np.sin(np.pi * x)
    return amplitude_mm * np.stack([0.2 * np.sin(np.pi * z), down, 0.5 * np.sin(np.pi * y)])
