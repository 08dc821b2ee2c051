"""Quality on held-out simulated cases: the model, its regression alone, the noise start, doing nothing, and the oracle.

The oracle is the mean of patients that have the case's pre-contrast image and kinetics drawn again: no model can know
more. It knows more than any image shows, too: the family of every lesion, and each vessel that looks like its
surroundings.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from tqdm import tqdm

from CEKWorldLib.evaluation.case_pictures import CasePicture, write_case_pictures
from CEKWorldLib.evaluation.case_scores import CURVE_TIMES_S, Truth, score_frames, score_smoothness
from CEKWorldLib.exam.exam import Exam
from CEKWorldLib.exam.protocol import ANATOMIES
from CEKWorldLib.models.bundle import load_model
from CEKWorldLib.models.sampler import Start
from CEKWorldLib.models.world import SliceFeatures, WorldModel
from CEKWorldLib.simulation.case import simulate
from CEKWorldLib.simulation.splits import Split
from CEKWorldLib.synthesis.session import Session
from CEKWorldLib.synthesis.times import default_times

SPLITS: tuple[Split, ...] = tuple(s for s in get_args(Split) if s == "test" or s.startswith("unseen"))
SLICES = 4
SHIPPED = "shipped: "
"""How the variant begins that a model's own settings give."""
ORACLE = "oracle"
REDRAWS = 6
SUMMARY = (
    "enhancing_mae_ratio",
    "lesion_spearman",
    "anatomy_gradient_correlation",
    "lesion_second_difference_ratio",
)


Shown = Callable[[Truth, np.ndarray, dict[str, float]], None]


@dataclass(frozen=True)
class Variant:
    """One row of the comparison: how the model's weights are used."""

    name: str
    steps: int
    start: Start = "mean"


class Sampled:
    """The model with its sampler fixed, so that a session runs a variant."""

    def __init__(self, model: WorldModel, variant: Variant) -> None:
        self._model, self._variant = model, variant

    def __getattr__(self, name: str):
        return getattr(self._model, name)

    def sample(self, features: SliceFeatures, times_s, noise, steps):
        return self._model.sample(features, times_s, noise, self._variant.steps, self._variant.start)


def variants(model: WorldModel) -> list[Variant]:
    """The model as shipped first, then what it is compared with."""
    steps = model.configuration.steps
    others = [Variant(f"mean start, {n} steps", n) for n in (1, 4) if n != steps]
    return [
        Variant(f"{SHIPPED}mean start, {steps} steps", steps),
        *others,
        Variant("regression only", 0),
        Variant("noise start, 4 steps", 4, "noise"),
    ]


def evaluate(model: WorldModel, cases: int, device: str = "auto", shown: Shown | None = None) -> list[dict]:
    """Scores the shipped variant and the oracle on every held-out case, the other variants on the cases of "test".

    Args:
        cases: per anatomy and split.
        shown: told of every case its truth, the shipped variant's frames and their scores.

    Returns:
        One record per case and variant: anatomy, split, seed, variant, scores.
    """
    records: list[dict] = []
    jobs = [(anatomy, split, seed) for split in SPLITS for anatomy in ANATOMIES for seed in range(cases)]
    shipped, *others = variants(model)
    for anatomy, split, seed in tqdm(jobs, desc="evaluating", unit="case"):
        case = simulate(anatomy, seed, split, shape=(SLICES, 256, 256), view="axial")
        truth, exam = Truth.of(case), case.to_exam()
        session = _session(model, shipped, exam, truth, device)
        frames = _frames(session)
        own = score_frames(frames, exam.pre.voxels, truth)
        if shown:
            shown(truth, frames, own)
        scores = {shipped.name: own | score_smoothness(session, truth), ORACLE: _knowable(truth)}
        if split == "test":
            still = np.broadcast_to(case.pre.voxels, truth.series.shape)
            scores["no enhancement"] = score_frames(still, case.pre.voxels, truth)
            scores |= {other.name: _score(model, other, exam, truth, device) for other in others}
            scores["shipped, header and anatomy unknown"] = _score(model, shipped, Exam(pre=exam.pre), truth, device)
        facts = {"anatomy": anatomy, "split": split, "seed": seed}
        records += [facts | {"variant": name} | values for name, values in scores.items()]
    return records


def _session(model: WorldModel, variant: Variant, exam: Exam, truth: Truth, device: str) -> Session:
    injection = truth.case.injection
    session = Session(Sampled(model, variant), device=device)
    session.prepare(exam, injection)
    session.synthesize(default_times(injection.arrival_s, exam.anatomy))
    return session


