"""The times of DICOM phases: which header entries may tell them, and which one is believed.

Vendors put the time of a phase in different places. Siemens changes AcquisitionTime, GE keeps it and changes
TriggerTime and ContentTime, Philips numbers TemporalPositionIdentifier and writes TriggerTime, Enhanced MR has offsets
or a date and time for each frame, Bruker tells nothing. (UCSF's Breast_DCEMRI_FTV and MultiVolumeImporter list these
habits.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from CEKWorldLib.exam.dicom_clock import across_midnight, between, date_time, day, time_of_day
from CEKWorldLib.exam.dicom_planes import Plane
from CEKWorldLib.exam.phase_times import PhaseTimes

# Gives a number for each plane, NaN where its header has none.
Reader = Callable[[Sequence[Plane]], np.ndarray]
_TEMPORAL = "TemporalPositionIdentifier x TemporalResolution"
_MIN_TRIGGER_SPAN_S = 10.0  # shorter is a heart beat
_MIN_CONTENT_SPAN_S = 59.0  # shorter is the reconstruction of all phases at once (the limit FTV uses)
_DECIMALS = 6  # of a second, what DICOM times have; beyond lies the rounding of large clock times
_INTERVAL_S = (0.5, 600.0)  # that a temporal resolution may have, whatever its unit
_MAX_DELAY_S = 3600.0  # between injection and first phase: further apart, one of the two clocks is wrong
_WIDE_S = 1.0  # slices of one phase further apart than this are worth a note


def numbers(tag: str) -> Reader:
    """A reader of a tag's numbers."""
    return lambda planes: np.array([_number(plane.times.get(tag, "")) for plane in planes])


def temporal_position(planes: Sequence[Plane]) -> np.ndarray:
    """TemporalPositionIndex of Enhanced MR, else TemporalPositionIdentifier."""
    index = numbers("TemporalPositionIndex")(planes)
    return index if np.isfinite(index).all() else numbers("TemporalPositionIdentifier")(planes)


def acquisition_time(planes: Sequence[Plane]) -> np.ndarray:
    """Seconds of AcquisitionDate and AcquisitionTime."""
    return _on_a_day(planes, "AcquisitionDate", "AcquisitionTime")


def content_time(planes: Sequence[Plane]) -> np.ndarray:
    """Seconds of ContentDate and ContentTime."""
    return _on_a_day(planes, "ContentDate", "ContentTime")


def date_times(tag: str) -> Reader:
    """A reader of a DT tag."""
    return lambda planes: np.array([date_time(plane.times.get(tag, "")) for plane in planes])


def _trigger_time(planes: Sequence[Plane]) -> np.ndarray:
    return numbers("TriggerTime")(planes) / 1000.0


def _temporal_resolution(planes: Sequence[Plane]) -> np.ndarray:
    """Position times resolution. The standard's unit is ms, but s and us occur too: the plausible one is taken."""
    resolution = numbers("TemporalResolution")(planes)
    step = resolution[0] if len(np.unique(resolution)) == 1 else np.nan
    units = (step / 1e3, step, step / 1e6)
    interval = next((value for value in units if _INTERVAL_S[0] <= value <= _INTERVAL_S[1]), np.nan)
    return (temporal_position(planes) - 1.0) * interval


# Most telling first. Clocks also order phases that come as series of their own, and can be compared with the injection.
_CLOCKS: dict[str, Reader] = {
    "FrameReferenceDateTime": date_times("FrameReferenceDateTime"),
    "FrameAcquisitionDateTime": date_times("FrameAcquisitionDateTime"),
    "AcquisitionDateTime": date_times("AcquisitionDateTime"),
    "AcquisitionTime": acquisition_time,
}
_SOURCES: dict[str, tuple[Reader, float]] = {
    "TemporalPositionTimeOffset": (numbers("TemporalPositionTimeOffset"), 0.0),
    **{name: (reader, 0.0) for name, reader in _CLOCKS.items()},
    "TriggerTime": (_trigger_time, _MIN_TRIGGER_SPAN_S),
    "ContentTime": (content_time, _MIN_CONTENT_SPAN_S),
    _TEMPORAL: (_temporal_resolution, 0.0),
}
_COMPARABLE = (*_CLOCKS, "ContentTime")


def clock_order(firsts: Sequence[Plane]) -> list[int] | None:
    """The order in time of planes of different series; None where no clock tells them all apart."""
    for reader in (*_CLOCKS.values(), content_time):
        seconds = reader(firsts)
        if np.isfinite(seconds).all() and len(np.unique(seconds)) == len(seconds):
            return np.argsort(seconds).tolist()
    return None


