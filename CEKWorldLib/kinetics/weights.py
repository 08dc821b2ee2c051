"""Statistics that are weighted sums of a curve's samples, with weights that depend on where the curve starts."""

from __future__ import annotations

import numpy as np


def area_weights(times_s: np.ndarray, start_s: np.ndarray, durations_s: tuple[float, ...]) -> np.ndarray:
    """Weights of the area under a curve from a start, by the trapezium rule, linear at both ends of the interval.

    Args:
        times_s: (T,) rising.
        start_s: (S,) where the interval may begin, none before the first time.
        durations_s: (D,) how long it is.

    Returns:
        (S, D, T) in seconds; NaN where the samples end before the interval does.
    """
    weights = np.empty((len(start_s), len(durations_s), len(times_s)))
    for s, start in enumerate(start_s):
        for d, duration in enumerate(durations_s):
            weights[s, d] = _area(times_s, start, start + duration)
    return weights


def slope_weights(times_s: np.ndarray, last: int | None) -> np.ndarray:
    """Weights of the least-squares slope from each sample to a last one; through two samples it is their difference.

    Args:
        times_s: (T,) rising.
        last: index of the last sample; None gives NaN throughout.

    Returns:
        (T, 1, T) in 1/s, first index the sample to start from; NaN where fewer than two samples are left.
    """
    count = len(times_s)
    weights = np.full((count, 1, count), np.nan)
    for first in range(last or 0):
        centred = times_s[first : last + 1] - times_s[first : last + 1].mean()  # type: ignore[operator]
        weights[first] = 0.0
        weights[first, 0, first : last + 1] = centred / (centred @ centred)  # type: ignore[operator]
    return weights


def weighted_sums(weights: np.ndarray, which: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Sums each curve with the set of weights chosen for it.

    Args:
        weights: (S, D, T).
        which: (n,) set of each curve; negative where it has none.
        samples: (T, n).

    Returns:
        (D, n) in the samples' type; NaN where there is no set.
    """
    # Curves with the same weights side by side make each set one matrix product; int16 sorts in linear time.
    order = np.argsort(which, kind="stable")
    ends = np.searchsorted(which[order], np.arange(len(weights) + 1))
    in_order = np.take(samples, order, axis=1)
    sums = np.full((weights.shape[1], samples.shape[1]), np.nan, samples.dtype)
    for own, first, end in zip(weights.astype(samples.dtype), ends[:-1], ends[1:], strict=True):
        if first < end:
            sums[:, order[first:end]] = own @ in_order[:, first:end]
    return sums


def _area(times_s: np.ndarray, start: float, end: float) -> np.ndarray:
    if end > times_s[-1]:
        return np.full(len(times_s), np.nan)
    inside = (times_s > start) & (times_s < end)
    lengths = np.diff(np.concatenate([[start], times_s[inside], [end]]))
    weights = np.zeros(len(times_s))
    weights[inside] = (lengths[:-1] + lengths[1:]) / 2
    for node, length in ((start, lengths[0]), (end, lengths[-1])):
        before = min(max(int(np.searchsorted(times_s, node, side="right")) - 1, 0), len(times_s) - 2)
        share = (node - times_s[before]) / (times_s[before + 1] - times_s[before])
        weights[before] += (1 - share) * length / 2
        weights[before + 1] += share * length / 2
    return weights
