"""Stops a synthesis between its networks and sampler steps, which is sooner than between two batches of slices."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn

from CEKWorldLib.errors import Cancelled

_thread = threading.local()


@contextmanager
def cancellable(is_cancelled: Callable[[], bool]) -> Iterator[None]:
    """Within it, watched models that run in this thread stop when the function says so."""
    _thread.is_cancelled = is_cancelled
    try:
        yield
    finally:
        del _thread.is_cancelled


def watch(model: nn.Module) -> None:
    """Has a model ask, before each of its networks runs, whether to go on.

    A batch runs the image encoder once, and the U-Net in every sampler step.
    """
    for network in model.children():
        network.register_forward_pre_hook(_stop_if_cancelled)


def _stop_if_cancelled(*_: object) -> None:
    is_cancelled = getattr(_thread, "is_cancelled", None)
    if is_cancelled is not None and is_cancelled():
        raise Cancelled("Stopped; finished slices can be viewed, and synthesizing the same times goes on from there.")
