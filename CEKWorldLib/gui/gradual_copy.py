"""Copies volumes a few slices per round of the event loop, so that the GUI thread is never long away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from tempfile import gettempdir
from time import perf_counter
from typing import Protocol

import numpy as np

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.gui.timers import MakeTimer

# Not a number of bytes: the system gives memory page by page when it is first touched, and 4 MB took 5 to 180 ms.
_ROUND_S = 0.01


class Target(Protocol):
    """An array, or a ``worker.volume_file.VolumeFile``."""

    def __setitem__(self, index: int, plane: np.ndarray) -> None: ...


class GradualCopy:
    """One copy at a time; one that takes less than 10 ms is done at once.

    Args:
        make_timer: of the application.
    """

    def __init__(self, make_timer: MakeTimer) -> None:
        self._timer = make_timer(self._go_on)
        self._done: Callable[[], None] | None = None
        self._failed: Callable[[OSError], None] | None = None
        self._voxels = np.empty(0)
        self._copies: Sequence[Target] = ()
        self._copied = 0

    def start(
        self,
        voxels: np.ndarray,
        copies: Sequence[Target],
        done: Callable[[], None],
        failed: Callable[[OSError], None],
    ) -> None:
        """Fills arrays or files with a volume and says when that is done; a copy under way is forgotten.

        Args:
            voxels: (slices, rows, columns), which must not change meanwhile.
            copies: one or more of its shape, of any type that holds its values.
            done: called when all are filled.
            failed: called instead where a file cannot be written, as on a full disk.
        """
        self.stop()
        self._voxels, self._copies, self._done, self._failed = voxels, copies, done, failed
        self._go_on()

    def stop(self) -> None:
        """Forgets the copy that is under way."""
        self._timer.stop()
        self._done = self._failed = None
        self._voxels, self._copies, self._copied = np.empty(0), (), 0

    def _go_on(self) -> None:
        done, failed = self._done, self._failed
        if done is None or failed is None:
            return
        end = perf_counter() + _ROUND_S
        while self._copied < len(self._voxels):
            try:
                for copy in self._copies:
                    copy[self._copied] = self._voxels[self._copied]
            except OSError as error:
                self.stop()
                failed(error)
                return
            self._copied += 1
            if perf_counter() > end:
                self._timer.start(0)
                return
        self.stop()
        done()


def no_room(error: OSError) -> CEKWorldError:
    """What the user reads where a file could not be written."""
    return CEKWorldError(
        f"Images could not be written to the temporary folder {gettempdir()} ({error.strerror or error}); free some "
        "space, or ask for fewer samples."
    )
