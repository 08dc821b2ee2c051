"""Which slices are synthesized when: the one that is looked at first, then its neighbours outwards."""

from __future__ import annotations

import time

import numpy as np

from CEKWorldLib.errors import Cancelled
from CEKWorldLib.synthesis.engine import Engine
from CEKWorldLib.synthesis.progress import Cancel, Progress, ProgressCallback, is_cancelled
from CEKWorldLib.synthesis.series import Series


def synthesize_slices(
    series: Series,
    engine: Engine,
    first_slice: int | None = None,
    progress: ProgressCallback | None = None,
    cancel: Cancel | None = None,
) -> None:
    """Synthesizes the slices of a series that are not ready.

    Args:
        series: filled slice by slice.
        engine: runs the model.
        first_slice: goes first and alone, so that it is seen soonest; by default the middle one.
        progress: called after every batch.
        cancel: asked before every batch.

    Raises:
        Cancelled: finished slices stay readable.
    """
    begun = time.perf_counter()
    total = len(series.ready)
    centre = total // 2 if first_slice is None else first_slice
    queue = sorted(np.flatnonzero(~series.ready).tolist(), key=lambda k: abs(k - centre))
    count, made = 1, 0
    while queue:
        if is_cancelled(cancel):
            raise Cancelled(
                f"Stopped with {total - len(queue)} of {total} slices synthesized; they can be viewed, and "
                "synthesizing the same times goes on from there."
            )
        batch, queue = queue[:count], queue[count:]
        _synthesize_batch(series, engine, batch)
        made += len(batch)
        count = engine.batch.slices
        if progress:
            elapsed = time.perf_counter() - begun
            progress(Progress(total - len(queue), total, tuple(batch), elapsed, elapsed / made * len(queue)))


def _synthesize_batch(series: Series, engine: Engine, batch: list[int]) -> None:
    if len(series.base):
        latents = engine.latents(series.prepared, batch, series.base.nodes_s)
        series.latents[batch] = latents
        if series.frames.has_room(batch):
            for k, values in zip(batch, engine.enhancement(series.prepared, batch, latents), strict=True):
                series.frames.put(k, values)
    # Slices beyond the memory limit are decoded when they are looked at.
    series.ready[batch] = True
