"""Fetches frames from the worker one by one, the one the user looks at first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any

import numpy as np
from slicer.i18n import tr as _

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.gui.gradual_copy import GradualCopy, Target, no_room
from CEKWorldLib.gui.signals import Signal
from CEKWorldLib.worker.interface import Frame, SynthesisClient

Room = Callable[[float], Sequence[Target]]
"""Gives what the volume of a time is to be copied to, one or more."""
Take = Callable[[float, Sequence[Any]], None]
"""Takes them when they are filled."""


class FrameReader:
    """One frame is under way at a time; a glance at a time goes before the phases that are collected.

    Args:
        client: of the worker.
        copy: copies one frame at a time; what it was doing otherwise is done.
        room: for a phase that is collected.
        take_phase: takes it.
        take_glance: takes the volume of a time the user looks at, and whether all its slices are synthesized.

    Attributes:
        collected: emitted when all phases asked for have been taken.
        failed: emitted with the ``CEKWorldError`` that ended the collection.
    """

    def __init__(
        self,
        client: SynthesisClient,
        copy: GradualCopy,
        room: Room,
        take_phase: Take,
        take_glance: Callable[[float, np.ndarray, bool], None],
    ) -> None:
        self.collected = Signal()
        self.failed = Signal()
        self._client = client
        self._room = room
        self._take_phase = take_phase
        self._take_glance = take_glance
        self._phases: list[float] = []
        self._is_collecting = False
        self._glance: float | None = None
        self._underway: Future[Frame] | None = None  # until its voxels are copied: then its slot is written to again
        self._copy = copy

    def glance(self, time_s: float) -> None:
        """Reads a time as it is now, slices that are not synthesized yet included; only the latest one asked for."""
        self._glance = time_s
        self._next()

    def collect(self, times_s: Iterable[float]) -> None:
        """Reads finished phases, in the order given."""
        self._phases = list(times_s)
        self._is_collecting = True
        self._next()

    def stop(self) -> None:
        """Forgets what was asked for; a frame under way is not taken any more."""
        self._phases.clear()
        self._is_collecting = False
        self._glance = self._underway = None
        self._copy.stop()

    def _next(self) -> None:
        if self._underway is not None:
            return
        if self._glance is not None:
            time_s, self._glance = self._glance, None
            self._read(time_s, partial=True)
        elif self._phases:
            self._read(self._phases.pop(0), partial=False)
        elif self._is_collecting:
            self._is_collecting = False
            self.collected.emit()

    def _read(self, time_s: float, partial: bool) -> None:
        future = self._underway = self._client.frame(time_s, partial=partial, extrapolate=True)
        future.add_done_callback(lambda done: self._arrived(done, partial))

    def _arrived(self, future: Future[Frame], partial: bool) -> None:
        if future is not self._underway:
            return
        try:
            frame = future.result()
        except (CancelledError, CEKWorldError) as error:
            self._underway = None
            if not partial:
                self._fail(error if isinstance(error, CEKWorldError) else CEKWorldError(_("Reading was stopped.")))
                return
            # A glance that fails costs nothing: the preview stays, and the next rest of the slider asks again.
            self._next()
        else:
            copies: Sequence[Any] = [np.empty_like(frame.voxels)] if partial else self._room(frame.t_s)
            self._copy.start(
                frame.voxels, copies, lambda: self._copied(frame, copies, partial), lambda e: self._fail(no_room(e))
            )

    def _copied(self, frame: Frame, copies: Sequence[Any], partial: bool) -> None:
        self._underway = None
        if partial:
            self._take_glance(frame.t_s, copies[0], frame.complete)
        else:
            self._take_phase(frame.t_s, copies)
        self._next()

    def _fail(self, error: CEKWorldError) -> None:
        self.stop()
        self.failed.emit(error)
