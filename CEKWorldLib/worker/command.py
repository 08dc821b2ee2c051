"""What a viewer starts as its worker: a process on this machine, or one whose work a remote host does."""

from __future__ import annotations

import os

from CEKWorldLib.errors import CEKWorldError

LOCAL = ("-m", "CEKWorldLib.worker")
HOST_VARIABLE = "CEKWORLD_WORKER_HOST"
"""Names the host for all viewers that are started with it; without it nothing leaves the machine."""

NICENESS_VARIABLE = "CEKWORLD_NICENESS"
"""How much the threads that compute give way to the rest of the machine, 0 to 19; not on Windows."""


def remote(url: str) -> tuple[str, ...]:
    """Python's arguments for a worker at a host such as ``wss://gpu.example:8471``."""
    return ("-m", "CEKWorldLib.worker.remote", url)


def configured() -> tuple[str, ...]:
    """Python's arguments for the worker that the environment asks for."""
    host = os.environ.get(HOST_VARIABLE)
    return remote(host) if host else LOCAL


def niceness() -> int:
    """What the environment asks for; 0 where it does not.

    Raises:
        CEKWorldError: it is no whole number.
    """
    asked = os.environ.get(NICENESS_VARIABLE, "0")
    try:
        return int(asked)
    except ValueError:
        raise CEKWorldError(f"{NICENESS_VARIABLE} is '{asked}'; give a whole number from 0 to 19.") from None
