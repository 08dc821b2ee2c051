"""The scores of one synthesized case against its truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from CEKWorldLib.evaluation import metrics
from CEKWorldLib.simulation.case import Case
from CEKWorldLib.simulation.labels import Label
from CEKWorldLib.synthesis.session import Session

CURVE_TIMES_S = np.arange(0.0, 361.0, 15.0)
SECONDS = np.arange(0.0, 361.0)
_LATE = 5  # image metrics are of the 20 times from 75 s on
_SSIM = np.s_[:, ::2]  # every other slice: similarity is by far the slowest metric
_LESION_VOXELS = 12
_LESION_RISE = 0.1  # of its pre-contrast signal; a cyst has no curve to rank


@dataclass(frozen=True)
class Truth:
    """What a case's frames are compared with; made once for all models.

    Attributes:
        case: the simulated case.
        pre: noiseless pre-contrast volume.
        series: noiseless frames at ``CURVE_TIMES_S``.
        tissue: enhancing tissue.
        body: body mask.
        data_range: one for the whole series, the 99.9th percentile of all its frames.
        consecutive_ssim: what cSSIM the truth has.
    """

    case: Case
    pre: np.ndarray
    series: np.ndarray
    tissue: np.ndarray
    body: np.ndarray
    data_range: float
    consecutive_ssim: float

    @classmethod
    def of(cls, case: Case) -> Truth:
        pre = case.signal(0.0)
        series = np.stack([case.signal(float(t)) for t in CURVE_TIMES_S])
        data_range = float(np.percentile(series, 99.9))
        return cls(
            case=case,
            pre=pre,
            series=series,
            tissue=metrics.enhancing_tissue(pre, series),
            body=metrics.body(pre),
            data_range=data_range,
            consecutive_ssim=metrics.consecutive_ssim(series[_LATE:][_SSIM], data_range),
        )

    def lesions(self) -> dict[int, np.ndarray]:
        """Masks of the lesions that are large enough in these slices and enhance, by index."""
        masks = {n: self.case.labels == Label.LESION + n for n in range(len(self.case.lesions))}
        return {
            n: mask
            for n, mask in masks.items()
            if mask.sum() >= _LESION_VOXELS
            and (self.series[:, mask].mean(1).max() / max(self.pre[mask].mean(), 1e-6) - 1.0) > _LESION_RISE
        }


def score_frames(frames: np.ndarray, source: np.ndarray, truth: Truth) -> dict[str, float]:
    """Scores of frames at ``CURVE_TIMES_S``, which start from the noisy ``source`` volume.

    The noise of the source is in every frame and in none of the truth's; it is taken out first, because the task is
    the enhancement.
    """
    predicted = frames - source + truth.pre
    still = metrics.still_tissue(truth.body, truth.tissue)
    anatomy = [metrics.gradient_correlation(frame, source, still) for frame in frames]
    true_anatomy = [metrics.gradient_correlation(source + frame - truth.pre, source, still) for frame in truth.series]
    late, true_late = predicted[_LATE:], truth.series[_LATE:]
    scores = {
        "enhancing_mae_ratio": metrics.mae_ratio(predicted, truth.series, truth.pre, truth.tissue),
        "anatomy_gradient_correlation": min(anatomy),
        "anatomy_truth": min(true_anatomy),
        "psnr_db": metrics.psnr(late, true_late, truth.data_range, truth.body),
        "ssim": metrics.ssim(late[_SSIM], true_late[_SSIM], truth.data_range),
        "cssim": metrics.consecutive_ssim(late[_SSIM], truth.data_range),
        "cssim_truth": truth.consecutive_ssim,
        "rmse_ratio": metrics.rmse(late, true_late, truth.body) / truth.data_range,
    }
    curves = [
        metrics.spearman(predicted[:, mask].mean(1), truth.series[:, mask].mean(1)) for mask in truth.lesions().values()
    ]
    return scores | ({"lesion_spearman": float(np.mean(curves))} if curves else {})


def score_smoothness(session: Session, truth: Truth) -> dict[str, float]:
    """Second differences of the lesion curves at 1 s steps, as the viewer shows them, against the truth's."""
    seconds = SECONDS.tolist()
    ratios = [
        metrics.second_difference_ratio(session.curve(mask, seconds), truth.case.curve(mask, seconds))
        for mask in truth.lesions().values()
    ]
    return {"lesion_second_difference_ratio": float(np.mean(ratios))} if ratios else {}
