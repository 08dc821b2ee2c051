"""Latent Alignment Learning (LAL): the frames of a slice share their second-order statistics.

MRI CEKWorld (CVPR 2026) asks the latents of one patient and slice to keep one structure while contrast comes and goes.
Per time point t the covariance of the centred latent is shrunk,

    S_t = (1 - gamma) Cov_t + gamma I + epsilon I,

mapped to the flat space of log-Cholesky vectors z_t (strict lower triangle of chol(S_t), log of its diagonal), and
pulled to the template, the mean of z_t over the times.

Of what the covariance is taken the paper's text and the authors' code disagree, so both are here. ``channel`` is the
code: 4x4 over positions. It holds ten numbers a frame and no place: a frame whose pixels are shuffled has the same.
``region`` is the text, "spatial co-occurrence": 64 regions of an 8x8 pooled map, over the channels of the latent
unfolded 2x2.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Axis = Literal["channel", "region"]
SHRINKAGE = 1e-3
_RIDGE = 1e-6
_REGIONS = 8  # a side


def latent_alignment(latents: Tensor, axis: Axis = "channel", gamma: float = SHRINKAGE) -> Tensor:
    """Mean squared distance of the log-Cholesky vectors from their template, over all slices.

    As in the authors' code the distance is a mean over matrix entries, upper triangle included, plus a mean over the
    diagonal, so their weight of 6 carries over.

    Args:
        latents: clean latents (N, T, C, h, w), N slices at T times, near unit variance.
        axis: what the covariance is taken of.
        gamma: shrinkage towards the identity.

    Returns:
        Scalar; exactly zero for T = 1.
    """
    lower, log_diagonal = log_cholesky(covariance(latents, axis), gamma)
    return sum(
        ((z - z.mean(1, keepdim=True)).square().mean() for z in (lower, log_diagonal)), start=latents.new_zeros(())
    )


def excess_alignment(latents: Tensor, truth: Tensor, axis: Axis = "channel", gamma: float = SHRINKAGE) -> Tensor:
    """``latent_alignment`` above what the true latents have.

    Contrast changes second-order statistics: pulled all the way to the template, a model would enhance less.

    Args:
        latents: (N, T, C, h, w), as the model predicts them.
        truth: the same of the acquired frames.
    """
    floor = latent_alignment(truth.detach(), axis, gamma)
    return functional.relu(latent_alignment(latents, axis, gamma) - floor)


def covariance(latents: Tensor, axis: Axis) -> Tensor:
    """Covariance per slice and time, (N, T, d, d) float32 or wider: d = C channels, or 64 regions."""
    wide = latents if latents.dtype == torch.float64 else latents.float()
    with torch.autocast(latents.device.type, enabled=False):  # Cholesky knows no half precision
        return _covariance(wide, axis)


def _covariance(wide: Tensor, axis: Axis) -> Tensor:
    if axis == "channel":
        features = wide.flatten(3)
    else:
        unfolded = functional.pixel_unshuffle(wide.flatten(0, 1), 2)
        pooled = functional.adaptive_avg_pool2d(unfolded, _REGIONS)
        features = pooled.flatten(2).transpose(1, 2).unflatten(0, wide.shape[:2])
    centred = features - features.mean(-1, keepdim=True)
    return centred @ centred.transpose(-1, -2) / (features.shape[-1] - 1)


def log_cholesky(matrices: Tensor, gamma: float = SHRINKAGE) -> tuple[Tensor, Tensor]:
    """Strict lower triangle (..., d, d) and log diagonal (..., d) of the Cholesky factor of shrunk covariances.

    Shrinkage keeps rank-deficient covariances positive and their condition number, which the backward pass divides
    by, below the largest eigenvalue over gamma.
    """
    identity = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
    shrunk = (1 - gamma) * matrices + (gamma + _RIDGE) * identity
    factor, _ = torch.linalg.cholesky_ex((shrunk + shrunk.transpose(-1, -2)) / 2)
    return factor.tril(-1), factor.diagonal(dim1=-2, dim2=-1).log()
