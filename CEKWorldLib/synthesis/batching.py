"""How much is computed at once, and how that shrinks when memory runs out."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from CEKWorldLib.errors import CEKWorldError

# Slices per batch. On a CPU the times of one slice already fill the cores; on a GPU eight slices of 16 times are 128
# images of 256x256, about 2 GB of decoder activations.
_SLICES = {"cpu": 1, "cuda": 8}

# As PyTorch words it: "Tried to allocate 2.00 GiB" (CUDA), "you tried to allocate 4096 bytes" (CPU).
_REQUEST = re.compile(r"tried to allocate ([\d.]+) (bytes|KiB|MiB|GiB)", re.IGNORECASE)
_UNITS = {"bytes": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30}


@dataclass
class BatchSize:
    """The largest batch that is tried next.

    Attributes:
        slices: slices together.
        times: time points together; None for all of them.
    """

    slices: int = 1
    times: int | None = None

    @classmethod
    def of(cls, device: torch.device) -> BatchSize:
        return cls(_SLICES.get(device.type, 1))

    def shrink(self, slices: int, times: int) -> bool:
        """Halves the slices, then the times, of a batch that did not fit; False where nothing is left to halve."""
        if slices > 1:
            self.slices = slices // 2
        elif min(times, self.times or times) > 1:
            self.times = min(times, self.times or times) // 2
        else:
            return False
        return True


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out; PyTorch's CPU allocator and some drivers raise RuntimeError."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        sign in text for sign in ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")
    )


def requested_bytes(error: BaseException) -> int | None:
    """What was asked for when memory ran out, where the exception says so."""
    found = _REQUEST.search(str(error))
    return round(float(found[1]) * _UNITS[found[2].lower()]) if found else None


def choose_device(name: str) -> torch.device:
    """``auto`` is a CUDA GPU where one works, else the CPU; any other name is PyTorch's.

    Raises:
        CEKWorldError: there is no such device here.
    """
    if name == "auto":
        return (_working("cuda") if torch.cuda.is_available() else None) or torch.device("cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise CEKWorldError("PyTorch finds no CUDA GPU on this machine; choose the device auto or cpu.")
    device = _working(name)
    if device is None:
        raise CEKWorldError(f"There is no device '{name}' here that works; choose auto, cpu or cuda.")
    return device


def _working(name: str) -> torch.device | None:
    """The device, if it computes; one that PyTorch knows may not be there, be too old for it, or full."""
    try:
        device = torch.device(name)
        torch.ones(1, device=device)
    except (RuntimeError, AssertionError):  # some backends assert that PyTorch was built with them
        return None
    return device
