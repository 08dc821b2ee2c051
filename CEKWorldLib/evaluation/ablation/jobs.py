"""The pieces of the ablation's work. Each leaves one file, and does nothing where the file is there.

Files of a results folder: ``exams/`` with the held-out exams and the scores of the rows that need no training, and a
folder per seed with its patients, the weights that its rows start from, and ``rows/`` with scores and samples.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from safetensors.torch import load_model, save_model

from CEKWorldLib.evaluation.ablation.budget import Budget
from CEKWorldLib.evaluation.ablation.exams import STUDIES, HeldOutExam
from CEKWorldLib.evaluation.ablation.prediction import predict
from CEKWorldLib.evaluation.ablation.rows import NOTHING, ORACLE, REGRESSION, Beginning, Row
from CEKWorldLib.evaluation.ablation.scores import score
from CEKWorldLib.evaluation.lpips import lpips_on_disk
from CEKWorldLib.exam.protocol import Anatomy
from CEKWorldLib.export.atomic import replacing
from CEKWorldLib.models.configuration import TimeEncoding
from CEKWorldLib.models.world import WorldModel, channels_last
from CEKWorldLib.training.beginning import standardise_latents
from CEKWorldLib.training.collection import Collection
from CEKWorldLib.training.consistency import Consistency
from CEKWorldLib.training.flow_stage import FlowStage
from CEKWorldLib.training.loop import Loop, Schedule
from CEKWorldLib.training.patients import Patients
from CEKWorldLib.training.stages import DecoderStage, RegressionStage, Stage
from CEKWorldLib.training.weighting import Weighting

Predict = Callable[[HeldOutExam], tuple[np.ndarray, np.ndarray | None]]
_PATIENTS_APART = 100_000  # seeds of the simulator between the patients of one seed and those of the next


@dataclass(frozen=True)
class Workplace:
    """Where the work goes on.

    Attributes:
        folder: of the results.
        budget: how much of everything.
        device: where models are trained.
        threads: of one process.
    """

    folder: Path
    budget: Budget
    device: str
    threads: int

    def exam_file(self, anatomy: Anatomy, number: int) -> Path:
        return self.folder / "exams" / f"{anatomy}-{number}.safetensors"

    def exams(self, anatomy: Anatomy) -> Iterator[HeldOutExam]:
        """Every held-out exam of an anatomy."""
        for number in range(self.budget.exams):
            yield HeldOutExam.load(self.exam_file(anatomy, number), anatomy)

    def shown_exam(self, anatomy: Anatomy) -> HeldOutExam:
        """The exam of the pictures: the first with a lesion to draw a curve of, the very first where none has one."""
        return next((exam for exam in self.exams(anatomy) if exam.lesions), next(self.exams(anatomy)))

    def seed_folder(self, seed: int) -> Path:
        return self.folder / f"seed-{seed}"

    def weights_file(self, name: str, seed: int) -> Path:
        """Weights that rows start from."""
        return self.seed_folder(seed) / f"{name}.safetensors"

    def network(self, time: TimeEncoding) -> WorldModel:
        """The budget's network, untrained."""
        return WorldModel(replace(self.budget.model, time_encoder=time))

    def scores_file(self, name: str, seed: int | None) -> Path:
        """Scores of a row; those of the rows without training belong to no seed."""
        return (self.folder / "exams" if seed is None else self.seed_folder(seed) / "rows") / f"{name}.json"


def make_exam(place: Workplace, anatomy: Anatomy, number: int) -> None:
    """Simulates one held-out exam and its oracle."""
    path = place.exam_file(anatomy, number)
    if not path.exists():
        exam = HeldOutExam.simulated(anatomy, number, place.budget.size, place.budget.redraws)
        with replacing(path) as temporary:
            exam.save(temporary)


def make_patients(place: Workplace, seed: int) -> None:
    """Simulates the training patients of a seed, at the times of their studies."""
    path = place.seed_folder(seed) / "patients.safetensors"
    if not path.exists():
        anatomies = tuple(STUDIES)
        patients = Patients(_PATIENTS_APART * (seed + 1), anatomies, place.budget.size, "sparse", axial_only=True)
        Collection([patients[n] for n in range(place.budget.patients * len(anatomies))]).save(path)


def score_untrained(place: Workplace, name: str) -> None:
    """Scores doing nothing, or the oracle."""
    predictions: dict[str, Predict] = {
        NOTHING: lambda exam: (np.zeros_like(exam.truth), None),
        ORACLE: lambda exam: (exam.oracle, None),
    }
    _score(place, name, None, predictions[name])


