"""The scores of one prediction of a held-out exam."""

from __future__ import annotations

import numpy as np

from CEKWorldLib.evaluation import metrics
from CEKWorldLib.evaluation.ablation.curve_scores import curve_scores
from CEKWorldLib.evaluation.ablation.exams import HeldOutExam
from CEKWorldLib.evaluation.lpips import Lpips

GROUPS = ("acquired", "between", "early")


def score(enhancement: np.ndarray, exam: HeldOutExam, lpips: Lpips | None = None) -> dict[str, float]:
    """Compares with the truth.

    Args:
        enhancement: predicted, at ``exam.times.all``, (T, S, S).
        lpips: with its weights; None where they are not on disk.

    Returns:
        psnr, ssim and rmse (of the data range) at all of the frames, and at those of each group; cssim of all frames
        and its truth; lpips of all frames, where it is given; and the means over lesions of ``curve_scores``, where
        there are lesions.
    """
    predicted, truth = (exam.pre + series for series in (enhancement, exam.truth))
    scores = _of_frames(predicted, truth, exam, "frames")
    for group in GROUPS:
        scores |= {f"{name}_{group}": value for name, value in _of_frames(predicted, truth, exam, group).items()}
    frames = exam.times.at("frames")
    scores["cssim"] = metrics.consecutive_ssim(predicted[frames], exam.data_range)
    scores["cssim_truth"] = metrics.consecutive_ssim(truth[frames], exam.data_range)
    if lpips is not None:
        scores["lpips"] = lpips.of_series(predicted[frames], truth[frames], exam.data_range)
    curve = exam.times.at("curve")
    seconds = exam.arrival_s + exam.times.all[curve]
    lesions = [
        curve_scores(
            enhancement[curve][:, mask].mean(1),
            exam.truth[curve][:, mask].mean(1),
            float(exam.pre[mask].mean()),
            seconds,
        )
        for mask in exam.lesions
    ]
    if lesions:
        scores |= {name: float(np.mean([lesion[name] for lesion in lesions])) for name in lesions[0]}
    return scores


def _of_frames(predicted: np.ndarray, truth: np.ndarray, exam: HeldOutExam, group: str) -> dict[str, float]:
    at = exam.times.at(group)
    return {
        "psnr": metrics.psnr(predicted[at], truth[at], exam.data_range, exam.body),
        "ssim": metrics.ssim(predicted[at], truth[at], exam.data_range),
        "rmse": metrics.rmse(predicted[at], truth[at], exam.body) / exam.data_range,
    }
