"""The formulas, on curves laid side by side.

Definitions after Partridge et al., Acad Radiol 2014;21(9) (phases, +-10 %), Hylton et al., Radiology 2012;263:663
(signal enhancement ratio) and the QIBA DCE-MRI profile (area under the curve from bolus arrival). Everything works on
whole rows of a (samples, curves) array in the array's own type: maps are made of many such arrays that fit the cache.
"""

from __future__ import annotations

import numpy as np

from CEKWorldLib.kinetics.curve_type import CurveType, InitialPhase
from CEKWorldLib.kinetics.quantities import DURATIONS_S
from CEKWorldLib.kinetics.settings import Settings
from CEKWorldLib.kinetics.time_axis import TimeAxis
from CEKWorldLib.kinetics.weights import weighted_sums

_RISE_PERCENT = 5.0  # the least rise that counts as bolus arrival
_SIGMAS = 3.0
_ROUNDING = 1e-3  # percent; exactly 10 % must stay a plateau in float32, and less than it is no denominator
_ABSURD_PERCENT = 1e9  # a baseline that makes this of a sample is rounding, not signal


def measure(samples: np.ndarray, axis: TimeAxis, settings: Settings) -> dict[str, np.ndarray]:
    """Measures every curve.

    Args:
        samples: (T, n) float, in the order of ``axis``.
        axis: when they were taken.
        settings: definitions.

    Returns:
        (n,) arrays under the names of the attributes of ``Statistics``.
    """
    baseline, noise = _baseline(samples, axis, settings)
    enhancement = _enhancement(samples, baseline)
    noise_percent = None if noise is None else 100.0 * noise / baseline

    early = axis.early.astype(samples.dtype) @ enhancement
    late = np.full_like(early, np.nan) if axis.late is None else enhancement[axis.late]
    peak, peak_index = _peak(enhancement, axis.baseline, len(samples))
    slope, slope_index = _steepest(enhancement, axis)
    arrival_index = _arrival(enhancement, peak, slope_index, noise_percent, axis)
    arrival = _at(axis.times_s.clip(min=0.0), arrival_index, samples.dtype)
    if axis.arrival_s is not None:
        arrival = np.where(np.isnan(baseline), np.nan, axis.arrival_s).astype(samples.dtype)
        before = np.full_like(arrival_index, np.searchsorted(axis.times_s, axis.arrival_s, side="right") - 1)
        _leave_out_earlier_peaks(enhancement, peak, peak_index, before)
    else:
        _leave_out_earlier_peaks(enhancement, peak, peak_index, arrival_index)
    peak_s = _at(axis.times_s, np.where(np.isnan(baseline), np.int16(-1), peak_index), samples.dtype)
    reference = _reference(enhancement, early, axis, settings)
    change = _change(reference, late, settings)
    areas = _areas(enhancement, arrival_index, axis)
    return {
        "baseline": baseline,
        "reference_enhancement": reference,
        "percent_enhancement": early,
        "delayed_enhancement": late,
        "peak_enhancement": peak,
        "delayed_change": change,
        "ser": _ratio(early, np.where(late < settings.ser_floor_percent, 0.0, late)),
        "arrival_s": arrival,
        "ttp_s": peak_s,
        "ttp_from_arrival_s": peak_s - arrival,
        "wash_in": _ratio(early, np.maximum(axis.t_e_s - arrival, 0.0)),
        "max_slope": slope,
        "wash_out": 60.0 * weighted_sums(axis.slope_weights, peak_index, enhancement)[0],
        **{f"iauc{duration:.0f}": area for duration, area in zip(DURATIONS_S, areas, strict=True)},
        "initial_phase": _initial_phase(early, settings),
        "curve_type": _curve_type(early, change, settings),
        "weak": _weak(early, noise_percent, settings),
    }


def _baseline(samples: np.ndarray, axis: TimeAxis, settings: Settings) -> tuple[np.ndarray, np.ndarray | None]:
    """S0, NaN where not positive or within the noise, and the noise of one sample, None where nothing tells it."""
    before = samples[: axis.baseline]
    baseline = before.mean(axis=0)
    floor = _SIGMAS * (settings.noise_sd or 0.0)
    baseline[~((baseline > 0) & (baseline >= floor))] = np.nan
    if len(before) > 1:
        return baseline, before.std(axis=0, ddof=1)
    return baseline, None if settings.noise_sd is None else np.full_like(baseline, settings.noise_sd)


