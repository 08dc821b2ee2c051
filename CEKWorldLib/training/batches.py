"""Batches drawn from the bank: several times of the same slice, as the losses over time need."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from CEKWorldLib.models.condition import hide
from CEKWorldLib.simulation.labels import Label, is_lesion
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
        weight: loss weight per pixel and time, (N, T, H, W).
        labels: tissue of each pixel as ``Label`` codes, all lesions one, (N, H, W) int64.
    """

    stack: Tensor
    enhancement: Tensor
    times_s: Tensor
    arrival_s: Tensor
    condition: Tensor
    weight: Tensor
    labels: Tensor

    def cut(self, corners: Tensor, side: int) -> Batch:
        """The batch in a window of each slice; see ``cut``."""
        images = {
            name: cut(getattr(self, name), corners, side) for name in ("stack", "enhancement", "weight", "labels")
        }
        return replace(self, **images)


def cut(images: Tensor, corners: Tensor, side: int) -> Tensor:
    """A square window out of each of N images (N, ..., H, W), where it begins being (N, 2) rows and columns."""
    windows = [
        image[..., row : row + side, column : column + side]
        for image, (row, column) in zip(images, corners.tolist(), strict=True)
    ]
    return torch.stack(windows)


def draw_batch(bank: Bank, slices: int, times: int, size: int, seed: int, step: int, device: torch.device) -> Batch:
    """The batch of a step: a function of (seed, step) alone, so an interrupted run resumes to the same batches.

    Args:
        size: image side; below 256 a window is cut out of each slice.
    """
    rng = np.random.default_rng([seed, step])
    ready = bank.ready()
    slabs = rng.choice(ready, slices, replace=len(ready) < slices)
    stacks, enhancements, labels, moments = [], [], [], []
    for slab in slabs:
        chosen = np.sort(rng.choice(TIMES, times, replace=False))
        images = torch.from_numpy(np.concatenate([bank["pre"][slab], bank["enhancement"][slab, chosen]])).float()
        tissue = torch.from_numpy(np.minimum(bank["labels"][slab], Label.LESION))
        if bank["mirror"][slab] and rng.random() < 0.5:
            images, tissue = images.flip(-1), tissue.flip(-1)
        if rng.random() < 0.5:
            images, tissue = moved(images, tissue, rng)
        if rng.random() < 0.3:
            images[:SLICES] = toned(images[:SLICES], rng)
        window = _window(rng, is_lesion(tissue.numpy()), size)
        images *= rng.uniform(0.85, 1.15)  # the intensity scale of a real exam is only roughly the same
        stacks.append(images[:SLICES, *window])
        enhancements.append(images[SLICES:, *window])
        labels.append(tissue[window])
        moments.append(bank["times_s"][slab][chosen])
    enhancement, tissue = torch.stack(enhancements).to(device), torch.stack(labels).to(device).long()
    condition = torch.from_numpy(np.array(bank["condition"][slabs]))
    forget = torch.Generator().manual_seed(int(rng.integers(2**31)))
    return Batch(
        stack=torch.stack(stacks).to(device).contiguous(memory_format=torch.channels_last),
        enhancement=enhancement,
        times_s=torch.from_numpy(np.stack(moments)).to(device),
        arrival_s=torch.from_numpy(np.array(bank["arrival_s"][slabs])).to(device),
        condition=hide(condition, 0.2, forget).to(device),
        weight=pixel_weight(enhancement, is_lesion(tissue)[:, None].float()),
        labels=tissue,
    )


def moved(images: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The same patient lying otherwise: turned by up to 8 degrees, 0.85 to 1.2 as large, shifted by up to 5 %.

    Args:
        images: (C, H, W).
        labels: (H, W).
    """
    angle, size, (x, y) = np.radians(rng.uniform(-8, 8)), rng.uniform(0.85, 1.2), rng.uniform(-0.1, 0.1, 2)
    cosine, sine = np.cos(angle) / size, np.sin(angle) / size
    matrix = torch.tensor([[cosine, -sine, x], [sine, cosine, y]], dtype=torch.float32)
    grid = functional.affine_grid(matrix[None], [1, 1, *labels.shape], align_corners=False)
    images = functional.grid_sample(images[None], grid, align_corners=False)[0]
    nearest = functional.grid_sample(labels[None, None].float(), grid, mode="nearest", align_corners=False)
    return images, nearest[0, 0].to(labels.dtype)


def toned(stack: Tensor, rng: np.random.Generator) -> Tensor:
    """The same anatomy in other greys: no simulated protocol has quite the contrasts of a real scanner's."""
    return stack.clamp(min=0.0) ** float(rng.uniform(0.7, 1.4))


def pixel_weight(enhancement: Tensor, lesion: Tensor) -> Tensor:
    """1 in tissue that stays dark, up to 7 where it enhances, 4 more in lesions (small, and what readers look for)."""
    return 1.0 + 6.0 * enhancement.abs().clamp(max=1.0) + 4.0 * lesion


def _window(rng: np.random.Generator, lesion: np.ndarray, size: int) -> tuple[slice, slice]:
    """A window that holds a lesion pixel half of the time; the whole slice when ``size`` is its side."""
    rows, columns = np.nonzero(lesion)
    if len(rows) and rng.random() < 0.5:
        pick = rng.integers(len(rows))
        corner = np.array([rows[pick], columns[pick]]) - rng.integers(size, size=2)
        corner = np.clip(corner, 0, SIZE - size)
    else:
        corner = rng.integers(SIZE - size + 1, size=2)
    return slice(corner[0], corner[0] + size), slice(corner[1], corner[1] + size)