def _frames(session: Session) -> np.ndarray:
    return np.stack([session.frame(float(t)) for t in CURVE_TIMES_S])


def _score(model: WorldModel, variant: Variant, exam: Exam, truth: Truth, device: str) -> dict[str, float]:
    return score_frames(_frames(_session(model, variant, exam, truth, device)), exam.pre.voxels, truth)


def _knowable(truth: Truth) -> dict[str, float]:
    """Scores of the mean over ``REDRAWS`` patients whose pre-contrast image is the case's."""
    case = truth.case
    enhancement = np.zeros_like(truth.series)
    for kinetics in range(1, REDRAWS + 1):
        other = simulate(case.anatomy, case.seed, case.split, case.pre.shape, case.view, kinetics=kinetics)
        for frame, t in zip(enhancement, CURVE_TIMES_S, strict=True):
            frame += other.enhancement(float(t)) / REDRAWS
    return score_frames(case.pre.voxels + enhancement, case.pre.voxels, truth)


def summarise(records: Iterable[dict], by: tuple[str, ...]) -> dict[tuple[str, ...], dict[str, float]]:
    """Mean of every score over the records that agree in ``by``."""
    groups: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        scores = groups[tuple(str(record[key]) for key in by)]
        for key, value in record.items():
            if isinstance(value, float):
                scores[key].append(value)
    return {group: {key: float(np.mean(v)) for key, v in scores.items()} for group, scores in groups.items()}


def summary(records: list[dict], variant: str) -> dict[str, float]:
    """The promised rows: means over all held-out cases; for anatomy the worst frame of the worst case."""
    own = [r for r in records if r["variant"] == variant]
    means = {key: float(np.mean([r[key] for r in own if key in r])) for key in SUMMARY if any(key in r for r in own)}
    return means | {"anatomy_gradient_correlation": min(r["anatomy_gradient_correlation"] for r in own)}


def run(model: str, cases: int, device: str, json_path: Path | None, pictures: Path | None = None) -> None:
    """The command line's entry: scores, prints tables, writes JSON, and pictures into a folder."""
    world = load_model(model)
    seen: dict[str, list[CasePicture]] = defaultdict(list)

    def show(truth: Truth, frames: np.ndarray, scores: dict[str, float]) -> None:
        seen[truth.case.anatomy].append(CasePicture.of(truth, frames, scores))

    records = evaluate(world, cases, device, show if pictures else None)
    shipped = variants(world)[0].name
    flat, knowable = summary(records, shipped), summary(records, ORACLE)
    print(f"\nModel {world.name} ({world.sha256[:12]}), {cases} cases per anatomy and split, simulated, held out")
    tested = [r for r in records if r["split"] == "test"]
    _table("Seeds held out, families as in training", summarise(tested, ("variant",)))
    own = [r for r in records if r["variant"] == shipped]
    _table("Shipped model by split and anatomy", summarise(own, ("split", "anatomy")))
    _table("Oracle", summarise([r for r in records if r["variant"] == ORACLE], ("split", "anatomy")))
    print(f"\n{'Summary':34s}{'shipped':>10s}{'oracle':>10s}")
    for key, value in flat.items():
        print(f"  {key:32s}{value:10.4f}" + (f"{knowable[key]:10.4f}" if key in knowable else f"{'-':>10s}"))
    if json_path:
        of = {"name": world.name, "sha256": world.sha256}
        figures = {"model": of, "summary": flat, "oracle": knowable, "cases": records}
        json_path.write_text(json.dumps(figures, indent=1) + "\n")
    if pictures:
        for anatomy, cells in seen.items():
            subtitle = f"{anatomy}, simulated cases held out from training; model {world.name} ({world.sha256[:12]})"
            write_case_pictures(pictures / f"cases-{anatomy}.png", cells, subtitle)


_COLUMNS = {
    "enhancing_mae_ratio": "MAE ratio",
    "lesion_spearman": "Spearman",
    "psnr_db": "PSNR dB",
    "ssim": "SSIM",
    "cssim": "cSSIM",
    "cssim_truth": "(truth)",
    "rmse_ratio": "rMSE",
    "anatomy_gradient_correlation": "anatomy",
    "anatomy_truth": "(truth)",
    "lesion_second_difference_ratio": "2nd diff.",
}


def _table(title: str, groups: dict[tuple[str, ...], dict[str, float]]) -> None:
    print(f"\n{title}\n{'':42s}" + "".join(f"{name:>11s}" for name in _COLUMNS.values()))
    for group, scores in groups.items():
        cells = (f"{scores[key]:11.3f}" if key in scores else f"{'-':>11s}" for key in _COLUMNS)
        print(f"{' / '.join(group):42s}" + "".join(cells))
