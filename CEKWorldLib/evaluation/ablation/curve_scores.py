"""Scores of one lesion's curve against the truth's, both at equal steps from arrival on."""

from __future__ import annotations

import numpy as np

from CEKWorldLib.evaluation import metrics
from CEKWorldLib.kinetics.curve_type import CurveType
from CEKWorldLib.kinetics.measures import measure
from CEKWorldLib.kinetics.settings import Settings
from CEKWorldLib.kinetics.time_axis import TimeAxis


def curve_scores(predicted: np.ndarray, truth: np.ndarray, baseline: float, times_s: np.ndarray) -> dict[str, float]:
    """Compares two enhancement curves.

    Args:
        predicted, truth: enhancement of a lesion at equal steps, the first at arrival, (T,).
        baseline: its pre-contrast signal.
        times_s: seconds after injection start, (T,).

    Returns:
        spearman; dtw, of the truth's rise; enhancement_error, the mean squared difference (Zhang's iterU-Net), of the
        squared baseline; curve_type, 1 where both have the same; second_difference, the largest of the truth's;
        end_jump, the larger of the first and last step over the largest of the others, and the same of the truth.
    """
    rise = float(np.ptp(truth))
    return {
        "spearman": metrics.spearman(predicted, truth),
        "dtw": dynamic_time_warping(predicted, truth) / rise,
        "enhancement_error": float(np.square(predicted - truth).mean()) / baseline**2,
        "curve_type": float(curve_type(predicted, baseline, times_s) == curve_type(truth, baseline, times_s)),
        "second_difference": metrics.second_difference_ratio(predicted, truth),
        "end_jump": end_jump(predicted),
        "end_jump_truth": end_jump(truth),
    }


def dynamic_time_warping(a: np.ndarray, b: np.ndarray) -> float:
    """Dynamic-time-warping distance with local cost |a - b|, steps of one and no window, per sample of ``b``."""
    cost = np.abs(a[:, None] - b[None, :])
    total = np.full((len(a) + 1, len(b) + 1), np.inf)
    total[0, 0] = 0.0
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            total[i, j] = cost[i - 1, j - 1] + min(total[i - 1, j], total[i, j - 1], total[i - 1, j - 1])
    return float(total[-1, -1]) / len(b)


def curve_type(enhancement: np.ndarray, baseline: float, times_s: np.ndarray) -> CurveType:
    """Delayed phase of the curve by the project's default definitions, the first sample its only baseline."""
    settings = Settings(arrival_s=float(times_s[0]))
    axis = TimeAxis.of(times_s, settings)
    samples = axis.ordered((baseline + enhancement)[:, None])
    return CurveType(int(measure(samples, axis, settings)["curve_type"][0]))


def end_jump(curve: np.ndarray) -> float:
    """The larger of the first and last step over the largest step between; steps are equally long."""
    steps = np.abs(np.diff(curve))
    return float(max(steps[0], steps[-1]) / max(steps[1:-1].max(), 1e-6))
