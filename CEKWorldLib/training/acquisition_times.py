"""When the slices of a training patient were acquired: densely, as a simulator can, or sparsely, as studies do."""

from __future__ import annotations

from typing import Literal

import numpy as np

from CEKWorldLib.exam.protocol import Anatomy

Sampling = Literal["dense", "sparse"]
TIMES = 16
# Seconds after arrival. MRI CEKWorld's abdominal study took 15 phases in 300 s, 6 arterial, 6 venous and 3 delayed; its
# breast study (Duke) 3 to 4 phases about 95 s apart, the first of them at its k-space centre, half a spacing in.
ABDOMEN_S = (6.0, 10.0, 14.0, 18.0, 22.0, 26.0, 44.0, 50.0, 56.0, 62.0, 68.0, 74.0, 120.0, 190.0, 280.0)
BREAST_S = (48.0, 143.0, 238.0, 333.0)
_JITTER_S = 1.0  # bolus tracking and breath-holds: small against the gaps, so that no training time falls into them


def training_times(rng: np.random.Generator, arrival_s: float) -> np.ndarray:
    """Sixteen times, stratified: half in the first minute after arrival, where curves bend most, half up to 600 s."""
    share = (np.arange(TIMES) + rng.uniform(size=TIMES)) / TIMES
    since = np.where(share < 0.5, 60.0 * (share / 0.5) ** 1.3, 60.0 * 10.0 ** ((share - 0.5) / 0.5))
    return np.minimum(arrival_s + since - 1.0, 600.0).astype(np.float32)


def sparse_times(rng: np.random.Generator, anatomy: Anatomy, arrival_s: float) -> np.ndarray:
    """The times of one patient of a study: 15 of the abdomen, 3 or 4 of the breast, the pre-contrast scan not counted.

    Raises:
        ValueError: no schedule for this anatomy.
    """
    if anatomy == "abdomen":
        since = np.array(ABDOMEN_S)
    elif anatomy == "breast":
        since = np.array(BREAST_S[: rng.integers(3, len(BREAST_S) + 1)])
    else:
        raise ValueError(f"no sparse schedule of a study of the {anatomy}")
    return (arrival_s + since + rng.uniform(-_JITTER_S, _JITTER_S, len(since))).astype(np.float32)
