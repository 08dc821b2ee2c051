"""The second cache level: decoded key frames in float16, cropped to the body, as many slices as memory allows."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from CEKWorldLib.synthesis.interpolation import TimeBase
from CEKWorldLib.synthesis.parallel import for_each, pieces

_TOGETHER = 32


class KeyFrames:
    """Value and slope of every voxel at every key time, slice by slice.

    A slice is one block (T, 2, rows, columns): what an interval needs, the (value, slope) pairs of its two ends, is
    contiguous, so a frame is read in one pass over memory. Slices that do not fit are decoded again when asked for,
    and the one that was not used for longest makes room.

    Args:
        slices: slices of the exam.
        base: key times.
        box_shape: rows and columns of the body box.
        limit_bytes: memory for the blocks; one slice is always kept.
        decode: gives a slice's enhancement at the key times, (T, rows, columns).

    Attributes:
        resident: whether every slice has its place, so that none is ever decoded twice.
    """

    def __init__(
        self,
        slices: int,
        base: TimeBase,
        box_shape: tuple[int, int],
        limit_bytes: int,
        decode: Callable[[int], Tensor],
    ) -> None:
        self.base = base
        block = (len(base), 2, *box_shape)
        self.capacity = max(1, min(slices, limit_bytes // max(1, 2 * int(np.prod(block)))))
        # Zeros are slices without enhancement; numpy takes them from the system without touching memory.
        self._blocks = torch.from_numpy(np.zeros((self.capacity, *block), np.float16))
        self.resident = self.capacity == slices
        # Slice -> place of its block, least recently used first.
        self._places: OrderedDict[int, int] = OrderedDict()
        self._decode = decode
        self._lock = threading.RLock()

    @property
    def nbytes(self) -> int:
        return self._blocks.nbytes

    def has_room(self, slices: Iterable[int]) -> bool:
        """Whether these slices can be put without evicting another."""
        return len(self._places.keys() | set(slices)) <= self.capacity

    def put(self, k: int, values: Tensor) -> None:
        """Stores a slice's enhancement (T, rows, columns), evicting the slice not used for longest if need be."""
        with self._lock:
            place = self._place(k)
            target = self._blocks[place]
            for rows in pieces(values.shape[1], len(values) * values.shape[2]):
                # Slopes of the rounded values, so that a session read from disk interpolates alike.
                rounded = values[:, rows].half()
                target[:, 0, rows] = rounded
                target[:, 1, rows] = self.base.slopes(rounded.float())
            self._places[k] = place

    @contextmanager
    def block(self, k: int) -> Iterator[Tensor]:
        """(T, 2, rows, columns) float16 of a slice, decoded again where it is not kept.

        While it is in use no other slice takes its place: where slices must make room for each other, threads wait.
        """
        with self._lock:
            if k not in self._places:
                self.put(k, self._decode(k))
            self._places.move_to_end(k)
            block = self._blocks[self._places[k]]
            if not self.resident:
                yield block
                return
        yield block

    def values(self) -> Tensor:
        """Enhancement of all slices, (K, T, rows, columns) float16; for a resident cache."""
        self._decode_missing(range(self.capacity))
        return self._blocks[:, :, 0].contiguous()

    def _decode_missing(self, slices: Iterable[int]) -> None:
        for k in slices:
            with self.block(k):
                pass

    def _place(self, k: int) -> int:
        """Where the block of slice k is or may go; in a resident cache slices lie in order."""
        if self.resident:
            return k
        if k in self._places:
            return self._places[k]
        if len(self._places) < self.capacity:
            return len(self._places)
        return self._places.popitem(last=False)[1]

    def add_slice(self, out: Tensor, k: int, t_s: float, scale: float) -> None:
        """Adds scale times the enhancement of slice k at a time to ``out`` (rows, columns)."""
        weights = self.base.weights(t_s)
        if weights is not None:
            with self.block(k) as block:
                _add(out, block[weights.nodes].flatten(0, 1), weights.terms, scale)

    def add_volume(self, out: Tensor, slices: list[int], t_s: float, scale: float) -> None:
        """Adds scale times the enhancement at a time to ``out`` (K, rows, columns).

        A resident cache that is whole adds 32 slices at once, and PyTorch divides them among its threads: 30 ms for
        256x256x128 on two cores, where slice after slice took 50 to 75, most of it waiting for Python.

        Args:
            slices: the slices to read; the others have no enhancement yet.
        """
        weights = self.base.weights(t_s)
        if weights is None:
            return
        if not self.resident or len(slices) < len(out):  # another thread may be writing to the missing ones
            for_each(lambda k: self.add_slice(out[k], k, t_s, scale), slices)
            return
        self._decode_missing(slices)
        for start in range(0, len(out), _TOGETHER):
            part = slice(start, start + _TOGETHER)
            planes = self._blocks[part, weights.nodes].flatten(1, 2)
            for term, plane in zip(weights.terms, planes.unbind(1), strict=True):
                out[part].add_(plane, alpha=term * scale)

    def add_across(self, out: Tensor, dimension: int, index: int, slices: list[int], t_s: float, scale: float) -> None:
        """Adds scale times the enhancement in a plane across the slices to ``out``.

        Args:
            out: (K, columns) where ``dimension`` is 0, (K, rows) where it is 1.
            dimension: 0 cuts row ``index`` of the box out of every slice, 1 column ``index``.
            slices: the slices to read; the others have no enhancement yet.
            t_s: time.
            scale: intensity scale.
        """
        weights = self.base.weights(t_s)
        if weights is None:
            return
        if self.resident:
            self._decode_missing(slices)
            lines = self._blocks[:, weights.nodes].select(3 + dimension, index)
            _add(out, lines.flatten(1, 2).movedim(1, 0), weights.terms, scale)
            return
        for k in slices:
            with self.block(k) as block:
                line = block[weights.nodes].select(2 + dimension, index)
                _add(out[k : k + 1], line.flatten(0, 1)[:, None], weights.terms, scale)


def _add(out: Tensor, planes: Tensor, terms: tuple[float, ...], scale: float) -> None:
    """out += scale * sum of terms times planes (terms, rows, columns), converting float16 on the way."""
    for rows in pieces(*out.shape):
        target = out[rows]
        for term, plane in zip(terms, planes[:, rows].unbind(), strict=True):
            target.add_(plane, alpha=term * scale)
