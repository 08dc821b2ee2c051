"""Patients simulated while training, in processes of their own: no disk, and no patient twice in a long run.

A simulator is slower than a GPU, so every patient serves several batches: the batch of step k comes from a window of
patients that moves on by 1 / reuse of a patient per slice drawn. Which patients those are follows from k alone, so
batches do not depend on how fast the processes are, and a run that was stopped goes on with the same ones.
"""

from __future__ import annotations

import itertools
import operator
from collections import deque
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.protocol import ANATOMIES, Anatomy
from CEKWorldLib.training.acquisition_times import Sampling
from CEKWorldLib.training.batches import Batch, Slab, make_batch
from CEKWorldLib.training.patients import Patients, at_some_times
from CEKWorldLib.training.simulators import lost_simulator, simulators
from CEKWorldLib.training.toml_file import whole_numbers

_QUEUE = 4  # patients waiting per process; 2.6 MB each


@dataclass(frozen=True)
class LivePlan:
    """The ``[live]`` table of a training configuration, in place of a ``[bank]``.

    Attributes:
        seed: of the first patient.
        window, reuse: see ``LiveSource``.
        sampling: ``dense`` times, or the ``sparse`` ones of studies, which there are none of the brain of.
        anatomies: that take turns.
    """

    seed: int = 0
    window: int = 48
    reuse: int = 8
    sampling: Sampling = "dense"
    anatomies: tuple[Anatomy, ...] = ANATOMIES

    def __post_init__(self) -> None:
        object.__setattr__(self, "anatomies", tuple(self.anatomies))
        whole_numbers("[live]", seed=(self.seed, 0), window=(self.window, 1), reuse=(self.reuse, 1))
        known = bool(self.anatomies) and set(self.anatomies) <= set(ANATOMIES)
        if self.sampling not in get_args(Sampling) or not known:
            raise CEKWorldError(f"[live] knows the samplings {get_args(Sampling)} and the anatomies {ANATOMIES}.")
        if self.sampling == "sparse" and "brain" in self.anatomies:
            raise CEKWorldError("[live] has no sparse schedule of the brain; leave it out of the anatomies.")

    def source(self, workers: int, processes: int) -> LiveSource:
        patients = Patients(self.seed, self.anatomies, sampling=self.sampling)
        return LiveSource(patients, workers, self.window, self.reuse, processes)


class LiveSource:
    """Simulates ahead of a run. A ``SlabSource``.

    Args:
        patients: to draw from.
        workers: simulator processes.
        window: patients a batch is drawn from, kept in memory.
        reuse: how many slices of batches every patient gives on average.
        processes: training processes that count their steps through; each simulates the patients of its own steps.
    """

    def __init__(self, patients: Patients, workers: int, window: int = 48, reuse: int = 8, processes: int = 1) -> None:
        self.patients, self.workers, self.window, self.reuse = patients, workers, window, reuse
        self.processes = processes
        self._ahead: _Ahead | None = None
        self._run: tuple[int, int, int, int] | None = None

    def draw(self, slices: int, times: int, size: int, seed: int, step: int, device: torch.device) -> Batch:
        """As `SlabSource.draw`."""
        rng = np.random.default_rng([seed, step])
        own_step, process = divmod(step, self.processes)
        first = own_step * slices // self.reuse
        chosen = first + rng.choice(self.window, slices, replace=slices > self.window)
        self._follow((slices, seed, process, own_step), first)
        slabs = [self._patient(int(number) * self.processes + process) for number in chosen]
        count = min(times, *(len(slab.times_s) for slab in slabs))
        return make_batch((at_some_times(slab, count, rng) for slab in slabs), size, rng, device)

    def close(self) -> None:
        """Ends the processes."""
        if self._ahead:
            self._ahead.close()
        self._ahead = None

    def _follow(self, run: tuple[int, int, int, int], first: int) -> None:
        """Simulates ahead from the second of two successive steps on; single batches in between change nothing."""
        *whose, step = run
        begin = first * self.processes + run[2]
        if self._ahead and self._ahead.run == (*whose, step - 1):
            self._ahead.run = run
            self._ahead.forget_before(begin)
        elif self._run == (*whose, step - 1):
            self.close()
            self._ahead = _Ahead(self.patients, begin, self.processes, self.workers, run)
        self._run = run

    def _patient(self, number: int) -> Slab:
        return self._ahead[number] if self._ahead and self._ahead.run == self._run else self.patients[number]


class _Ahead:
    """Every ``stride``-th patient from one on, simulated in order by processes a bounded way ahead."""

    def __init__(
        self, patients: Patients, begin: int, stride: int, workers: int, run: tuple[int, int, int, int]
    ) -> None:
        self.run = run
        self._patients = patients
        self._numbers = itertools.count(begin, stride)
        self._slabs: dict[int, Slab] = {}
        self._jobs: deque[tuple[int, Future[Slab]]] = deque()
        self._pool = simulators(workers)
        for _ in range(_QUEUE * workers):
            self._begin_next()

    def __getitem__(self, number: int) -> Slab:
        while number not in self._slabs:
            try:
                self._begin_next()
                coming, job = self._jobs.popleft()
                self._slabs[coming] = job.result()
            except BrokenProcessPool as error:
                raise lost_simulator() from error
        return self._slabs[number]

    def _begin_next(self) -> None:
        number = next(self._numbers)
        self._jobs.append((number, self._pool.submit(operator.getitem, self._patients, number)))

    def forget_before(self, number: int) -> None:
        for old in [n for n in self._slabs if n < number]:
            del self._slabs[old]

    def close(self) -> None:
        """Waits for the patients in the making; a draw that waits for others ends with an error."""
        self._pool.shutdown(cancel_futures=True)
