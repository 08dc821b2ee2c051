"""Held-out exams with dense truth, and what the oracle makes of them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from CEKWorldLib.evaluation import metrics
from CEKWorldLib.exam.intensity import intensity_scale
from CEKWorldLib.exam.protocol import Anatomy
from CEKWorldLib.models.condition import Condition, condition_vector
from CEKWorldLib.simulation.case import Case, simulate
from CEKWorldLib.simulation.labels import Label
from CEKWorldLib.training.acquisition_times import ABDOMEN_S, BREAST_S
from CEKWorldLib.training.patients import SLICES

STUDIES: dict[Anatomy, tuple[float, ...]] = {"abdomen": ABDOMEN_S, "breast": BREAST_S}
STEP_S = 5.0  # of the curves
_GAP_S = 5.0  # the middle of a shorter one lies within the jitter of its ends
_LESION_PIXELS = 8
_LESION_RISE = 0.1  # of its pre-contrast signal; a cyst has no curve


@dataclass(frozen=True)
class StudyTimes:
    """Seconds after arrival at which an exam of one anatomy is measured.

    Attributes:
        acquired: the study's schedule, which training times follow.
        between: middles of its gaps, at which nothing was ever acquired.
        early: before its first time, in the same way never acquired.
        curve: every ``STEP_S`` from arrival to the last acquired time.
    """

    acquired: np.ndarray
    between: np.ndarray
    early: np.ndarray
    curve: np.ndarray

    @classmethod
    def of(cls, anatomy: Anatomy) -> StudyTimes:
        acquired = np.array(STUDIES[anatomy])
        gaps = np.diff(acquired) > _GAP_S
        return cls(
            acquired=acquired,
            between=((acquired[1:] + acquired[:-1]) / 2)[gaps],
            early=acquired[0] * np.array([0.25, 0.5, 0.75]),
            curve=np.arange(0.0, acquired[-1] + 1e-6, STEP_S),
        )

    @property
    def all(self) -> np.ndarray:
        """Every time once, ascending."""
        return np.unique(np.concatenate([self.acquired, self.between, self.early, self.curve]))

    def at(self, group: str) -> np.ndarray:
        """Where in ``all`` the times of a group are: "acquired", "between", "early", "curve", or "frames", the first
        three together."""
        every = [getattr(self, name) for name in (("acquired", "between", "early") if group == "frames" else (group,))]
        return np.flatnonzero(np.isin(self.all, np.concatenate(every)))


@dataclass(frozen=True)
class HeldOutExam:
    """The middle slice of an exam that no model has seen; images in units of its intensity scale.

    Attributes:
        anatomy, seed: of the simulated case, in the split "test".
        stack: the noisy pre-contrast slice between its neighbours, as models get it, (3, S, S).
        pre: the slice without noise, (S, S).
        truth: its true enhancement at ``StudyTimes.all``, (T, S, S).
        oracle: the mean enhancement of other patients with the same pre-contrast image, (T, S, S).
        labels: ``Label`` codes, (S, S).
        condition: (CONDITION_SIZE,).
        arrival_s: bolus arrival.
    """

    anatomy: Anatomy
    seed: int
    stack: np.ndarray
    pre: np.ndarray
    truth: np.ndarray
    oracle: np.ndarray
    labels: np.ndarray
    condition: np.ndarray
    arrival_s: float

    @classmethod
    def simulated(cls, anatomy: Anatomy, seed: int, size: int, redraws: int) -> HeldOutExam:
        """Simulates the exam, and ``redraws`` other draws of its kinetics for the oracle."""

        def patient(kinetics: int) -> Case:
            return simulate(anatomy, seed, "test", shape=(SLICES, size, size), kinetics=kinetics)

        case = patient(0)
        scale = intensity_scale(case.pre.voxels)
        oracle = np.mean([_enhancement(patient(n)) for n in range(1, redraws + 1)], axis=0)
        return cls(
            anatomy=anatomy,
            seed=seed,
            stack=(case.pre.voxels / scale).astype(np.float32),
            pre=case.signal(0.0)[SLICES // 2] / scale,
            truth=_enhancement(case) / scale,
            oracle=oracle / scale,
            labels=case.labels[SLICES // 2],
            condition=condition_vector(Condition(case.acquisition, case.injection, case.anatomy)).numpy(),
            arrival_s=case.injection.arrival_s,
        )

    @cached_property
    def times(self) -> StudyTimes:
        return StudyTimes.of(self.anatomy)

    @cached_property
    def body(self) -> np.ndarray:
        return metrics.body(self.pre[None])[0]

    @cached_property
    def data_range(self) -> float:
        """One for the whole series, the 99.9th percentile of all its frames."""
        return float(np.percentile(self.pre + self.truth, 99.9))

    @cached_property
    def lesions(self) -> list[np.ndarray]:
        """Masks of the lesions that are large enough in this slice and enhance."""
        masks = [self.labels == code for code in np.unique(self.labels) if code >= Label.LESION]
        return [m for m in masks if m.sum() >= _LESION_PIXELS and self._rise(m) > _LESION_RISE]

    def _rise(self, mask: np.ndarray) -> float:
        return float(self.truth[:, mask].mean(1).max() / self.pre[mask].mean())

    def save(self, path: Path) -> None:
        arrays = {f.name: np.ascontiguousarray(getattr(self, f.name)) for f in fields(self) if f.name != "anatomy"}
        save_file(arrays, path, {"anatomy": self.anatomy})

    @classmethod
    def load(cls, path: Path, anatomy: Anatomy) -> HeldOutExam:
        values: dict[str, Any] = load_file(path)
        single = {name: values.pop(name).item() for name in ("seed", "arrival_s")}
        return cls(anatomy=anatomy, **single, **values)


def _enhancement(case: Case) -> np.ndarray:
    """Of the middle slice at all times of its study, (T, S, S) float32."""
    middle = slice(SLICES // 2, SLICES // 2 + 1)
    since = StudyTimes.of(case.anatomy).all
    return np.concatenate([case.enhancement(float(case.injection.arrival_s + s), middle) for s in since])
