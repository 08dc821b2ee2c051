"""Real exams as a source of batches: slices of the cache that ``cekworld dataset build`` makes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from CEKWorldLib.dataset.cache import CachedExam, open_exams
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.grid import stack_neighbours
from CEKWorldLib.models.condition import Condition, condition_vector
from CEKWorldLib.training.batches import UNKNOWN_TISSUE, Batch, Slab, make_batch

_MIRRORED_VIEWS = ("axial", "coronal")  # their columns run right to left, so a mirror image is another patient


class ExamSource:
    """Draws slices of real exams. A ``SlabSource``.

    Exams take turns, whatever their number of slices. They have few times and not all as many: the first exam of a
    batch says how many times the batch has, at most those asked for, and the others are drawn from exams that have at
    least as many, so that no time is there twice. An exam with one phase after the injection gets a second time before
    arrival, when there is no enhancement: losses over time need two. Tissue is not known.
    """

    def __init__(self, exams: Sequence[CachedExam]) -> None:
        self.exams = exams
        self._phases = np.array([len(exam.record.times_s) for exam in exams])

    @classmethod
    def open(cls, folder: Path) -> ExamSource:
        """The training exams of a cache.

        Raises:
            CEKWorldError: no cache, or no exam to train on in it.
        """
        exams = open_exams(folder, "train")
        if not exams:
            raise CEKWorldError(f"{folder} holds no exam to train on; cekworld dataset check shows what it holds.")
        return cls(exams)

    def draw(self, slices: int, times: int, size: int, seed: int, step: int, device: torch.device) -> Batch:
        """As `SlabSource.draw`."""
        rng = np.random.default_rng([seed, step])
        first = rng.integers(len(self.exams))
        moments = min(times, int(self._phases[first]))
        fitting = np.flatnonzero(self._phases >= moments)
        others = rng.choice(fitting, slices - 1, replace=len(fitting) < slices - 1)
        chosen = (self.exams[index] for index in (first, *others))
        return make_batch((_slab(exam, moments, rng) for exam in chosen), size, rng, device)


def _slab(exam: CachedExam, moments: int, rng: np.random.Generator) -> Slab:
    record = exam.record
    begin, end = record.slices
    k = int(rng.integers(begin, end))
    chosen = np.sort(rng.choice(len(record.times_s), moments, replace=False))
    enhancement, times = exam.enhancement[k, chosen], np.array(record.times_s, np.float32)[chosen]
    if moments == 1:
        enhancement = np.concatenate([np.zeros_like(enhancement), enhancement])
        times = np.append(np.float32(rng.uniform(0.0, min(record.injection.arrival_s, times[0]))), times)
    lowest = max(k - 1, 0)
    neighbours = stack_neighbours(exam.pre[lowest : k + 2])[k - lowest]  # at the edge of the exam the slice repeats
    return Slab(
        pre=neighbours,
        enhancement=enhancement,
        labels=np.full(neighbours.shape[1:], UNKNOWN_TISSUE, np.int16),
        times_s=times,
        arrival_s=record.injection.arrival_s,
        condition=condition_vector(Condition(record.acquisition, record.injection, record.anatomy)).numpy(),
        mirror=record.anatomy in ("breast", "brain") and record.view in _MIRRORED_VIEWS,
    )
