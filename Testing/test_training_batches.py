"""Batches of training: drawn by seed and step, moved, cut and weighed alike in image and truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from disc_bank import batch_of, disc_bank

from CEKWorldLib.training.acquisition_times import training_times
from CEKWorldLib.training.bank import Bank
from CEKWorldLib.training.batches import moved, pixel_weight, toned
from CEKWorldLib.training.stages import draw_corners


@pytest.fixture(scope="module")
def bank(tmp_path_factory) -> Bank:
    return disc_bank(tmp_path_factory.mktemp("bank"))


def test_a_batch_is_a_function_of_seed_and_step(bank):
    torch.testing.assert_close(batch_of(bank, 7).stack, batch_of(bank, 7).stack)
    assert not torch.equal(batch_of(bank, 7).times_s, batch_of(bank, 8).times_s)


@pytest.mark.parametrize("side", [64, 256])
def test_a_batch_has_sorted_times_and_fitting_shapes(bank, side):
    batch = batch_of(bank, size=side)
    assert batch.stack.shape == batch.enhancement.shape == batch.weight.shape == (2, 3, side, side)
    assert batch.labels.shape == (2, side, side)
    assert (batch.times_s.diff(dim=1) > 0).all()


def test_moving_a_patient_moves_image_and_labels_alike():
    labels = torch.zeros(64, 64, dtype=torch.uint8)
    labels[20:40, 10:50] = 7
    images, tissue = moved(labels[None].float(), labels, np.random.default_rng(1))
    assert not torch.equal(tissue, labels)
    assert ((images[0] > 3.5) == (tissue == 7)).float().mean() > 0.99


def test_other_greys_keep_the_order_of_the_tissues():
    stack = torch.linspace(0.0, 1.5, 20).expand(3, 1, 20)
    changed = toned(stack, np.random.default_rng(1))
    assert not torch.allclose(changed, stack) and (changed.diff(dim=-1) > 0).all()


def test_windows_lie_in_the_slice_and_every_second_one_around_contrast(bank):
    batch = batch_of(bank, slices=3, size=256)
    weight = torch.ones_like(batch.weight)
    weight[..., 200:204, 100:104] = 7.0  # one pixel of the latent grid: row 50, column 25
    batch, met, draws = replace(batch, weight=weight), 0, 40
    for seed in range(draws):
        corners = draw_corners(batch, 16, torch.Generator().manual_seed(seed))
        assert (corners >= 0).all() and (corners <= 64 - 16).all()
        met += int(((corners <= torch.tensor([50, 25])) & (torch.tensor([50, 25]) < corners + 16)).all(1).sum())
    assert 0.4 < met / (3 * draws) < 0.75


def test_cutting_a_batch_cuts_all_its_images_alike(bank):
    batch = batch_of(bank, size=256)
    part = batch.cut(torch.tensor([[8, 16], [100, 0]]), 32)
    torch.testing.assert_close(part.stack[1], batch.stack[1, :, 100:132, :32])
    torch.testing.assert_close(part.enhancement[0], batch.enhancement[0, :, 8:40, 16:48])
    assert torch.equal(part.labels[0], batch.labels[0, 8:40, 16:48]) and part.weight.shape == (2, 3, 32, 32)
    assert torch.equal(part.times_s, batch.times_s)


def test_training_times_cover_the_first_minute_densely_and_reach_the_end():
    times = np.concatenate([training_times(np.random.default_rng(n), 20.0) for n in range(40)]) - 20.0
    assert 0.4 < (times < 60).mean() < 0.6 and times.min() < 0 and times.max() > 550


def test_lesions_and_enhancement_weigh_more_than_dark_tissue():
    weight = pixel_weight(torch.tensor([0.0, 0.5, 3.0, 0.0]), torch.tensor([0.0, 0.0, 0.0, 1.0]))
    assert weight.tolist() == [1.0, 4.0, 7.0, 5.0]
