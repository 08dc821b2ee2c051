"""The next batch, drawn while the model computes on this one."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import NamedTuple

import torch

from CEKWorldLib.training.batches import Batch
from CEKWorldLib.training.source import SlabSource


class Draw(NamedTuple):
    """The arguments of `SlabSource.draw`, which alone decide what a batch holds."""

    slices: int
    times: int
    size: int
    seed: int
    step: int
    device: torch.device


class ReadAhead:
    """A ``SlabSource`` that can begin with a batch before it is asked for.

    Batches are the same as without it. One thread draws them all, in the order in which they are asked for, so a source
    need not be safe for threads.

    Args:
        source: where batches come from.
    """

    def __init__(self, source: SlabSource) -> None:
        self._source = source
        self._thread = ThreadPoolExecutor(1, "read-ahead")
        self._begun: tuple[Draw, Future[Batch]] | None = None

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # After an error nobody waits: a batch may need a dozen patients more, until its source is closed.
        self._thread.shutdown(wait=kind is None, cancel_futures=True)

    def begin(self, draw: Draw) -> None:
        """Starts to draw a batch; one that was begun before and never asked for is dropped."""
        self._begun = draw, self._submit(draw)

    def draw(self, slices: int, times: int, size: int, seed: int, step: int, device: torch.device) -> Batch:
        """As `SlabSource.draw`."""
        wanted = Draw(slices, times, size, seed, step, device)
        if self._begun is None or self._begun[0] != wanted:
            return self._submit(wanted).result()
        batch, self._begun = self._begun[1], None
        return batch.result()

    def _submit(self, draw: Draw) -> Future[Batch]:
        return self._thread.submit(self._source.draw, *draw)
