"""The one exception a user is meant to read."""

from __future__ import annotations


class CEKWorldError(Exception):
    """Something the user can mend: the message says what is wrong, in which file, and what to do.

    Every room raises this (or a subclass) for bad input and full disks; the command line and the viewers show
    its text as it stands, without a traceback. Messages never hold patient data.
    """


class Cancelled(CEKWorldError):
    """The user asked to stop. Files are as they were before; slices a session had finished stay readable."""


class OutOfMemory(CEKWorldError):
    """There is not enough memory, or not enough disk for memory-mapped files.

    Attributes:
        need_bytes: what was asked for in vain; None where it is not known.
        free_bytes: what was free at that moment; None where it is not known.
    """

    def __init__(self, message: str, need_bytes: int | None = None, free_bytes: int | None = None) -> None:
        super().__init__(message)
        self.need_bytes = need_bytes
        self.free_bytes = free_bytes
