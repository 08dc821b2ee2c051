"""The error in which every tissue counts the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from CEKWorldLib.simulation.labels import Label
from CEKWorldLib.training.batches import UNKNOWN_TISSUE
from CEKWorldLib.training.tissue_balance import TissueBalance

FLOOR = 0.01


def scene() -> tuple[torch.Tensor, torch.Tensor]:
    """Two slices of fat and liver, the first with a lesion of 16 pixels; the truth at two times."""
    labels = torch.full((2, 32, 32), int(Label.FAT))
    labels[:, 16:] = Label.LIVER
    labels[0, 4:8, 4:8] = Label.LESION
    level = torch.zeros(int(Label.LESION) + 1)
    level[Label.LIVER], level[Label.LESION] = 0.5, 1.2
    truth = level[labels][:, None, None] * torch.tensor([0.3, 1.0])[None, :, None, None, None]
    return truth, labels


def relative_square(prediction: torch.Tensor, truth: torch.Tensor, labels: torch.Tensor) -> float:
    return float(TissueBalance(labels, truth.shape[-1]).square(prediction, truth, FLOOR))


def by_loops(prediction: np.ndarray, truth: np.ndarray, labels: np.ndarray) -> float:
    """The formula, tissue by tissue."""
    total = weight = 0.0
    for p, t, tissue in zip(prediction, truth, labels, strict=True):
        for code in set(tissue.ravel()) - {UNKNOWN_TISSUE}:
            here = tissue == code
            error, nothing = ((p - t) ** 2).mean((0, 1))[here].sum(), (t**2).mean((0, 1))[here].sum()
            vote = min(here.sum() / 8, 1) * (8 if code == Label.LESION else 1)
            total += vote * error / (nothing + FLOOR * here.sum())
            weight += vote
    return total / weight


def test_it_is_the_mean_over_the_tissues_of_each_slice():
    truth, labels = scene()
    labels[1, 0, :3] = Label.ARTERY
    labels[1, 20:, 5] = UNKNOWN_TISSUE
    prediction = truth + 0.2 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    expected = by_loops(prediction.numpy(), truth.numpy(), labels.numpy())
    assert relative_square(prediction, truth, labels) == pytest.approx(expected, rel=1e-5)


def test_the_truth_costs_nothing_and_no_enhancement_nearly_one_where_there_is_some():
    truth, labels = scene()
    assert relative_square(truth, truth, labels) == 0.0
    lesion = torch.where(labels == Label.LESION, labels, UNKNOWN_TISSUE)
    assert 0.95 < relative_square(torch.zeros_like(truth), truth, lesion) < 1.0


def test_a_lesion_costs_the_same_whatever_its_share_of_the_slice():
    truth, labels = scene()
    missed = truth.clone()
    missed[:, :, :, 4:8, 4:8] = 0.0
    small = relative_square(missed[:1], truth[:1], labels[:1])
    alone = relative_square(missed[:1, ..., :12, :12], truth[:1, ..., :12, :12], labels[:1, :12, :12])
    assert float(small) == pytest.approx(float(alone) * 9 / 10, rel=1e-4)  # liver has left: 8 of 9 votes, not 8 of 10


def test_labels_may_be_finer_than_the_pixels():
    truth, labels = scene()
    fine = labels.repeat_interleave(4, 1).repeat_interleave(4, 2)
    prediction = 0.5 * truth
    assert relative_square(prediction, truth, fine) == relative_square(prediction, truth, labels)


def test_telling_tissues_apart_is_judged_for_each_of_them_alike():
    _, labels = scene()
    chances = torch.full((2, 101, 32, 32), 1e-6)
    chances[:, [Label.FAT, Label.LIVER, Label.LESION]] = torch.tensor([0.7, 0.2, 0.1])[:, None, None]
    fat, liver, lesion = -np.log([0.7, 0.2, 0.1])
    expected = (2 * fat + 2 * liver + 8 * lesion) / (2 + 2 + 8)
    assert float(TissueBalance(labels, 32).cross_entropy(chances.log())) == pytest.approx(expected, rel=1e-3)


def test_without_labels_it_is_zero():
    truth, labels = scene()
    unknown = torch.full_like(labels, UNKNOWN_TISSUE)
    assert relative_square(0.5 * truth, truth, unknown) == 0.0
    assert float(TissueBalance(unknown, 32).cross_entropy(torch.randn(2, 101, 32, 32))) == 0.0
