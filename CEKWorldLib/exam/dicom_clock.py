"""DICOM's spellings of dates and times (PS3.5 6.2: DA, TM, DT) as seconds."""

from __future__ import annotations

import datetime
import re

import numpy as np

DAY_S = 86_400.0
_FIRST_DAY = datetime.datetime(2000, 1, 1)  # near enough to keep microseconds in a float64
# TM leaves out what is not known; ACR-NEMA wrote colons and points.
_TIME = re.compile(r"(\d{2}):?(?:(\d{2}):?(?:(\d{2})(?:\.(\d{1,6}))?)?)?")
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_DATE_TIME = re.compile(r"(\d{8})(\d{2}[\d.]*)(?:[+-]\d{4})?")


def time_of_day(text: str) -> float:
    """Seconds after midnight of a TM value; NaN where it is none."""
    found = _TIME.fullmatch(text.strip())
    if not found:
        return np.nan
    hours, minutes, seconds = (int(part or 0) for part in found.groups()[:3])
    if hours > 23 or minutes > 59 or seconds > 60:  # 60 is a leap second
        return np.nan
    return 3600.0 * hours + 60.0 * minutes + seconds + float(f"0.{found.group(4) or 0}")


def day(text: str) -> float:
    """Seconds at midnight of a DA value, from a fixed day; NaN where it is none."""
    found = _DATE.fullmatch(text.strip())
    if not found:
        return np.nan
    try:
        year, month, date = map(int, found.groups())
        return (datetime.datetime(year, month, date) - _FIRST_DAY).total_seconds()
    except ValueError:  # a thirteenth month
        return np.nan


def date_time(text: str) -> float:
    """Seconds of a DT value, from the fixed day of `day`; NaN where it is none.

    The offset from UTC is left aside: it is the same within an exam, and TM values of the same header have none.
    """
    found = _DATE_TIME.fullmatch(text.strip())
    return day(found.group(1)) + time_of_day(found.group(2)) if found else np.nan


def moment(seconds: float) -> datetime.datetime:
    """The date and time of seconds from the fixed day of `day`; ValueError for NaN."""
    return _FIRST_DAY + datetime.timedelta(seconds=seconds)


def across_midnight(seconds: np.ndarray) -> np.ndarray:
    """Lets times of day run on after midnight.

    The longest pause on the 24-hour clock is taken to be the time outside the exam, which holds for every exam
    shorter than twelve hours.

    Args:
        seconds: times of day, in any order; NaN stays.

    Returns:
        The same, with 24 hours added to those after midnight.
    """
    known = np.unique(seconds[np.isfinite(seconds)])
    if len(known) < 2:
        return seconds
    pauses = np.diff(known, append=known[0] + DAY_S)
    longest = int(pauses.argmax())
    return seconds if longest == len(known) - 1 else np.where(seconds <= known[longest], seconds + DAY_S, seconds)


def between(start: float, end: float) -> float:
    """Seconds from one time of day to another, at most twelve hours either way."""
    return (end - start + DAY_S / 2) % DAY_S - DAY_S / 2
