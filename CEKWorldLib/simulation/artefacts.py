"""What stands between the tissue and the image: receive coil, imperfect fat saturation, resolution and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from CEKWorldLib.simulation.shapes import ellipsoid, soft

_KERNEL_RADIUS = 5  # pixels; a finite reach keeps enhancement exactly zero away from what enhances


@dataclass(frozen=True)
class Receiver:
    """The scanner as one case has it. Everything but the noise is the same at every time.

    Attributes:
        gain: float32 map, signal of the image per unit of magnetization: scanner scale times coil sensitivity.
        fat_residual: float32 map, share of the fat signal left by fat saturation; 1 without saturation.
        kernel: in-plane point-spread function along rows and along columns, odd length, sum 1.
        noise_sd: standard deviation of the noise in each of the real and imaginary channels, image scale.
    """

    gain: np.ndarray
    fat_residual: np.ndarray
    kernel: np.ndarray
    noise_sd: float

    def image(self, magnetization: np.ndarray, region: tuple[slice, ...] = ()) -> np.ndarray:
        """The noiseless magnitude image.

        Args:
            magnetization: (slices, rows, columns) transverse magnetization of ``region`` of the case.
            region: where it lies in the case; all of it by default.

        Returns:
            float32 array like ``magnetization``. Blur reaches ``len(kernel) // 2`` pixels and no further.
        """
        image = magnetization * self.gain[region]
        for axis in (-2, -1):
            image = ndimage.correlate1d(image, self.kernel, axis=axis, mode="nearest")
        return np.abs(image)

    def acquire(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The magnitude image with noise in both channels: Rician (Gudbjartsson and Patz, MRM 1995;34:910)."""
        real, imaginary = np.float32(self.noise_sd) * rng.standard_normal((2, *image.shape), np.float32)
        return np.hypot(image + real, imaginary)


def coil_sensitivity(
    points: np.ndarray, centre_mm, extent_mm, rng: np.random.Generator, surface_coil: bool = False
) -> np.ndarray:
    """A smooth sensitivity between 0.7 and 1.3: a random cubic polynomial of position.

    Args:
        points: (..., 3) LPS mm.
        centre_mm: centre of the field of view.
        extent_mm: its size along x, y and z.
        rng: source of the coefficients.
        surface_coil: whether sensitivity falls off towards the back, as in a breast coil.

    Returns:
        float32 array of shape ``points.shape[:-1]``.
    """
    powers = [(i, j, k) for i in range(4) for j in range(4) for k in range(4) if 0 < i + j + k <= 3]
    weights = {power: rng.standard_normal() / sum(power) for power in powers}
    if surface_coil:
        weights[0, 1, 0] = -2.0
    strength = 0.3 * rng.uniform(0.4, 1.0)

    def polynomial(positions: np.ndarray) -> np.ndarray:
        axes = [[np.ones_like(x), x, x * x, x * x * x] for x in np.moveaxis(positions, -1, 0)]
        return sum(np.float32(weight) * (axes[0][i] * axes[1][j] * axes[2][k]) for (i, j, k), weight in weights.items())

    corners = np.stack(np.meshgrid(*[np.linspace(-1, 1, 9, dtype=np.float32)] * 3), -1)
    scale = strength / np.abs(polynomial(corners)).max()
    half = np.asarray(extent_mm, np.float32) / 2
    inside = np.clip((points - np.asarray(centre_mm, np.float32)) / half, -1, 1)
    return (1 + scale * polynomial(inside)).astype(np.float32)


def fat_saturation(points: np.ndarray, centre_mm, extent_mm, rng: np.random.Generator) -> np.ndarray:
    """Share of the fat signal that survives fat saturation: a few per cent, more in patches where B0 is off.

    A third of the exams have one or two failure patches, at the border of the field of view where shimming is hard.

    Args:
        points: (..., 3) LPS mm.
        centre_mm: centre of the field of view.
        extent_mm: its size along x, y and z.
        rng: source of all choices.

    Returns:
        float32 array of shape ``points.shape[:-1]``.
    """
    residual = np.full(points.shape[:-1], rng.uniform(0.03, 0.12), np.float32)
    half = np.asarray(extent_mm, float) / 2
    patches = int(rng.integers(1, 3)) if rng.random() < 1 / 3 else 0
    for _ in range(patches):
        heading = rng.standard_normal(3)
        centre = np.asarray(centre_mm) + 0.8 * half * heading / np.linalg.norm(heading)
        size = float(half.min()) * rng.uniform(0.25, 0.5)
        patch = soft(ellipsoid(points, centre, np.full(3, size)), 0.8 * size)
        residual += (rng.uniform(0.5, 1.0) - residual) * patch
    return residual


def point_spread(rng: np.random.Generator) -> np.ndarray:
    """The point-spread function along one in-plane axis: k-space sampled to 75-100 % of the matrix, then tapered.

    The truncated sinc blurs and rings (Gibbs); the window, as scanners apply it, calms the ringing by a drawn amount.

    Returns:
        float32 kernel of odd length that sums to 1.
    """
    sampled, taper = rng.uniform(0.75, 1.0), rng.uniform(0.5, 1.0)
    x = np.arange(-_KERNEL_RADIUS, _KERNEL_RADIUS + 1)
    window = 1 - taper * np.sin(np.pi * x / (2 * (_KERNEL_RADIUS + 1))) ** 2
    kernel = np.sinc(sampled * x) * window
    return (kernel / kernel.sum()).astype(np.float32)
