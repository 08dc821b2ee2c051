"""Device and memory of this computer, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slicer.i18n import tr as _

_MIB = 2**20


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Attributes:
        name: of the card.
        free_bytes, total_bytes: its memory.
    """

    name: str
    free_bytes: int
    total_bytes: int


def parse_gpus(answer: str) -> list[Gpu]:
    """The GPUs in the driver tool's answer: one line each with name, free and total MiB. Odd lines are left out."""
    gpus = []
    for line in answer.splitlines():
        name, *memory = (part.strip() for part in line.rsplit(",", 2))
        if len(memory) == 2 and all(part.isdigit() for part in memory):
            gpus.append(Gpu(name, int(memory[0]) * _MIB, int(memory[1]) * _MIB))
    return gpus


def computer_memory() -> tuple[int, int] | None:
    """Free and total bytes; None as long as psutil, which comes with the packages for synthesis, is not installed."""
    try:
        from psutil import virtual_memory
    except ImportError:
        return None
    memory = virtual_memory()
    return memory.available, memory.total


def device_text(gpus: Sequence[Gpu], worker_device: str | None, memory: tuple[int, int] | None) -> str:
    """What the panel says of the device.

    Args:
        gpus: of this computer.
        worker_device: where the worker has put the model, None while it does not run.
        memory: free and total bytes of the computer's, None where they are not known.
    """
    words = [
        _("{name}: {free} of {total} GB free.").format(
            name=gpu.name, free=gigabytes(gpu.free_bytes), total=gigabytes(gpu.total_bytes)
        )
        for gpu in gpus
    ] or [_("No NVIDIA GPU was found: expect minutes for an exam.")]
    if memory is not None:
        words.append(
            _("Memory: {free} of {total} GB free.").format(free=gigabytes(memory[0]), total=gigabytes(memory[1]))
        )
    if worker_device is not None:
        words.append(_("The model runs on {device}.").format(device=worker_device.upper()))
    return " ".join(words)


def gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f}"


def size_text(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{gigabytes(size)} GB"
