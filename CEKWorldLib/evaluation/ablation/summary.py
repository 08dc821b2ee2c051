"""From the scores of single exams to the tables: mean over seeds with its 95 % interval."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

COLUMNS = {
    "psnr_acquired": ("PSNR acquired", 1),
    "psnr_between": ("PSNR between", 1),
    "psnr_early": ("PSNR early", 1),
    "ssim": ("SSIM", 3),
    "cssim": ("cSSIM", 4),
    "rmse": ("rMSE", 4),
    "lpips": ("LPIPS", 3),
    "spearman": ("Spearman", 3),
    "dtw": ("DTW", 3),
    "enhancement_error": ("enh. error", 3),
    "curve_type": ("curve type", 2),
    "second_difference": ("2nd diff.", 2),
    "end_jump": ("end jump", 2),
}
"""Score: column of the tables, decimals."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: of the seeds' means over exams.
        interval: half width of its 95 % interval by Student's t; None for a single seed.
        seeds: each one's mean.
    """

    mean: float
    interval: float | None
    seeds: tuple[float, ...]

    @classmethod
    def of(cls, seeds: Sequence[float]) -> Estimate:
        values = np.asarray(seeds, float)
        half = None
        if len(values) > 1:
            half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
        return cls(float(values.mean()), half, tuple(float(v) for v in values))

    def text(self, decimals: int) -> str:
        mean = f"{self.mean:.{decimals}f}"
        return mean if self.interval is None else f"{mean} ± {self.interval:.{decimals}f}"


Summary = dict[str, dict[str, dict[str, Estimate]]]
"""Anatomy to row to score."""


def summarise(records: Iterable[dict[str, Any]]) -> Summary:
    """Means over exams for every seed, then over seeds.

    Args:
        records: scores of single exams with ``anatomy``, ``row`` and ``seed`` (None for rows without training).
    """
    values: dict[tuple[str, str, str], dict[Any, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        for name, value in record.items():
            if isinstance(value, float):
                values[record["anatomy"], record["row"], name][record["seed"]].append(value)
    summary: Summary = defaultdict(lambda: defaultdict(dict))
    for (anatomy, row, name), by_seed in values.items():
        summary[anatomy][row][name] = Estimate.of([float(np.mean(v)) for v in by_seed.values()])
    return summary


def paired(records: Sequence[dict[str, Any]], anatomy: str, name: str, row: str, other: str) -> Estimate | None:
    """The difference of two rows in one score, seed by seed; None where they have no seed in common."""

    def by_seed(wanted: str) -> dict[int, float]:
        values = defaultdict(list)
        for r in records:
            if r["anatomy"] == anatomy and r["row"] == wanted and name in r:
                values[r["seed"]].append(r[name])
        return {seed: float(np.mean(v)) for seed, v in values.items()}

    ours, theirs = by_seed(row), by_seed(other)
    common = sorted(set(ours) & set(theirs))
    return Estimate.of([ours[seed] - theirs[seed] for seed in common]) if common else None


def markdown(summary: Summary, titles: dict[str, str]) -> str:
    """A table for every anatomy; rows in the order of ``titles``."""
    parts = []
    for anatomy, rows in summary.items():
        parts.append(f"### {anatomy.capitalize()}\n")
        columns = {k: column for k, column in COLUMNS.items() if any(k in scores for scores in rows.values())}
        parts.append("| row | " + " | ".join(title for title, _ in columns.values()) + " |")
        parts.append("|---" * (len(columns) + 1) + "|")
        for row in (name for name in titles if name in rows):
            cells = (rows[row][k].text(d) if k in rows[row] else "–" for k, (_, d) in columns.items())
            parts.append(f"| {titles[row]} | " + " | ".join(cells) + " |")
        truth = next(iter(rows.values()))
        parts.append(f"\nThe truth's own cSSIM is {truth['cssim_truth'].mean:.4f}" + _end_jump(truth) + ".\n")
    return "\n".join(parts)


def _end_jump(scores: dict[str, Estimate]) -> str:
    return f", its end jump {scores['end_jump_truth'].mean:.2f}" if "end_jump_truth" in scores else ""
