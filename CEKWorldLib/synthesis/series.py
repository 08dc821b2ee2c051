"""A contrast series in the making or done: latents, key frames, and how they are read at any time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.synthesis.interpolation import TimeBase
from CEKWorldLib.synthesis.keyframes import KeyFrames
from CEKWorldLib.synthesis.parallel import for_each, pieces
from CEKWorldLib.synthesis.prepared import Prepared


class Series:
    """The key times of a prepared exam, with the slices that are ready.

    Output is source voxels + enhancement * scale: up to bolus arrival, and outside the body box, the source itself.

    Args:
        prepared: the exam.
        times_s: key times, ascending.
        latent_shape: (C, h, w).
        limit_bytes: memory for latents and key frames together.
        decode: decodes a slice's latents (T, C, h, w) to enhancement in the box (T, rows, columns).

    Attributes:
        base: the key times after arrival, which are those that are stored.
        latents: (K, T, C, h, w) float16.
        frames: decoded key frames.
        ready: per slice, whether it can be read.
    """

    def __init__(
        self,
        prepared: Prepared,
        times_s: tuple[float, ...],
        latent_shape: tuple[int, int, int],
        limit_bytes: int,
        decode: Callable[[int, Tensor], Tensor],
    ) -> None:
        self.prepared = prepared
        self.times_s = times_s
        self.base = TimeBase.of(prepared.injection.arrival_s, times_s)
        self._decode = decode
        self.latents = torch.zeros(prepared.slices, len(self.base), *latent_shape, dtype=torch.float16)
        self.frames = KeyFrames(
            prepared.slices,
            self.base,
            prepared.box_shape,
            limit_bytes - self.latents.nbytes,
            self.decode,
        )
        self.ready = np.zeros(prepared.slices, bool)
        self._source = np.ascontiguousarray(prepared.to_stack(prepared.exam.pre.voxels), np.float32)

    def decode(self, k: int) -> Tensor:
        """Enhancement of slice k at the key times, decoded from its latents; (T, rows, columns)."""
        if not len(self.base):
            return torch.zeros(0, *self.prepared.box_shape)
        return self._decode(k, self.latents[k])

    def frame(self, t_s: float, out: np.ndarray | None, partial: bool) -> np.ndarray:
        """The volume at a time, in the source's array order."""
        slices = self._readable(range(self.prepared.slices), partial)
        volume = np.empty(self.prepared.exam.pre.shape, np.float32) if out is None else out
        stack = torch.from_numpy(self.prepared.to_stack(volume))
        stack.copy_(torch.from_numpy(self._source))
        box = stack[:, self.prepared.rows, self.prepared.columns]
        self.frames.add_volume(box, slices, t_s, self.prepared.scale)
        return volume

    def slice(self, t_s: float, index: int, axis: int, partial: bool) -> np.ndarray:
        """The plane ``index`` along a source array axis."""
        slice_axis = self.prepared.grid.slice_axis
        order = [slice_axis, *(a for a in range(3) if a != slice_axis)]
        dimension = order.index(axis)
        result = np.array(self._source.take(index, dimension))
        plane = torch.from_numpy(result)
        rows, columns = self.prepared.rows, self.prepared.columns
        if dimension == 0:
            for k in self._readable([index], partial):
                self.frames.add_slice(plane[rows, columns], k, t_s, self.prepared.scale)
            return result
        slices = self._readable(range(self.prepared.slices), partial)
        cut, along = (rows, columns) if dimension == 1 else (columns, rows)
        if cut.start <= index < cut.stop:
            self.frames.add_across(plane[:, along], dimension - 1, index - cut.start, slices, t_s, self.prepared.scale)
        # The plane's axes are (slices, other); the source holds them in the order of its own axes.
        other = order[3 - dimension]
        return result if slice_axis < other else np.ascontiguousarray(result.T)

    def curve(self, mask: np.ndarray, times_s: Sequence[float]) -> np.ndarray:
        """Mean signal of the voxels in a mask at each time.

        Interpolation is linear in values and slopes, so these are averaged once and then read at every time.
        """
        rows, columns = self.prepared.rows, self.prepared.columns
        boxed = self.prepared.to_stack(mask)[:, rows, columns]
        slices = self._readable(masked_slices(self.prepared.to_stack(mask)), partial=False)
        sums = np.zeros((self.prepared.slices, len(self.base), 2))

        def add(k: int) -> None:
            with self.frames.block(k) as block:
                sums[k] = _masked_sum(block, boxed[k])

        for_each(add, slices)
        total = torch.from_numpy(sums.sum(0))
        enhancement = self.base.evaluate(total / mask.sum(), times_s).numpy()
        return self.prepared.resting_signal(mask) + self.prepared.scale * enhancement

    def _readable(self, slices: Sequence[int], partial: bool) -> list[int]:
        ready = [k for k in slices if self.ready[k]]
        if len(ready) < len(slices) and not partial:
            raise CEKWorldError(
                f"{len(slices) - len(ready)} of the slices asked for are not synthesized yet; let the synthesis finish."
            )
        return ready


def _masked_sum(block: Tensor, mask: np.ndarray) -> np.ndarray:
    """Sums over the voxels of a mask (rows, columns) of a block (T, 2, rows, columns); (T, 2)."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    total = torch.zeros(block.shape[:2], dtype=torch.float64)
    if len(rows) and len(block):
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        inside = torch.from_numpy(mask[window].astype(np.float32))
        for part in pieces(len(inside), block.shape[0] * 2 * inside.shape[1]):
            lines = block[(..., *window)][:, :, part].float()
            total += (lines * inside[part]).sum((2, 3))
    return total.numpy()


def masked_slices(stack: np.ndarray) -> list[int]:
    """Slices of a stack that hold mask voxels."""
    return [int(k) for k in np.flatnonzero(stack.any((1, 2)))]
