"""What timed behaviour needs of a timer, so that tests give it one whose time they turn themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """Calls back in the GUI thread."""

    def start(self, milliseconds: int) -> None:
        """Starts, or starts anew where it runs."""
        ...

    def stop(self) -> None: ...

    @property
    def is_running(self) -> bool: ...


class MakeTimer(Protocol):
    """Makes a timer that calls ``call`` once, or again and again."""

    def __call__(self, call: Callable[[], None], repeating: bool = False) -> Timer: ...
