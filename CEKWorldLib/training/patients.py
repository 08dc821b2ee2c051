"""Simulated training patients by number: one slice of each with its neighbours, at the times it was acquired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from CEKWorldLib.exam.intensity import intensity_scale
from CEKWorldLib.exam.protocol import ANATOMIES, Anatomy
from CEKWorldLib.models.condition import Condition, condition_vector
from CEKWorldLib.simulation.case import Case, View, simulate
from CEKWorldLib.training.acquisition_times import Sampling, sparse_times, training_times
from CEKWorldLib.training.batches import Slab

SLICES = 3
SIZE = 256
VIEWS: dict[Anatomy, tuple[View, ...]] = {
    "breast": ("axial", "axial", "sagittal"),
    "abdomen": ("axial", "axial", "axial", "coronal"),
    "brain": ("axial", "axial", "sagittal", "coronal"),
}
_MIRRORED_PLANES = ("axial", "coronal")  # their columns run right to left, so a mirror image is another patient


@dataclass(frozen=True)
class Patients:
    """Patients without end; patient n is a function of these attributes and n alone.

    Attributes:
        seed: number of patient 0 in the simulator's training split.
        anatomies: take turns.
        size: image side in pixels; the field of view stays the same.
        sampling: ``dense`` times, or those of a study.
        axial_only: leaves other views out.
    """

    seed: int = 0
    anatomies: Sequence[Anatomy] = ANATOMIES
    size: int = SIZE
    sampling: Sampling = "dense"
    axial_only: bool = False

    def __getitem__(self, number: int) -> Slab:
        anatomy = self.anatomies[number % len(self.anatomies)]
        seed = self.seed + number
        rng = np.random.default_rng([seed, 77])
        views: tuple[View, ...] = ("axial",) if self.axial_only else VIEWS[anatomy]
        view = views[rng.integers(len(views))]
        on_lesion = bool(rng.random() < 0.7)
        shape = (SLICES, self.size, self.size)
        case = simulate(anatomy, seed, "train", shape=shape, view=view, centre_on_lesion=on_lesion)
        arrival = case.injection.arrival_s
        dense = self.sampling == "dense"
        return slab_of(case, training_times(rng, arrival) if dense else sparse_times(rng, anatomy, arrival))


def slab_of(case: Case, times_s: np.ndarray) -> Slab:
    """The middle slice of a simulated case at some times, float16 in units of its intensity scale."""
    scale = intensity_scale(case.pre.voxels)
    middle = slice(SLICES // 2, SLICES // 2 + 1)
    frames = np.concatenate([case.enhancement(float(t), middle) for t in times_s])
    return Slab(
        pre=(case.pre.voxels / scale).astype(np.float16),
        enhancement=np.clip(frames / scale, -4.0, 12.0).astype(np.float16),
        labels=case.labels[SLICES // 2],
        times_s=times_s,
        arrival_s=case.injection.arrival_s,
        condition=condition_vector(Condition(case.acquisition, case.injection, case.anatomy)).numpy(),
        mirror=case.anatomy != "abdomen" and case.view in _MIRRORED_PLANES,
    )


def at_some_times(slab: Slab, times: int, rng: np.random.Generator) -> Slab:
    """The slab at ``times`` of its times, drawn without repetition."""
    chosen = np.sort(rng.choice(len(slab.times_s), times, replace=False))
    return replace(slab, enhancement=slab.enhancement[chosen], times_s=slab.times_s[chosen])
