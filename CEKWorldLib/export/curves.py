"""The time-intensity curve of one region of interest, as the table, the plot and the csv file share it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


def percent_enhancement(signal: np.ndarray, baseline: float) -> np.ndarray:
    """100 (S(t) - S0) / S0; NaN where the baseline is not positive, since a percentage of nothing means nothing."""
    if not baseline > 0:
        return np.full(np.shape(signal), np.nan)
    return 100.0 * (np.asarray(signal, float) - baseline) / baseline


@dataclass(frozen=True)
class RegionCurve:
    """A region's mean signal over time.

    Attributes:
        name: what the user calls the region.
        voxels: how many it holds.
        times_s: (T,) seconds after injection start.
        baseline: mean pre-contrast signal.
        signal: (T,) mean synthetic signal, in the scale of the source.
        truth_baseline: as ``baseline``, of the simulated truth; None where none is known.
        truth: as ``signal``, of the simulated truth.
    """

    name: str
    voxels: int
    times_s: np.ndarray
    baseline: float
    signal: np.ndarray
    truth_baseline: float | None = None
    truth: np.ndarray | None = None

    @property
    def enhancement(self) -> np.ndarray:
        """(T,) percent enhancement."""
        return percent_enhancement(self.signal, self.baseline)

    @property
    def true_enhancement(self) -> np.ndarray | None:
        """(T,) percent enhancement of the truth, where it is known."""
        if self.truth is None or self.truth_baseline is None:
            return None
        return percent_enhancement(self.truth, self.truth_baseline)

    @property
    def peak(self) -> tuple[float, float]:
        """Peak percent enhancement, and its time (time to peak, TTP, seconds after injection start)."""
        enhancement = self.enhancement
        if np.isnan(enhancement).all():
            return float("nan"), float("nan")
        at = int(np.nanargmax(enhancement))
        return float(enhancement[at]), float(self.times_s[at])

    def at(self, times_s: np.ndarray) -> RegionCurve:
        """The curve at some of its own times."""
        where = np.searchsorted(self.times_s, times_s)
        truth = None if self.truth is None else self.truth[where]
        return replace(self, times_s=self.times_s[where], signal=self.signal[where], truth=truth)

    def enhancement_at(self, t: float) -> float:
        """Percent enhancement at a time, linear between the samples."""
        return float(np.interp(t, self.times_s, self.enhancement))