def _enhancement(samples: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """PE of every sample; NaN throughout, also in ``baseline``, for a curve of which any sample cannot be judged."""
    enhancement = samples - baseline
    enhancement *= 100.0 / baseline
    unusable = ~(np.abs(enhancement).max(axis=0) < _ABSURD_PERCENT)
    baseline[unusable] = np.nan
    enhancement[:, unusable] = np.nan
    return enhancement


def _peak(enhancement: np.ndarray, first: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest of some samples and the index of its first occurrence."""
    peak = enhancement[first].copy()
    index = np.full(peak.shape, first, np.int16)
    for i in range(first + 1, stop):
        larger = enhancement[i] > peak
        np.copyto(index, np.int16(i), where=larger)
        np.maximum(peak, enhancement[i], out=peak)
    return peak, index


def _leave_out_earlier_peaks(
    enhancement: np.ndarray, peak: np.ndarray, index: np.ndarray, before_arrival: np.ndarray
) -> None:
    """Takes the largest sample after arrival, in place, where a spike before it was larger; few curves have one."""
    few = np.flatnonzero((index <= before_arrival) & (before_arrival < len(enhancement) - 1))
    samples = np.arange(len(enhancement), dtype=np.int16)[:, None]
    later = np.where(samples > before_arrival[few], enhancement[:, few], -np.inf)
    index[few] = later.argmax(axis=0)
    peak[few] = later.max(axis=0, initial=-np.inf)


def _steepest(enhancement: np.ndarray, axis: TimeAxis) -> tuple[np.ndarray, np.ndarray]:
    """Largest (PE[i+1] - PE[i]) / (t[i+1] - t[i]) from the last pre-contrast sample on, and its i."""
    first = axis.baseline - 1
    slopes = np.diff(enhancement[first:], axis=0)
    slopes /= np.diff(axis.times_s[first:])[:, None].astype(enhancement.dtype)
    slope, index = _peak(slopes, 0, len(slopes))
    return slope, index + np.int16(first)


def _arrival(
    enhancement: np.ndarray, peak: np.ndarray, slope_index: np.ndarray, noise: np.ndarray | None, axis: TimeAxis
) -> np.ndarray:
    """Index of the last sample before bolus arrival; -1 where none arrives.

    Arrival is a rise by more than 5 % and three standard deviations of the noise in two consecutive samples. Where the
    noise is not known it is the steepest rise, followed back to where the enhancement is within 5 %.
    """
    if noise is None:
        index = np.where(peak > _RISE_PERCENT, slope_index, np.int16(-1))
        for i in range(len(enhancement) - 2, axis.baseline - 1, -1):
            index -= (index == i) & (enhancement[i] > _RISE_PERCENT)
        return index
    threshold = np.maximum(_SIGMAS * noise, _RISE_PERCENT)
    index = np.full(peak.shape, -1, np.int16)
    above_next = enhancement[-1] > threshold
    for i in range(len(enhancement) - 2, axis.baseline - 1, -1):
        above = enhancement[i] > threshold
        np.copyto(index, np.int16(i - 1), where=above & above_next)
        above_next = above
    return index


def _reference(enhancement: np.ndarray, early: np.ndarray, axis: TimeAxis, settings: Settings) -> np.ndarray:
    """PE of the sample that the delayed phase is compared with."""
    if settings.reference == "t_e" or axis.late is None:
        return early
    stop = min(int(np.searchsorted(axis.times_s, settings.peak_within_s, side="right")), axis.late)
    return _peak(enhancement, axis.baseline, stop)[0] if stop > axis.baseline else early


def _change(reference: np.ndarray, late: np.ndarray, settings: Settings) -> np.ndarray:
    """D: 100 (S_l - S_ref) / S_ref, or 100 (PE_l - PE_ref) / PE_ref."""
    whole = reference + 100.0 if settings.definition == "signal" else reference
    return 100.0 * _ratio(late - reference, np.where(whole > _ROUNDING, whole, 0.0))


def _areas(enhancement: np.ndarray, arrival_index: np.ndarray, axis: TimeAxis) -> np.ndarray:
    """(D, n) areas under PE from arrival on."""
    start = arrival_index - np.int16(axis.baseline - 1) if axis.arrival_s is None else np.zeros_like(arrival_index)
    return weighted_sums(axis.area_weights, start, enhancement)


def _initial_phase(early: np.ndarray, settings: Settings) -> np.ndarray:
    phase = np.full(early.shape, InitialPhase.MEDIUM, np.int8)
    phase[early < settings.slow_below_percent - _ROUNDING] = InitialPhase.SLOW
    phase[early > settings.fast_above_percent + _ROUNDING] = InitialPhase.FAST
    phase[~(early >= 0)] = InitialPhase.NONE
    return phase


def _curve_type(early: np.ndarray, change: np.ndarray, settings: Settings) -> np.ndarray:
    """The band includes its bounds; a dip below the baseline at t_e (motion, T2*) is not evaluable."""
    band = settings.band_percent + _ROUNDING
    kind = np.full(early.shape, CurveType.PLATEAU, np.int8)
    kind[change > band] = CurveType.PERSISTENT
    kind[change < -band] = CurveType.WASHOUT
    kind[~(early >= 0) | np.isnan(change)] = CurveType.NONE
    return kind


def _weak(early: np.ndarray, noise: np.ndarray | None, settings: Settings) -> np.ndarray:
    weak = early < settings.gate_percent - _ROUNDING
    return weak if noise is None else weak | (early < _SIGMAS * noise)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """NaN, never infinity, where the denominator is zero."""
    result = np.full_like(numerator, np.nan)
    return np.divide(numerator, denominator, out=result, where=denominator != 0)


def _at(times_s: np.ndarray, index: np.ndarray, kind: np.dtype) -> np.ndarray:
    """The time of each sample; NaN where the index is negative."""
    return np.append(times_s, np.nan).astype(kind)[index]
