"""Frames that are ready to be shown, by time, within a memory limit."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from typing import Any

import numpy as np

from CEKWorldLib.scene.images import array_of, image_of

_LIMIT = 4 * 2**30


class FrameStore:
    """Volumes as ``vtkImageData``; beyond the limit, the one not shown for longest makes room.

    Args:
        limit_bytes: memory for frames; two always stay, for without them nothing can be interpolated.
    """

    def __init__(self, limit_bytes: int = _LIMIT) -> None:
        self.limit_bytes = limit_bytes
        self._images: OrderedDict[float, Any] = OrderedDict()
        self._kept: set[float] = set()
        self._times: list[float] = []
        self._bytes = 0
        self._glance: tuple[float, Any] | None = None
        self._glance_is_partial = False

    @property
    def times_s(self) -> tuple[float, ...]:
        """The times that have a frame, rising."""
        return tuple(self._times)

    def put(self, time_s: float, voxels: np.ndarray, keep: bool = False) -> None:
        """Adds a frame, or replaces the one of that time; the array is shared, not copied, and must not change.

        Args:
            time_s: seconds after injection start.
            voxels: float32 (slices, rows, columns), contiguous.
            keep: never drop it to make room.
        """
        self._drop(time_s)
        if keep:
            self._kept.add(time_s)
        self._images[time_s] = image_of(voxels)
        insort(self._times, time_s)
        self._bytes += voxels.nbytes
        while self._bytes > self.limit_bytes and len(self._images) > 2:
            oldest = next((t for t in self._images if t not in self._kept and t != time_s), None)
            if oldest is None:
                return
            self._drop(oldest)

    def put_glance(self, time_s: float, voxels: np.ndarray, partial: bool = False) -> None:
        """Takes the one time between the frames that is looked at; it is none of ``times_s``, and the next replaces it.

        Args:
            time_s: seconds after injection start.
            voxels: as for ``put``.
            partial: some slices still show the source.
        """
        self._glance, self._glance_is_partial = (time_s, image_of(voxels)), partial

    def is_partial(self, time_s: float) -> bool:
        """Whether what ``image`` gives for a time lacks slices."""
        is_glance = self._glance is not None and self._glance[0] == time_s and time_s not in self._images
        return is_glance and self._glance_is_partial

    def image(self, time_s: float) -> Any | None:
        """The frame of exactly that time, or None."""
        if time_s in self._images:
            self._images.move_to_end(time_s)
        elif self._glance is not None and self._glance[0] == time_s:
            return self._glance[1]
        return self._images.get(time_s)

    def voxels(self, time_s: float) -> np.ndarray:
        """The voxels of a time that has a frame, shared."""
        return array_of(self._images[time_s])

    def around(self, time_s: float) -> list[tuple[float, Any]]:
        """Weights and frames whose sum is the volume at a time: linear between frames, held before and after.

        Raises:
            LookupError: there is no frame.
        """
        exact = self.image(time_s)
        if exact is not None:
            return [(1.0, exact)]
        if not self._times:
            raise LookupError("there are no frames yet")
        after = bisect_left(self._times, time_s)
        if after in (0, len(self._times)):
            return [(1.0, self._used(self._times[min(after, len(self._times) - 1)]))]
        left, right = self._times[after - 1], self._times[after]
        share = (time_s - left) / (right - left)
        return [(1.0 - share, self._used(left)), (share, self._used(right))]

    def clear(self) -> None:
        self._images.clear()
        self._kept.clear()
        self._times.clear()
        self._bytes = 0
        self._glance = None

    def _used(self, time_s: float) -> Any:
        self._images.move_to_end(time_s)
        return self._images[time_s]

    def _drop(self, time_s: float) -> None:
        image = self._images.pop(time_s, None)
        if image is not None:
            self._kept.discard(time_s)
            self._times.remove(time_s)
            self._bytes -= array_of(image).nbytes
