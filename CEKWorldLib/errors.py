"""The one exception a user is meant to read."""

from __future__ import annotations


class CEKWorldError(Exception):
    """Something the user can mend: the message says what is wrong, in which file, and what to do.

    Every room raises this (or a subclass) for bad input and full disks; the command line and the viewers show
    its text as it stands, without a traceback. Messages never hold patient data.
    """


class Cancelled(CEKWorldError):
    """The user asked to stop. Files are as they were before; slices a session had finished stay readable."""
