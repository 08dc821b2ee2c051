"""Exceptions of the worker as messages to the viewer."""

from __future__ import annotations

import sys
import traceback

import psutil
import torch

from CEKWorldLib.errors import Cancelled, CEKWorldError, OutOfMemory
from CEKWorldLib.synthesis.batching import is_out_of_memory, requested_bytes
from CEKWorldLib.worker.messages import Failed, ProtocolError

_NO_MEMORY = "There is not enough memory for this; close other programs, or crop or resample the volume."


def failed(id: int | None, error: Exception, device: str) -> Failed:
    """The message for an exception. One that nobody foresaw is also printed with its traceback, for a bug report.

    Args:
        id: of the request.
        error: what it ended with.
        device: where the model runs, ``cpu`` or ``cuda``; its free memory is told when memory ran out.
    """
    if isinstance(error, OutOfMemory):
        free = free_bytes(device) if error.free_bytes is None else error.free_bytes
        return Failed(id, "out_of_memory", str(error), error.need_bytes, free)
    if is_out_of_memory(error):
        return Failed(id, "out_of_memory", _NO_MEMORY, requested_bytes(error), free_bytes(device))
    if isinstance(error, Cancelled):
        return Failed(id, "cancelled", str(error))
    if isinstance(error, ProtocolError):
        return Failed(id, "protocol", str(error))
    if isinstance(error, CEKWorldError):
        return Failed(id, "input", str(error))
    traceback.print_exception(error, file=sys.stderr)
    return Failed(
        id, "internal", f"Something went wrong that should not ({type(error).__name__}); please report it with the log."
    )


def free_bytes(device: str) -> int:
    """Memory that is free now on the GPU, or on the machine."""
    if device == "cuda":
        return torch.cuda.mem_get_info()[0]
    return psutil.virtual_memory().available
