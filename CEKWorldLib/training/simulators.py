"""Processes that simulate patients for a run: they leave Ctrl-C to it, and end with it, even where it was killed."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from threading import Thread

from CEKWorldLib.errors import CEKWorldError


def simulators(workers: int) -> ProcessPoolExecutor:
    """A pool of processes; one that is ended from outside breaks it (``BrokenProcessPool``, see `lost_simulator`)."""
    return ProcessPoolExecutor(workers, initializer=_end_with_the_run)


def lost_simulator() -> CEKWorldError:
    """What to say where a process of the pool was ended from outside."""
    return CEKWorldError(
        "A simulator process was ended from outside, mostly because memory ran out. Start the run again with fewer "
        "--workers; it goes on where it was."
    )


def _end_with_the_run() -> None:
    """In a simulator process: leaves signals to the run, which ends it, and ends where the run was killed."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    Thread(target=_end_after, args=(os.getppid(),), daemon=True).start()


def _end_after(run: int) -> None:
    while os.getppid() == run:
        time.sleep(1.0)
    os._exit(1)
