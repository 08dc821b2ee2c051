"""Copies volumes a few slices per round of the event loop, so that the GUI thread is never long away."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from CEKWorldLib.gui.timers import MakeTimer

# The first touch of 65 MB took 240 ms, of 4 MB 15 ms: the system gives memory page by page.
_PIECE_BYTES = 4 << 20


class GradualCopy:
    """One copy at a time; a small volume is copied at once.

    Args:
        make_timer: of the application.
    """

    def __init__(self, make_timer: MakeTimer) -> None:
        self._timer = make_timer(self._go_on)
        self._begin: tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], None]] | None = None
        self._copied = 0

    def start(self, voxels: np.ndarray, done: Callable[[np.ndarray], None]) -> None:
        """Copies a volume (slices, rows, columns), which must not change meanwhile, and gives the copy to ``done``."""
        self._begin, self._copied = (voxels, np.empty_like(voxels), done), 0
        self._go_on()

    def stop(self) -> None:
        """Forgets the copy that is under way."""
        self._timer.stop()
        self._begin = None

    def _go_on(self) -> None:
        if self._begin is None:
            return
        voxels, copy, done = self._begin
        slices = max(1, _PIECE_BYTES * len(voxels) // max(1, voxels.nbytes))
        part = slice(self._copied, self._copied + slices)
        copy[part] = voxels[part]
        self._copied += slices
        if self._copied < len(voxels):
            self._timer.start(0)
            return
        self._begin = None
        done(copy)