def train_regression(place: Workplace, seed: int, time: TimeEncoding) -> None:
    """Trains what all rows of a seed with the same time encoding start from, and scores the regression by itself."""
    name, budget = REGRESSION[time], place.budget
    path = place.weights_file(name, seed)
    if not path.exists():
        torch.manual_seed(seed)
        model = channels_last(place.network(time)).to(place.device)
        standardise_latents(model, _patients(place, seed), seed, size=budget.size)
        _train(place, seed, name, model, [("decoder", DecoderStage(), budget.decoder)])
        _train(place, seed, name, model, [("regression", RegressionStage(), budget.regression)])
        _save(model, place.network(time), path)
    model = _load(place, path, time)
    _score(place, name, seed, lambda exam: predict(model, exam, 0, "mean"))


def train_beginning(place: Workplace, seed: int, beginning: Beginning) -> None:
    """The flow training that rows of a seed have in common."""
    path, time = place.weights_file(beginning.name, seed), beginning.time
    if not path.exists():
        model = _load(place, place.weights_file(REGRESSION[time], seed), time)
        _train(place, seed, beginning.name, model, [("flow", _flow(beginning), place.budget.shared_flow)])
        _save(model, place.network(time), path)


def train_row(place: Workplace, seed: int, row: Row) -> None:
    """Trains the two halves of a row, and scores it."""
    if place.scores_file(row.name, seed).exists():
        return
    beginning = row.beginning
    model = _load(place, place.weights_file(beginning.name, seed), beginning.time)
    halves = [
        (f"half-{number}", _flow(beginning, consistency), place.budget.half)
        for number, consistency in enumerate(row.halves, start=1)
    ]
    _train(place, seed, row.name, model, halves, row.weighting)
    _score(place, row.name, seed, lambda exam: predict(model, exam, place.budget.sampler_steps, beginning.start))
    shutil.rmtree(place.seed_folder(seed) / row.name)


def _flow(beginning: Beginning, consistency: Consistency | None = None) -> FlowStage:
    return FlowStage(consistency, 1.0 if beginning.start == "noise" else 0.0, beginning.weighted)


def _patients(place: Workplace, seed: int) -> Collection:
    return Collection.load(place.seed_folder(seed) / "patients.safetensors")


def _train(
    place: Workplace,
    seed: int,
    name: str,
    model: WorldModel,
    stages: Sequence[tuple[str, Stage, Schedule]],
    weighting: Weighting = "sum",
) -> None:
    """Runs stages, or the rest of them; what they print goes to a file."""
    folder = place.seed_folder(seed) / name
    folder.mkdir(parents=True, exist_ok=True)
    source = _patients(place, seed)
    with _said_to(folder / "training.log"):
        for stage_name, stage, schedule in stages:
            loop = Loop(model, stage, replace(schedule, weighting=weighting), source, folder, stage_name, seed)
            loop.sheet_every = None
            loop.run()


@contextmanager
def _said_to(path: Path) -> Iterator[None]:
    with path.open("a") as file, redirect_stdout(file), redirect_stderr(file):
        yield


def _score(place: Workplace, name: str, seed: int | None, prediction: Predict) -> None:
    """Writes the scores of all exams, and what the pictures show of one exam of each anatomy."""
    path = place.scores_file(name, seed)
    if path.exists():
        return
    records, samples, lpips = [], {}, lpips_on_disk()
    for anatomy in STUDIES:
        shown = place.shown_exam(anatomy).seed
        for exam in place.exams(anatomy):
            enhancement, latents = prediction(exam)
            records.append(
                {"row": name, "seed": seed, "anatomy": anatomy, "exam": exam.seed} | score(enhancement, exam, lpips)
            )
            if exam.seed == shown:
                samples[f"{anatomy}.enhancement"] = enhancement.astype(np.float16)
                if latents is not None:
                    samples[f"{anatomy}.latents"] = latents.astype(np.float16)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path.with_suffix(".safetensors")) as temporary:
        save_file(samples, temporary)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(records, indent=1))


def _save(model: WorldModel, plain: WorldModel, path: Path) -> None:
    """Saves weights by way of a network whose own lie as safetensors wants them, not channels last."""
    plain.load_state_dict(model.state_dict())
    with replacing(path) as temporary:
        save_model(plain, str(temporary))


def _load(place: Workplace, path: Path, time: TimeEncoding) -> WorldModel:
    model = place.network(time)
    load_model(model, path)
    return channels_last(model).to(place.device).eval()
