"""Weighted sums of whole volumes, fast enough for a slider."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

_PIECE = 32768  # voxels; the pieces of all terms (128 KiB each) stay in a core's own cache
_THREADS = max(1, min(4, os.cpu_count() or 1))  # memory is the limit beyond


def weighted_sum(terms: Sequence[tuple[float, np.ndarray]], out: np.ndarray) -> None:
    """Computes ``out = w0 * a0 + w1 * a1 + ...`` in one pass over memory.

    Args:
        terms: weights and float32 arrays of the shape of ``out``.
        out: float32, none of the arrays.
    """
    (weight, first), *others = ((w, a.reshape(-1)) for w, a in terms)
    flat = out.reshape(-1)

    def fill(bounds: tuple[int, int]) -> None:
        product = np.empty(_PIECE, np.float32)
        for start in range(bounds[0], bounds[1], _PIECE):
            piece = slice(start, min(start + _PIECE, bounds[1]))
            target = np.multiply(first[piece], np.float32(weight), out=flat[piece])
            for w, array in others:
                target += np.multiply(array[piece], np.float32(w), out=product[: len(target)])

    edges = np.linspace(0, flat.size, _THREADS + 1).astype(int).tolist()
    with ThreadPoolExecutor(_THREADS) as pool:
        # list() waits for the pieces, and raises what went wrong in them.
        list(pool.map(fill, zip(edges[:-1], edges[1:], strict=True)))
