"""Batches of slices: several times of the same slice, as the losses over time need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from CEKWorldLib.models.condition import hide
from CEKWorldLib.simulation.labels import Label, is_lesion

UNKNOWN_TISSUE = -1  # in the labels of a batch: nobody has said what is there


@dataclass(frozen=True)
class Slab:
    """One slice of an exam with its neighbours, at some of its times; intensities in units of the exam's scale.

    Attributes:
        pre: pre-contrast slice between its neighbours, (3, H, W).
        enhancement: of the slice, (T, H, W).
        labels: tissue of each pixel as ``Label`` codes or ``UNKNOWN_TISSUE``, (H, W) integers.
        times_s: seconds after injection, (T,) ascending.
        arrival_s: bolus arrival.
        condition: (CONDITION_SIZE,).
        mirror: whether a mirror image could be another patient.
    """

    pre: np.ndarray
    enhancement: np.ndarray
    labels: np.ndarray
    times_s: np.ndarray
    arrival_s: float
    condition: np.ndarray
    mirror: bool


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
        labels: tissue of each pixel as ``Label`` codes, all lesions one, or ``UNKNOWN_TISSUE``, (N, H, W) int64.
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


def make_batch(slabs: Iterable[Slab], size: int, rng: np.random.Generator, device: torch.device) -> Batch:
    """Moves, cuts and stacks slabs.

    Args:
        slabs: N of them, all with T times; taken one after the other, so they may be drawn with the same ``rng``.
        size: image side. A window of it is cut out of larger slices, smaller ones are padded with air.
    """
    drawn, stacks, enhancements, labels = [], [], [], []
    for slab in slabs:
        images, tissue = _padded(np.concatenate([slab.pre, slab.enhancement]), slab.labels, size)
        if slab.mirror and rng.random() < 0.5:
            images, tissue = images.flip(-1), tissue.flip(-1)
        if rng.random() < 0.5:
            images, tissue = moved(images, tissue, rng)
        if rng.random() < 0.3:
            images[: len(slab.pre)] = toned(images[: len(slab.pre)], rng)
        window = _window(rng, is_lesion(tissue.numpy()), size)
        images *= rng.uniform(0.85, 1.15)  # the intensity scale of a real exam is only roughly the same
        drawn.append(slab)
        stacks.append(images[: len(slab.pre), *window])
        enhancements.append(images[len(slab.pre) :, *window])
        labels.append(tissue[window])
    enhancement, tissue = torch.stack(enhancements).to(device), torch.stack(labels).to(device).long()
    condition = torch.from_numpy(np.stack([slab.condition for slab in drawn]))
    forget = torch.Generator().manual_seed(int(rng.integers(2**31)))
    return Batch(
        stack=torch.stack(stacks).to(device).contiguous(memory_format=torch.channels_last),
        enhancement=enhancement,
        times_s=torch.from_numpy(np.stack([slab.times_s for slab in drawn])).to(device),
        arrival_s=torch.tensor([slab.arrival_s for slab in drawn], dtype=torch.float32, device=device),
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


def _padded(images: np.ndarray, labels: np.ndarray, size: int) -> tuple[Tensor, Tensor]:
    """Images and labels as tensors of at least ``size`` a side; what is added is air, of which nothing is said."""
    tissue = torch.from_numpy(np.minimum(labels.astype(np.int16), Label.LESION))
    tensor = torch.from_numpy(images.astype(np.float32, copy=False))
    room = [max(0, size - side) for side in labels.shape]
    if not any(room):
        return tensor, tissue
    around = [side for extra in reversed(room) for side in (extra // 2, extra - extra // 2)]
    return functional.pad(tensor, around), functional.pad(tissue, around, value=UNKNOWN_TISSUE)


def _window(rng: np.random.Generator, lesion: np.ndarray, size: int) -> tuple[slice, slice]:
    """A window that holds a lesion pixel half of the time; the whole slice when ``size`` is its side."""
    rows, columns = np.nonzero(lesion)
    limits = np.array(lesion.shape) - size
    if len(rows) and rng.random() < 0.5:
        pick = rng.integers(len(rows))
        corner = np.array([rows[pick], columns[pick]]) - rng.integers(size, size=2)
        corner = np.clip(corner, 0, limits)
    else:
        corner = rng.integers(limits + 1)
    return slice(corner[0], corner[0] + size), slice(corner[1], corner[1] + size)
