"""The exam's noise field: one latent field per slice, shared by all times, correlated from slice to slice."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

# Distance over which the correlation between slices falls to 1/e: that of a small lesion or a vessel, so that
# neighbouring 1 mm slices get nearly the same sample (0.9) and 5 mm slices are half as alike (0.6).
CORRELATION_MM = 10.0


def noise_field(slices: int, shape: tuple[int, int, int], slice_distance_mm: float, seed: int) -> Tensor:
    """A first-order autoregressive field through the slices with unit variance at each.

        n[0] = e[0],   n[k] = rho n[k-1] + sqrt(1 - rho^2) e[k],   rho = exp(-distance / CORRELATION_MM)

    Each e[k] has a generator of its own, seeded by (seed, k), so the field does not depend on how or in which order
    the slices are synthesized, nor on the device.

    Args:
        slices: number of slices K.
        shape: (C, h, w) of a latent.
        slice_distance_mm: distance of neighbouring slices.
        seed: the session's seed.

    Returns:
        (K, C, h, w) float32 on the CPU.
    """
    rho = math.exp(-abs(slice_distance_mm) / CORRELATION_MM)
    field = np.empty((slices, *shape), np.float32)
    for k in range(slices):
        fresh = np.random.default_rng((seed, k)).standard_normal(shape, dtype=np.float32)
        field[k] = fresh if k == 0 else rho * field[k - 1] + math.sqrt(1.0 - rho**2) * fresh
    return torch.from_numpy(field)
