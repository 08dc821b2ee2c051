"""Latent Difference Learning against the formula written out; zero where it must be; what each mode feels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from CEKWorldLib.training.difference import (
    chord_deviation,
    interpolated,
    latent_difference,
    official_difference,
    physiological_bend,
    virtual_times,
)

ARRIVAL = torch.tensor([20.0])


def noise(times: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, times, 4, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def seconds(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


@pytest.mark.parametrize("points", [1, 2, 4])
def test_virtual_times_lie_in_every_gap(points):
    times = torch.tensor([[10.0, 30.0, 90.0], [0.0, 100.0, 400.0]])
    virtual = virtual_times(times, torch.Generator().manual_seed(3), points)
    assert virtual.shape == (2, 2 * points)
    for row in range(2):
        gaps = torch.searchsorted(times[row], virtual[row])
        assert gaps.bincount(minlength=3).tolist() == [0, points, points]


def test_interpolation_meets_the_acquired_latents_and_is_linear_between():
    times, latents = seconds(10, 30, 90), noise(3)
    torch.testing.assert_close(interpolated(latents, times, times), latents)
    middle = interpolated(latents, times, seconds(20, 75))
    torch.testing.assert_close(middle[:, 0], (latents[:, 0] + latents[:, 1]) / 2)
    torch.testing.assert_close(middle[:, 1], 0.25 * latents[:, 1] + 0.75 * latents[:, 2])


def test_official_difference_equals_the_formula_written_out():
    times, output = seconds(0, 1.5, 2, 6, 11), noise(5)
    f, t, terms = output[0].numpy(), times[0].numpy(), []
    for k in range(1, 4):
        h0, h1 = t[k] - t[k - 1], t[k + 1] - t[k]
        second = 2 * (f[k - 1] / (h0 * (h0 + h1)) - f[k] / (h0 * h1) + f[k + 1] / (h1 * (h0 + h1)))
        terms.append(np.abs(second / (1 + h0 + h1)))
    assert official_difference(output, times).item() == pytest.approx(np.mean(terms), rel=1e-9)


def test_official_difference_is_next_to_nothing_at_breast_spacing():
    output = noise(5)
    dense, breast = seconds(0, 1, 2, 3, 4), seconds(0, 116, 232, 348, 464)
    assert official_difference(output, dense) > 0.4
    assert official_difference(output, breast) < 1e-5


def test_chord_deviation_has_no_unit_of_time():
    values, times = noise(5), seconds(0, 1.5, 2, 6, 11)
    torch.testing.assert_close(chord_deviation(values, times), chord_deviation(values, 60 * times))


def test_a_line_from_arrival_on_costs_nothing_at_either_end():
    times = seconds(25, 40, 100, 130, 300)
    ramp = (times - 20.0).view(1, 5, 1, 1, 1).expand(1, 5, 4, 8, 8)
    assert latent_difference(ramp, times, ARRIVAL).item() == pytest.approx(0, abs=1e-9)


def test_tissue_curves_cost_nothing_and_flicker_does():
    times = torch.linspace(25, 400, 12, dtype=torch.float64)[None]
    tissue = ((1 - torch.exp(-(times - 20) / 60)) * torch.exp(-(times - 20) / 900)).view(1, 12, 1, 1, 1)
    tissue = tissue.expand(1, 12, 4, 8, 8)
    flicker = tissue + 0.2 * torch.tensor([1.0, -1.0] * 6).view(1, 12, 1, 1, 1)
    assert latent_difference(tissue, times, ARRIVAL) < 1e-3 < 1e-2 < latent_difference(flicker, times, ARRIVAL)


def test_the_last_time_is_held_too():
    times = seconds(40, 60, 80, 100)
    flat = torch.ones(1, 4, 4, 8, 8, dtype=torch.float64)
    jump = flat.clone()
    jump[:, -1] = 2.0
    assert latent_difference(jump, times, ARRIVAL) > latent_difference(flat, times, ARRIVAL) + 0.02


def test_only_the_fix_sees_a_curve_that_jumps_at_arrival():
    times = seconds(22, 24, 26, 28)  # sooner than any tissue fills
    falling = (3.4 - times / 100).view(1, 4, 1, 1, 1).expand(1, 4, 4, 8, 8)
    assert latent_difference(falling, times, ARRIVAL, ends=False).item() == pytest.approx(0, abs=1e-9)
    assert latent_difference(falling, times, ARRIVAL, ends=True) > 0.01


def test_the_order_of_the_times_does_not_matter():
    times, latents = seconds(25, 40, 100, 130), noise(4)
    order = [2, 0, 3, 1]
    expected = latent_difference(latents, times, ARRIVAL)
    torch.testing.assert_close(latent_difference(latents[:, order], times[:, order], ARRIVAL), expected)


def test_gradients_are_right():
    latents = noise(4).requires_grad_(True)
    times = seconds(25, 40, 100, 130)
    # The amplitude that physiology is measured against carries no gradient, so the check is of the chord alone.
    torch.autograd.gradcheck(lambda x: chord_deviation(x, times).abs().mean(), (latents,), fast_mode=True)
    latent_difference(latents, times, ARRIVAL).backward()
    assert torch.isfinite(latents.grad).all() and latents.grad.abs().sum() > 0


def test_physiology_bends_most_in_the_first_pass():
    early, late = (
        physiological_bend(torch.tensor([[0.0, 15.0, 40.0]])),
        physiological_bend(torch.tensor([[300.0, 315.0, 340.0]])),
    )
    assert early.item() > 0.2 > 0.01 > late.item()
