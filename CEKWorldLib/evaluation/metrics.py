"""Metrics of synthesized series against truth. Series are (T, slices, rows, columns) in one intensity scale.

Every metric uses one data range per exam: a range per image would hide errors of scale, which are errors of kinetics.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage, stats
from skimage.metrics import structural_similarity


def enhancing_tissue(pre: np.ndarray, truth: np.ndarray, threshold: float = 0.2) -> np.ndarray:
    """Voxels whose true signal rises by more than ``threshold`` of the pre-contrast signal at any time.

    Voxels darker than 5 % of the brightest percentile are left out: there a percentage means nothing.

    Args:
        pre: (slices, rows, columns), noiseless.
        truth: series.
    """
    floor = 0.05 * np.percentile(pre, 99)
    return ((truth - pre).max(0) > threshold * np.maximum(pre, floor)) & (pre > floor)


def still_tissue(body: np.ndarray, enhancing: np.ndarray) -> np.ndarray:
    """The body away from enhancing tissue: one pixel more is left out, which a gradient's differences reach over.

    With that pixel the truth itself, at the border of its enhancing tissue, has gradients other than the source's
    (correlation 0.77 to 0.96 in six simulated cases; 0.987 to 0.995 without it).
    """
    return body & ~ndimage.binary_dilation(enhancing, np.ones((1, 3, 3), bool))


def mae_ratio(predicted: np.ndarray, truth: np.ndarray, pre: np.ndarray, mask: np.ndarray) -> float:
    """Mean absolute error inside the mask over that of predicting no enhancement at all."""
    error = np.abs(predicted[:, mask] - truth[:, mask]).mean()
    return float(error / np.abs(pre[mask] - truth[:, mask]).mean())


def spearman(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Rank correlation of two curves; 0 where one of them is constant."""
    if np.ptp(predicted) == 0 or np.ptp(truth) == 0:
        return 0.0
    return float(stats.spearmanr(predicted, truth).statistic)


def gradient_correlation(frame: np.ndarray, source: np.ndarray, mask: np.ndarray) -> float:
    """Pearson correlation of in-plane gradient magnitudes inside the mask: whether edges stayed where they were."""
    a, b = (np.hypot(*np.gradient(x, axis=(-2, -1)))[mask] for x in (frame, source))
    return float(np.corrcoef(a, b)[0, 1])


def second_difference_ratio(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Largest absolute second difference of a curve at equal steps, over the truth's."""
    return float(np.abs(np.diff(predicted, 2)).max() / np.abs(np.diff(truth, 2)).max())


def psnr(predicted: np.ndarray, truth: np.ndarray, data_range: float, mask: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB inside the mask; background zeros would flatter it."""
    return float(10.0 * np.log10(data_range**2 / np.square(predicted[:, mask] - truth[:, mask]).mean()))


def rmse(predicted: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Root mean squared error inside the mask, in the series' units."""
    return float(np.sqrt(np.square(predicted[:, mask] - truth[:, mask]).mean()))


def ssim(predicted: np.ndarray, truth: np.ndarray, data_range: float) -> float:
    """Structural similarity (Wang 2004: Gaussian window, sigma 1.5), mean over times and slices."""
    pairs = zip(predicted.reshape(-1, *predicted.shape[-2:]), truth.reshape(-1, *truth.shape[-2:]), strict=True)
    return float(np.mean([_ssim(a, b, data_range) for a, b in pairs]))


def consecutive_ssim(series: np.ndarray, data_range: float) -> float:
    """cSSIM of MRI CEKWorld: mean similarity of neighbouring frames. Read it against the truth's, not against 1."""
    return ssim(series[:-1], series[1:], data_range)


def body(pre: np.ndarray) -> np.ndarray:
    """Everything brighter than 5 % of the brightest percentile, with holes filled slice by slice."""
    mask = pre > 0.05 * np.percentile(pre, 99)
    return np.stack([ndimage.binary_fill_holes(plane) for plane in mask])


def _ssim(a: np.ndarray, b: np.ndarray, data_range: float) -> float:
    return structural_similarity(
        a, b, data_range=data_range, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
