"""Discs that enhance: a bank of slabs for the tests of training that costs no simulation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap

from CEKWorldLib.simulation.labels import Label
from CEKWorldLib.training.acquisition_times import training_times
from CEKWorldLib.training.bank import Bank, layout
from CEKWorldLib.training.batches import Batch

CPU = torch.device("cpu")


def disc_bank(folder: Path) -> Bank:
    """Discs that enhance as 1 - exp(-t), brighter discs faster: cheap, and learnable."""
    for name, (shape, dtype) in layout(3).items():
        open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.dtype(dtype), shape=shape).flush()
    bank = Bank.open(folder, writable=True)
    rng = np.random.default_rng(5)
    rows, columns = np.mgrid[:256, :256]
    for slab in range(3):
        times = training_times(rng, 20.0)
        pre = np.full((256, 256), 0.4)
        gain = np.zeros((256, 256))
        for _ in range(6):
            y, x, r = rng.uniform(40, 216), rng.uniform(40, 216), rng.uniform(12, 35)
            disc = (rows - y) ** 2 + (columns - x) ** 2 < r**2
            pre[disc], gain[disc] = 0.8, 1.0
        since = np.maximum(times - 20.0, 0.0)
        bank["pre"][slab] = pre + 0.02 * rng.standard_normal((3, 256, 256))
        bank["enhancement"][slab] = gain * (1 - np.exp(-since / 40.0))[:, None, None]
        bank["labels"][slab] = np.where(gain > 0, Label.LESION, Label.FAT)
        bank["times_s"][slab], bank["arrival_s"][slab], bank["done"][slab] = times, 20.0, True
    return Bank.open(folder)


def batch_of(bank: Bank, step: int = 0, **changes) -> Batch:
    settings = {"slices": 2, "times": 3, "size": 64, "seed": 0, "step": step, "device": CPU} | changes
    return bank.draw(**settings)
