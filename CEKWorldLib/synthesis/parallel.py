"""Work over slices in a few threads of our own, each on pieces that PyTorch leaves undivided.

PyTorch divides every operation among its threads and waits for all of them. Scrubbing is a thousand operations of
some ten microseconds, so on a workstation whose cores are busy with something else, such as rendering, the waiting
took 300 ms per volume where this takes 50 ms (two cores, load 8).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

# ATen divides element-wise operations of 32,768 elements (at::internal::GRAIN_SIZE) and more.
_UNDIVIDED = 32_767
_THREADS = min(4, os.cpu_count() or 1)  # more than four only wait for memory


def pieces(length: int, elements_each: int) -> Iterator[slice]:
    """Ranges over ``length`` items of so many elements, each small enough that PyTorch does not divide the work."""
    count = max(1, -(-length * elements_each // _UNDIVIDED))
    step = max(1, -(-length // count))
    if step * elements_each > _UNDIVIDED and step > 1:
        step -= 1
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


def for_each(work: Callable[[int], None], items: Sequence[int]) -> None:
    """Calls ``work`` with every item, neighbours in the same thread; raises the first error."""
    share = max(1, -(-len(items) // _THREADS))

    def run(part: Sequence[int]) -> None:
        for item in part:
            work(item)

    for _ in _pool().map(run, [items[start : start + share] for start in range(0, len(items), share)]):
        pass


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, "cekworld-slices")
