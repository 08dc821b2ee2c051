"""Latent Alignment Learning against the formula written out, and what each reading of it can and cannot see."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from CEKWorldLib.training.alignment import covariance, excess_alignment, latent_alignment, log_cholesky


def latents(slices: int = 2, times: int = 3, side: int = 16, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(slices, times, 4, side, side, dtype=dtype, generator=torch.Generator().manual_seed(0))


def written_out(x: np.ndarray, gamma: float = 1e-3, epsilon: float = 1e-6) -> float:
    """LAL of (T, C, h, w) as the paper and the code have it, one frame after the other."""
    lows, diagonals = [], []
    for frame in x:
        features = frame.reshape(len(frame), -1)
        shrunk = (1 - gamma) * np.cov(features) + gamma * np.eye(len(frame)) + epsilon * np.eye(len(frame))
        factor = np.linalg.cholesky(shrunk)
        lows.append(np.tril(factor, -1))
        diagonals.append(np.log(np.diag(factor)))
    return float(sum(np.square(np.array(z) - np.mean(z, 0)).mean() for z in (lows, diagonals)))


def test_equals_the_formula_written_out():
    x = latents()
    expected = np.mean([written_out(frames) for frames in x.numpy()])
    assert latent_alignment(x).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("axis", ["channel", "region"])
def test_is_zero_for_one_time_and_for_equal_frames(axis):
    x = latents()
    assert latent_alignment(x[:, :1], axis) == 0
    assert latent_alignment(x[:, :1].expand(-1, 4, -1, -1, -1), axis).item() == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize("axis", ["channel", "region"])
def test_a_constant_added_to_a_channel_or_another_order_of_times_changes_nothing(axis):
    x = latents()
    moved = x + torch.arange(4.0).view(1, 1, 4, 1, 1) if axis == "channel" else x + 3.0
    assert latent_alignment(moved, axis).item() == pytest.approx(latent_alignment(x, axis).item(), rel=1e-9)
    assert latent_alignment(x[:, [2, 0, 1]], axis).item() == pytest.approx(latent_alignment(x, axis).item(), rel=1e-9)


def test_only_the_region_reading_sees_misplaced_organs():
    x = latents(1, 1)
    shuffled = x.flatten(3)[..., torch.randperm(256, generator=torch.Generator().manual_seed(1))].view_as(x)
    pair = torch.cat([x, shuffled], 1)
    assert latent_alignment(pair, "channel").item() == pytest.approx(0, abs=1e-20)
    assert latent_alignment(pair, "region") > 1e-4


def test_rank_deficient_covariances_have_a_finite_gradient():
    x = torch.ones(1, 2, 4, 8, 8) * torch.tensor([1.0, 2.0]).view(1, 2, 1, 1, 1)
    x.requires_grad_(True)
    for axis in ("channel", "region"):
        latent_alignment(x, axis).backward()
    assert torch.isfinite(x.grad).all()
    factor, diagonal = log_cholesky(covariance(x, "region"))
    assert torch.isfinite(factor).all() and torch.isfinite(diagonal).all()


@pytest.mark.parametrize("axis", ["channel", "region"])
def test_gradients_are_right(axis):
    x = latents(1, 3, 16 if axis == "region" else 4).requires_grad_(True)
    # A thousand numbers: the derivative along random directions instead of one by one.
    torch.autograd.gradcheck(lambda z: latent_alignment(z, axis), (x,), fast_mode=True)


def test_the_truth_itself_is_not_punished():
    truth = latents()
    assert latent_alignment(truth) > 0 and excess_alignment(truth, truth) == 0
    rough = truth * torch.tensor([1.0, 3.0, 0.3]).view(1, 3, 1, 1, 1)
    assert excess_alignment(rough, truth) > 0
