"""When a series was sampled: which samples are the baseline, the initial and the delayed one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.kinetics.quantities import DURATIONS_S
from CEKWorldLib.kinetics.settings import Settings
from CEKWorldLib.kinetics.weights import area_weights, slope_weights

_FEWEST = 3  # samples: before, initial, delayed


@dataclass(frozen=True)
class TimeAxis:
    """The samples of a series in order of time.

    Attributes:
        times_s: (T,) rising and distinct, seconds after the start of the injection.
        order: (N,) which given sample comes next in time; N > T where times were given twice.
        counts: (T,) how often each time was given.
        baseline: how many samples, from the first on, are pre-contrast.
        arrival_s: bolus arrival where it is known for all curves.
        early: (T,) weights whose sum over the samples is the initial one; a single 1 unless interpolated.
        t_e_s: its true time.
        late: index of the delayed sample; None where no sample follows the initial one.
        notes: sentences on what the reader must know of these times.
    """

    times_s: np.ndarray
    order: np.ndarray
    counts: np.ndarray
    baseline: int
    arrival_s: float | None
    early: np.ndarray
    t_e_s: float
    late: int | None
    notes: tuple[str, ...]

    @classmethod
    def of(cls, times_s: np.ndarray, settings: Settings) -> TimeAxis:
        """Orders the times and finds the samples that the settings ask for.

        Raises:
            CEKWorldError: fewer than three distinct times, a time that is no number, or none after the injection.
        """
        given = np.asarray(times_s, float)
        if given.ndim != 1 or not np.isfinite(given).all():
            raise CEKWorldError("The times of a curve must be one list of numbers in seconds; check the times given.")
        order = np.argsort(given, kind="stable")
        times, counts = np.unique(given, return_counts=True)
        if len(times) < _FEWEST:
            raise CEKWorldError(f"A curve needs at least {_FEWEST} different times; this series has {len(times)}.")
        limit = 0.0 if settings.arrival_s is None else settings.arrival_s
        baseline = max(1, int(np.searchsorted(times, limit, side="right")))
        if baseline == len(times):
            raise CEKWorldError(
                f"No phase lies after {limit:g} s, when contrast arrives; check the times and the injection time."
            )
        notes = ["single baseline: its noise is not known from the curve"] if baseline == 1 else []
        if times[0] > limit:
            notes.append(f"no sample before contrast: the first, at {times[0]:g} s, is taken for S0")
        early, t_e, note = _early(times, baseline, settings)
        notes += note
        late, note = _late(times, t_e, settings)
        return cls(times, order, counts, baseline, settings.arrival_s, early, t_e, late, (*notes, *note))

    @property
    def t_l_s(self) -> float:
        """Time of the delayed sample; NaN where there is none."""
        return float("nan") if self.late is None else float(self.times_s[self.late])

    @cached_property
    def area_weights(self) -> np.ndarray:
        """(S, D, T) weights of the areas of ``DURATIONS_S`` from each sample on, the last pre-contrast one first.

        The enhancement counts as zero until contrast can have arrived, so that one moves to the arrival where that is
        known, which then is the only start there is, else up to the injection.
        """
        first = self.baseline - 1
        knots = self.times_s[first:].copy()
        knots[0] = max(knots[0], 0.0) if self.arrival_s is None else self.arrival_s
        starts = knots if self.arrival_s is None else knots[:1]
        weights = np.zeros((len(starts), len(DURATIONS_S), len(self.times_s)))
        weights[..., first:] = area_weights(knots, starts, DURATIONS_S)
        return weights

    @cached_property
    def slope_weights(self) -> np.ndarray:
        """(T, 1, T) weights of the least-squares slope from each sample to the delayed one, 1/s."""
        return slope_weights(self.times_s, self.late)

    def ordered(self, signal: np.ndarray) -> np.ndarray:
        """Puts samples in order of time and averages those of one time.

        Args:
            signal: (N, ...) as the times were given.

        Returns:
            (T, ...), the array itself where nothing had to be done; averages are floating point.
        """
        if len(signal) != len(self.order):
            raise ValueError(f"{len(signal)} samples, but {len(self.order)} times")
        if np.all(np.diff(self.order) == 1) and len(self.order) == len(self.times_s):
            return signal
        in_time = signal[self.order]
        if len(in_time) == len(self.times_s):
            return in_time
        counts = self.counts.reshape(-1, *[1] * (signal.ndim - 1))
        first = np.concatenate([[0], np.cumsum(self.counts)[:-1]])
        mean = np.add.reduceat(in_time, first, axis=0) / counts
        return mean.astype(np.result_type(signal.dtype, np.float32), copy=False)


def _early(times: np.ndarray, baseline: int, settings: Settings) -> tuple[np.ndarray, float, list[str]]:
    """Weights and time of the initial sample: the nearest post-contrast one, or a point between two close ones."""
    target = settings.t_e_s
    weights = np.zeros(len(times))
    nearest = baseline + int(np.abs(times[baseline:] - target).argmin())
    if abs(times[nearest] - target) <= settings.t_e_tolerance_s:
        weights[nearest] = 1.0
        return weights, float(times[nearest]), []
    after = int(np.searchsorted(times, target))
    if baseline < after < len(times) and times[after] - times[after - 1] <= settings.t_e_gap_s:
        share = (target - times[after - 1]) / (times[after] - times[after - 1])
        weights[after - 1 : after + 1] = 1.0 - share, share
        return weights, target, [f"t_e = {target:g} s is interpolated between samples"]
    weights[nearest] = 1.0
    t_e = float(times[nearest])
    return weights, t_e, [f"no sample near {target:g} s: t_e = {t_e:g} s"]


def _late(times: np.ndarray, t_e: float, settings: Settings) -> tuple[int | None, list[str]]:
    """Index of the delayed sample, which must follow the initial one."""
    earliest, latest = settings.t_l_range_s
    if settings.t_l_s is not None:
        late = int(np.abs(times - settings.t_l_s).argmin())
    else:
        within = np.flatnonzero((times >= earliest) & (times <= latest))
        beyond = np.flatnonzero(times > latest)
        late = int(within[-1]) if len(within) else int(beyond[0]) if len(beyond) else len(times) - 1
    if times[late] <= t_e:
        return None, ["no sample after t_e: no delayed phase"]
    if times[late] < earliest:
        return late, [f"provisional: t_l = {times[late]:g} s, earlier than {earliest:g} s"]
    if times[late] > latest:
        return late, [f"t_l = {times[late]:g} s, later than {latest:g} s"]
    return late, []
