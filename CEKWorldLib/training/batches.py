"""Batches drawn from the bank: several times of the same slice, as the losses over time need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from CEKWorldLib.models.condition import hide
from CEKWorldLib.training.bank import SIZE, SLICES, TIMES, Bank


@dataclass(frozen=True)
class Batch:
    """N slices at T times.

    Attributes:
        stack: pre-contrast slice and its neighbours, (N, 3, H, W).
        enhancement: truth, (N, T, H, W).
        times_s: seconds after injection, (N, T).
        arrival_s: (N,).
        condition: (N, CONDITION_SIZE).
        weight: loss weight per pixel and time, (N, T, H, W), mean near one.
    """

    stack: Tensor
    enhancement: Tensor
    times_s: Tensor
    arrival_s: Tensor
    condition: Tensor
    weight: Tensor


def draw_batch(
    bank: Bank, slices: int, times: int, size: int, seed: int, step: int, device: torch.device, crop: bool = False
) -> Batch:
    """The batch of a step: a function of (seed, step) alone, so an interrupted run resumes to the same batches.

    Args:
        size: image side; below 256 the images are shrunk, or cut when ``crop``.
    """
    rng = np.random.default_rng([seed, step])
    ready = bank.ready()
    slabs = rng.choice(ready, slices, replace=len(ready) < slices)
    centres = rng.integers(SLICES, size=slices)
    stacks, enhancements, lesions, moments = [], [], [], []
    for slab, centre in zip(slabs, centres, strict=True):
        chosen = np.sort(rng.choice(TIMES, times, replace=False))
        neighbours = np.clip([centre - 1, centre, centre + 1], 0, SLICES - 1)
        window = _window(rng, bank["lesion"][slab, centre], size) if crop else np.s_[:, :]
        stack = bank["pre"][slab][neighbours][:, *window]
        enhancement = bank["enhancement"][slab, centre][chosen][:, *window]
        lesion = bank["lesion"][slab, centre][window]
        if bank["mirror"][slab] and rng.random() < 0.5:
            stack, enhancement, lesion = stack[..., ::-1], enhancement[..., ::-1], lesion[..., ::-1]
        gain = np.float32(rng.uniform(0.85, 1.15))  # the intensity scale of a real exam is only roughly the same
        stacks.append(torch.from_numpy(stack.astype(np.float32) * gain))
        enhancements.append(torch.from_numpy(enhancement.astype(np.float32) * gain))
        lesions.append(torch.from_numpy(lesion.astype(np.float32)))
        moments.append(bank["times_s"][slab][chosen])
    stack, enhancement = torch.stack(stacks), torch.stack(enhancements)
    lesion = torch.stack(lesions)[:, None]
    if not crop and size < SIZE:
        factor = SIZE // size
        stack, enhancement, lesion = (functional.avg_pool2d(x, factor) for x in (stack, enhancement, lesion))
    condition = torch.from_numpy(np.array(bank["condition"][slabs]))
    forget = torch.Generator().manual_seed(int(rng.integers(2**31)))
    return Batch(
        stack=stack.to(device).contiguous(memory_format=torch.channels_last),
        enhancement=enhancement.to(device),
        times_s=torch.from_numpy(np.stack(moments)).to(device),
        arrival_s=torch.from_numpy(np.array(bank["arrival_s"][slabs])).to(device),
        condition=hide(condition, 0.2, forget).to(device),
        weight=pixel_weight(enhancement, lesion).to(device),
    )


def pixel_weight(enhancement: Tensor, lesion: Tensor) -> Tensor:
    """1 in tissue that stays dark, up to 7 where it enhances, 4 more in lesions (small, and what readers look for)."""
    return 1.0 + 6.0 * enhancement.abs().clamp(max=1.0) + 4.0 * lesion


def _window(rng: np.random.Generator, lesion: np.ndarray, size: int) -> tuple[slice, slice]:
    """A crop that holds a lesion pixel half of the time."""
    rows, columns = np.nonzero(lesion)
    if len(rows) and rng.random() < 0.5:
        pick = rng.integers(len(rows))
        corner = np.array([rows[pick], columns[pick]]) - rng.integers(size, size=2)
        corner = np.clip(corner, 0, SIZE - size)
    else:
        corner = rng.integers(SIZE - size + 1, size=2)
    return slice(corner[0], corner[0] + size), slice(corner[1], corner[1] + size)
