"""How noisy one sample is, from the air around the body."""

from __future__ import annotations

import math

import numpy as np

from CEKWorldLib.exam.intensity import body_mask

_FEWEST = 500  # voxels of air
_MEDIAN = math.sqrt(2 * math.log(2))  # of a Rayleigh distribution, in standard deviations of the noise


def background_noise(voxels: np.ndarray) -> float | None:
    """Standard deviation of the noise, from the median of the air in a magnitude image.

    Magnitudes of pure noise are Rayleigh distributed (Gudbjartsson and Patz, Magn Reson Med 1995;34:910): their median
    is 1.18 standard deviations of the noise in either channel.

    Args:
        voxels: (slices, rows, columns), one phase.

    Returns:
        In the unit of the voxels; None where there is too little air, or air that a scanner or a model has blanked.
    """
    air = voxels[~body_mask(voxels) & np.isfinite(voxels)]
    if air.size < _FEWEST:
        return None
    noise = float(np.median(air)) / _MEDIAN
    return noise if noise > 0 else None
