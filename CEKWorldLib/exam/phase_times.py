"""The times of a series' phases: what its file says, and what the user says instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from CEKWorldLib.errors import CEKWorldError

GIVEN = "given"  # the source of a time, or of time zero, that the user named
UNKNOWN = "unknown"
_NO_INJECTION = (
    "Nothing says when the injection began: times count from the first phase. Give the seconds from there to the start "
    "of the injection."
)


@dataclass(frozen=True)
class PhaseTimes:
    """Times of T phases.

    Attributes:
        times_s: (T,) float64 seconds, ascending; NaN where nothing tells.
        sources: per phase, where its time came from.
        zero_source: where time zero came from; empty when times count from the first phase.
        problem: why there are no times; empty when there are.
        notes: sentences for the user.
    """

    times_s: np.ndarray
    sources: tuple[str, ...]
    zero_source: str = ""
    problem: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def unknown(cls, phases: int, problem: str) -> PhaseTimes:
        """No time for any phase, because of ``problem`` (a clause that fits into a sentence)."""
        return cls(np.full(phases, np.nan), (UNKNOWN,) * phases, problem=problem)

    def settled(self, times_s: Sequence[float] | np.ndarray | None, injection_s: float | None, name: str) -> PhaseTimes:
        """Applies what the user said and makes sure that every phase has its own time.

        Args:
            times_s: seconds after injection start of every phase, in the phases' order.
            injection_s: seconds from the first phase to the start of the injection.
            name: the file or folder, for messages.

        Raises:
            UnknownTimesError: no times in the file and none given.
            CEKWorldError: times that do not fit the phases or do not rise, or both kinds of override at once.
        """
        if times_s is not None and injection_s is not None:
            raise CEKWorldError("Give times or the start of the injection, not both: given times count from it.")
        if times_s is not None:
            return self._given(np.asarray(times_s, float), name)
        if self.problem:
            raise UnknownTimesError(
                f"{name} does not tell the times of its phases: {self.problem}; give a time for each phase.", self
            )
        _check_rising(self.times_s, name)
        if injection_s is not None:
            if not np.isfinite(injection_s):
                raise CEKWorldError(f"{injection_s} is no time for the start of the injection; give seconds.")
            # Rounded: a phase at the injection is a pre-contrast one, at 7e-15 s it would not be.
            since = np.round(self.times_s - self.times_s[0] - injection_s, 6)
            return replace(self, times_s=since, zero_source=GIVEN)
        if not self.zero_source:
            return replace(self, times_s=self.times_s - self.times_s[0], notes=(*self.notes, _NO_INJECTION))
        return self

    def _given(self, times_s: np.ndarray, name: str) -> PhaseTimes:
        phases = len(self.sources)
        if times_s.shape != (phases,):
            raise CEKWorldError(f"{name} has {phases} phases, but {times_s.size} times are given; give one for each.")
        _check_rising(times_s, name)
        return PhaseTimes(times_s, (GIVEN,) * phases, zero_source=GIVEN)


class UnknownTimesError(CEKWorldError):
    """A series whose file does not tell its times. ``times`` holds the phases, to be shown as a table."""

    def __init__(self, message: str, times: PhaseTimes, series_numbers: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.times = times
        self.series_numbers = series_numbers


def _check_rising(times_s: np.ndarray, name: str) -> None:
    if not np.isfinite(times_s).all():
        raise CEKWorldError(f"{name}: one of the times is not a number; give a time in seconds for each phase.")
    falls = np.flatnonzero(np.diff(times_s) <= 0)
    if len(falls):
        first = int(falls[0])
        raise CEKWorldError(
            f"{name}: phase {first + 2} ({times_s[first + 1]:g} s) is not later than phase {first + 1} "
            f"({times_s[first]:g} s); give rising times, one for each phase."
        )
