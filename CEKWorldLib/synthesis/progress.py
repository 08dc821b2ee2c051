"""What a long synthesis reports, and how it is asked to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One report, sent after every batch.

    Attributes:
        done: slices finished, including those that were there before.
        total: slices of the exam.
        slices: source indices of the slices that have just become readable.
        elapsed_s: seconds since the synthesis began.
        remaining_s: seconds left at the pace so far.
    """

    done: int
    total: int
    slices: tuple[int, ...]
    elapsed_s: float
    remaining_s: float


ProgressCallback = Callable[[Progress], None]
Cancel = threading.Event | Callable[[], bool]


def is_cancelled(cancel: Cancel | None) -> bool:
    """Whether the user asked to stop, by an event or by a function's answer."""
    if cancel is None:
        return False
    return cancel.is_set() if isinstance(cancel, threading.Event) else bool(cancel())
