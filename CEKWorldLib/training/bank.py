"""A bank of simulated slabs on disk, so that a slow simulator does not starve the training loop.

Each slab is one slice of one simulated patient with its two neighbours, and the slice's noiseless enhancement at
sixteen times, float16 in units of the intensity scale. One slice a patient: more patients teach more than more slices
of the same ones. Slabs are made in parallel processes.
"""

from __future__ import annotations

import json
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from tqdm import tqdm

from CEKWorldLib.exam.protocol import Anatomy
from CEKWorldLib.models.condition import CONDITION_SIZE
from CEKWorldLib.training.acquisition_times import TIMES
from CEKWorldLib.training.batches import Batch, Slab, make_batch
from CEKWorldLib.training.patients import SIZE, SLICES, Patients
from CEKWorldLib.training.simulators import lost_simulator, simulators

# What enhances in a brain is a hundredth of its pixels; at equal shares next to none of it was learned. With as many
# draws of fewer brains their lesions were learned by heart: 0.37 of the error of no enhancement there, 0.67 in others.
TURNS: tuple[Anatomy, ...] = ("brain", "brain", "breast", "brain", "brain", "abdomen", "brain")


@dataclass(frozen=True)
class Bank:
    """Memory-mapped arrays over slabs; see ``layout`` for shapes. A ``SlabSource``."""

    folder: Path
    arrays: dict[str, np.ndarray]

    @classmethod
    def open(cls, folder: Path, writable: bool = False) -> Bank:
        mode = "r+" if writable else "r"
        return cls(folder, {path.stem: open_memmap(path, mode=mode) for path in sorted(folder.glob("*.npy"))})

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def ready(self) -> np.ndarray:
        """Indices of finished slabs."""
        return np.flatnonzero(self["done"])

    def draw(self, slices: int, times: int, size: int, seed: int, step: int, device: torch.device) -> Batch:
        """As `SlabSource.draw`."""
        rng = np.random.default_rng([seed, step])
        ready = self.ready()
        drawn = rng.choice(ready, slices, replace=len(ready) < slices)
        return make_batch((self._slab(index, times, rng) for index in drawn), size, rng, device)

    def _slab(self, index: int, times: int, rng: np.random.Generator) -> Slab:
        chosen = np.sort(rng.choice(TIMES, times, replace=False))
        return Slab(
            pre=self["pre"][index],
            enhancement=self["enhancement"][index, chosen],
            labels=self["labels"][index],
            times_s=self["times_s"][index][chosen],
            arrival_s=float(self["arrival_s"][index]),
            condition=self["condition"][index],
            mirror=bool(self["mirror"][index]),
        )


def layout(slabs: int) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and type of each array of a bank."""
    return {
        "pre": ((slabs, SLICES, SIZE, SIZE), "float16"),
        "enhancement": ((slabs, TIMES, SIZE, SIZE), "float16"),
        "labels": ((slabs, SIZE, SIZE), "uint8"),
        "times_s": ((slabs, TIMES), "float32"),
        "arrival_s": ((slabs,), "float32"),
        "condition": ((slabs, CONDITION_SIZE), "float32"),
        "mirror": ((slabs,), "bool"),
        "done": ((slabs,), "bool"),
    }


def build(folder: Path, slabs: int, seed: int = 0, workers: int = 2) -> Bank:
    """Makes the bank, or goes on with one that was interrupted.

    Args:
        folder: where the arrays lie; about 2.6 MB a slab.
        slabs: number of simulated patients; anatomies take turns as in ``TURNS``.
        seed: first simulator seed.
        workers: processes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description = {"slabs": slabs, "seed": seed, "turns": list(TURNS)}
    note = folder / "bank.json"
    if not note.exists() or json.loads(note.read_text()) != description:
        for name, (shape, dtype) in layout(slabs).items():
            open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.dtype(dtype), shape=shape).flush()
        note.write_text(json.dumps(description))
    missing = np.flatnonzero(~np.array(Bank.open(folder)["done"]))
    pool = simulators(workers)
    try:
        jobs = [pool.submit(_make_slab, folder, int(index), seed) for index in missing]
        for job in tqdm(as_completed(jobs), total=len(jobs), desc="simulating", unit="slab", disable=not jobs):
            job.result()
    except BrokenProcessPool as error:
        raise lost_simulator() from error
    finally:  # Ctrl-C waits for the slabs in the making, not for those in the queue
        pool.shutdown(cancel_futures=True)
    return Bank.open(folder)


def _make_slab(folder: Path, index: int, seed: int) -> None:
    slab = Patients(seed, TURNS)[index]
    bank = Bank.open(folder, writable=True)
    for name in ("pre", "enhancement", "labels", "times_s", "arrival_s", "condition", "mirror"):
        bank[name][index] = getattr(slab, name)
    bank["done"][index] = True