def phase_times(phases: Sequence[Sequence[Plane]]) -> PhaseTimes:
    """Finds the times of phases.

    Args:
        phases: the planes of each phase, in the order of time.

    Returns:
        Times after the injection where the headers tell its start, otherwise after the first phase. Notes name other
        sources that disagree, and weak ones.
    """
    found, problems = {}, []
    for name, (reader, shortest) in _SOURCES.items():
        seconds = _starts(phases, reader)
        if not np.isfinite(seconds).all():
            problems += [f"{name} is missing in some images"] if np.isfinite(seconds).any() else []
        elif np.any(np.diff(seconds) <= 0):
            problems.append(f"{name} does not rise from phase to phase")
        elif seconds[-1] - seconds[0] < shortest:
            problems.append(f"{name} spans only {seconds[-1] - seconds[0]:g} s")
        else:
            found[name] = seconds
    if not found:
        return PhaseTimes.unknown(len(phases), ", ".join(problems) or "no time or interval is written in its headers")
    chosen, seconds = next(iter(found.items()))
    notes = [*_weakness(chosen, phases), *_disagreements(chosen, found)]
    start, injection_notes = _injection(phases, chosen)
    since_first = seconds - seconds[0]
    sources = (chosen,) * len(phases)
    times = PhaseTimes(np.round(since_first, _DECIMALS), sources, notes=tuple(notes + injection_notes))
    if start is None:
        return times
    # Only times of day are compared, whatever day the source's clock counts from.
    first = between(start, float(seconds[0]))
    if abs(first) > _MAX_DELAY_S:
        far = f"ContrastBolusStartTime lies {abs(first) / 60:.0f} minutes from the first phase and is not believed."
        return replace(times, notes=(*times.notes, far))
    return PhaseTimes(np.round(since_first + first, _DECIMALS), sources, "ContrastBolusStartTime", notes=times.notes)


def _starts(phases: Sequence[Sequence[Plane]], reader: Reader) -> np.ndarray:
    """When each phase began: the earliest of its slices."""
    seconds = reader([plane for phase in phases for plane in phase])
    edges = np.cumsum([0, *(len(phase) for phase in phases)])
    return np.minimum.reduceat(seconds, edges[:-1])  # a NaN among the slices makes the phase NaN


def _on_a_day(planes: Sequence[Plane], date_tag: str, time_tag: str) -> np.ndarray:
    seconds = np.array([time_of_day(plane.times.get(time_tag, "")) for plane in planes])
    days = np.array([day(plane.times.get(date_tag, "")) for plane in planes])
    # Some scanners keep the first day's date after midnight, others write none.
    return days + seconds if len(np.unique(days)) > 1 and np.isfinite(days).all() else across_midnight(seconds)


def _weakness(name: str, phases: Sequence[Sequence[Plane]]) -> list[str]:
    if name == "ContentTime":
        return ["Times are those of ContentTime, which on some scanners is when the image was reconstructed."]
    if name == _TEMPORAL:
        first = [phase[0] for phase in phases[:2]]
        return [f"Times are phase numbers times a TemporalResolution of {np.ptp(_temporal_resolution(first)):g} s."]
    seconds = _SOURCES[name][0]([plane for phase in phases for plane in phase])
    edges = np.cumsum([0, *(len(phase) for phase in phases)])
    widest = max(float(np.ptp(seconds[start:stop])) for start, stop in zip(edges[:-1], edges[1:], strict=True))
    if widest <= _WIDE_S:
        return []
    return [f"Slices of one phase differ by up to {widest:.1f} s in {name}; each phase has the time of its first."]


def _disagreements(chosen: str, found: dict[str, np.ndarray]) -> list[str]:
    """Names other sources whose intervals differ by over 2 s and a tenth of the series."""
    expected = found[chosen] - found[chosen][0]
    limit = max(2.0, 0.1 * float(expected[-1]))
    other = next((name for name, s in found.items() if np.abs(s - s[0] - expected).max() > limit), None)
    if other is None:
        return []
    seconds = found[other] - found[other][0]
    return [
        f"{other} disagrees with {chosen}: the last phase lies {seconds[-1]:g} s after the first there, "
        f"{expected[-1]:g} s here; give the times if {chosen} is wrong."
    ]


def _injection(phases: Sequence[Sequence[Plane]], source: str) -> tuple[float | None, list[str]]:
    """Time of day of the injection, where the headers tell one that the source's clock can be compared with."""
    texts = {plane.times.get("ContrastBolusStartTime", "") for phase in phases for plane in phase} - {""}
    starts = np.unique([start for start in map(time_of_day, texts) if np.isfinite(start)])
    if not len(starts):
        return None, []
    if source not in _COMPARABLE:
        return None, [f"ContrastBolusStartTime is a time of day and cannot be compared with {source}."]
    if len(starts) > 1:
        return None, ["The headers name several ContrastBolusStartTime."]
    return float(starts[0]), []


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan
