"""Which times are synthesized: dense during the first pass, sparse in the wash-out."""

from __future__ import annotations

import math

import numpy as np

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.protocol import Anatomy

# Seconds after arrival. Chosen by coordinate descent on the PCHIP error of simulated curves (Parker and Orton inputs,
# 5-20 s injections, cardiac output 0.75-1.4, extended Tofts lesions and organs, dual-input liver): 95 of 100 lesion
# curves are met within 4.3 % of their maximum, against 6.2 % for a grid of the same size chosen by eye. The first pass
# sets the error; the late points can be moved freely.
_FIRST_PASS_S = (3.5, 6.5, 10.0, 14.0, 18.0, 22.0, 27.0, 34.0, 43.0, 61.0, 90.0)
_LATE_POINTS = 4
_LAST_S: dict[Anatomy | None, float] = {"breast": 480.0, "abdomen": 420.0, "brain": 600.0, None: 480.0}
_MAXIMUM_TIMES = 1000


def default_times(arrival_s: float, anatomy: Anatomy | None = None) -> tuple[float, ...]:
    """Sixteen key times: the pre-contrast frame, eleven in the 90 s after arrival, four spread evenly in log time.

    Args:
        arrival_s: bolus arrival, seconds after injection start.
        anatomy: decides how long the series is (breast 480 s, abdomen 420 s, brain 600 s).

    Returns:
        Ascending seconds after injection start, rounded to 0.1 s.
    """
    # A late arrival still gets four minutes of wash-out.
    duration = max(_LAST_S[anatomy] - arrival_s, 240.0)
    late = np.geomspace(_FIRST_PASS_S[-1], duration, _LATE_POINTS + 1)[1:]
    return (0.0, *(round(float(arrival_s + offset), 1) for offset in (*_FIRST_PASS_S, *late)))


def parse_times(text: str) -> tuple[float, ...]:
    """Reads ``first:last:step`` (last included when the step meets it) or a comma-separated list, in seconds.

    Raises:
        CEKWorldError: not a list of times, a step that is not positive, or more than 1000 times.
    """
    return checked_times(listed_times(text))


def listed_times(text: str) -> tuple[float, ...]:
    """Times as they are written, in that order: one for each of several volumes.

    Raises:
        CEKWorldError: as ``parse_times``.
    """
    try:
        if ":" in text:
            first, last, step = (float(part) for part in text.split(":"))
            if not step > 0 or not first <= last or not math.isfinite((last - first) / step):
                raise ValueError
            # A millionth of a step absorbs the rounding of decimal steps such as 0.1.
            count = math.floor((last - first) / step + 1e-6) + 1
            if count > _MAXIMUM_TIMES:
                raise CEKWorldError(
                    f"The times '{text}' are {count} time points; at most {_MAXIMUM_TIMES} can be made."
                )
            times = [round(first + step * n, 6) for n in range(count)]
        else:
            times = [float(part) for part in text.split(",")]
    except ValueError:
        raise CEKWorldError(
            f"The times '{text}' cannot be read; write first:last:step such as 0:360:15, or a list such as 0,30,90."
        ) from None
    return tuple(times)


def checked_times(times) -> tuple[float, ...]:
    """Times sorted, each once.

    Raises:
        CEKWorldError: no times, or one that is not a finite number.
    """
    unique = sorted({float(t) for t in times})
    if not unique or not all(math.isfinite(t) for t in unique):
        raise CEKWorldError("The times must be at least one finite number of seconds after injection start.")
    return tuple(unique)
