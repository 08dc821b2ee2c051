"""A bank of simulated slabs on disk, so that a slow simulator does not starve the training loop.

Each slab is one slice of one simulated patient with its two neighbours, and the slice's noiseless enhancement at
sixteen times, float16 in units of the intensity scale. One slice a patient: more patients teach more than more slices
of the same ones. Slabs are made in parallel processes.
"""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from tqdm import tqdm

from CEKWorldLib.exam.intensity import intensity_scale
from CEKWorldLib.exam.protocol import ANATOMIES, Anatomy
from CEKWorldLib.models.condition import CONDITION_SIZE, Condition, condition_vector
from CEKWorldLib.simulation.case import Case, View, simulate
from CEKWorldLib.training.batches import Batch, Slab, make_batch

SLICES = 3
TIMES = 16
SIZE = 256
VIEWS: dict[Anatomy, tuple[View, ...]] = {
    "breast": ("axial", "axial", "sagittal"),
    "abdomen": ("axial", "axial", "axial", "coronal"),
    "brain": ("axial", "axial", "sagittal", "coronal"),
}
_MIRRORED_PLANES = ("axial", "coronal")  # their columns run right to left, so a mirror image is another patient


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
        slabs: number of simulated patients; anatomies take turns.
        seed: first simulator seed.
        workers: processes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description = {"slabs": slabs, "seed": seed}
    note = folder / "bank.json"
    if not note.exists() or json.loads(note.read_text()) != description:
        for name, (shape, dtype) in layout(slabs).items():
            open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.dtype(dtype), shape=shape).flush()
        note.write_text(json.dumps(description))
    missing = np.flatnonzero(~np.array(Bank.open(folder)["done"]))
    with ProcessPoolExecutor(max_workers=workers) as pool:
        jobs = [pool.submit(_make_slab, folder, int(index), seed + int(index)) for index in missing]
        for job in tqdm(as_completed(jobs), total=len(jobs), desc="simulating", unit="slab", disable=not jobs):
            job.result()
    return Bank.open(folder)


def _make_slab(folder: Path, index: int, seed: int) -> None:
    rng = np.random.default_rng([seed, 77])
    anatomy = ANATOMIES[index % len(ANATOMIES)]
    views = VIEWS[anatomy]
    view = views[rng.integers(len(views))]
    case = simulate(
        anatomy, seed, "train", shape=(SLICES, SIZE, SIZE), view=view, centre_on_lesion=bool(rng.random() < 0.7)
    )
    bank = Bank.open(folder, writable=True)
    scale = intensity_scale(case.pre.voxels)
    times = training_times(rng, case.injection.arrival_s)
    bank["pre"][index] = case.pre.voxels / scale
    middle = SLICES // 2
    for position, time in enumerate(times):
        enhancement = case.enhancement(float(time), slice(middle, middle + 1))[0]
        bank["enhancement"][index, position] = np.clip(enhancement / scale, -4.0, 12.0)
    bank["labels"][index] = case.labels[middle]
    bank["times_s"][index] = times
    bank["arrival_s"][index] = case.injection.arrival_s
    bank["condition"][index] = _condition(case)
    bank["mirror"][index] = anatomy != "abdomen" and view in _MIRRORED_PLANES
    bank["done"][index] = True


def _condition(case: Case) -> np.ndarray:
    return condition_vector(Condition(case.acquisition, case.injection, case.anatomy)).numpy()


def training_times(rng: np.random.Generator, arrival_s: float) -> np.ndarray:
    """Sixteen times, stratified: half in the first minute after arrival, where curves bend most, half up to 600 s."""
    share = (np.arange(TIMES) + rng.uniform(size=TIMES)) / TIMES
    since = np.where(share < 0.5, 60.0 * (share / 0.5) ** 1.3, 60.0 * 10.0 ** ((share - 0.5) / 0.5))
    return np.minimum(arrival_s + since - 1.0, 600.0).astype(np.float32)
