"""How fast a stage trains, and how much of the time it waits for its batches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Throughput:
    """Counts from when it is made.

    Attributes:
        slices: trained on so far, in this process.
    """

    def __init__(self) -> None:
        self.slices = 0
        self._began = time.monotonic()
        self._waited = 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around everything that is not training: waiting until a batch is drawn, stacked and on its device."""
        begun = time.monotonic()
        yield
        self._waited += time.monotonic() - begun

    def add(self, slices: int) -> None:
        self.slices += slices

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    @property
    def waiting_share(self) -> float:
        """Share of the time spent waiting for data, 0 to 1."""
        return self._waited / max(self.seconds, 1e-9)

    def sentence(self, stage: str, device: torch.device, processes: int) -> str:
        """One line for the end of a stage."""
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        rate = processes * self.slices / max(self.seconds, 1e-9)
        return (
            f"{stage}: {rate:.2f} slices/s on {processes} x {name}, "
            f"{100 * self.waiting_share:.1f} % of the time waiting for data"
        )
