"""Interpolation in time against scipy, and what it must never do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from CEKWorldLib.synthesis.interpolation import TimeBase

ARRIVAL = 20.0
SECONDS = np.arange(0.0, 121.0, 0.5)
steps = st.floats(0.5, 60.0)
values = st.integers(-2000, 4000).map(lambda thousandths: thousandths / 1000)


def read(base: TimeBase, nodes: torch.Tensor, seconds) -> np.ndarray:
    return base.evaluate(torch.stack([nodes, base.slopes(nodes)], 1), seconds).numpy()


@given(st.lists(st.tuples(steps, values), min_size=1, max_size=12))
@settings(max_examples=150, deadline=None)
def test_is_scipys_pchip_of_a_curve_that_is_flat_before_arrival(curve):
    times = ARRIVAL + np.cumsum([step for step, _ in curve])
    nodes = np.array([value for _, value in curve])
    base = TimeBase.of(ARRIVAL, (0.0, *times))
    before = ARRIVAL - curve[0][0]
    truth = PchipInterpolator([before, ARRIVAL, *times], [0.0, 0.0, *nodes])
    seconds = np.linspace(ARRIVAL, times[-1], 97)
    np.testing.assert_allclose(read(base, torch.tensor(nodes), seconds), truth(seconds), atol=1e-9)


@given(st.lists(st.tuples(steps, values), min_size=1, max_size=12))
@settings(max_examples=100, deadline=None)
def test_never_leaves_the_range_of_the_two_key_values_around_a_time(curve):
    times = ARRIVAL + np.cumsum([step for step, _ in curve])
    nodes = np.array([value for _, value in curve])
    base = TimeBase.of(ARRIVAL, tuple(times))
    ends, levels = [ARRIVAL, *times], [0.0, *nodes]
    for n in range(len(times)):
        between = read(base, torch.tensor(nodes), np.linspace(ends[n], ends[n + 1], 23))
        assert between.min() >= min(levels[n : n + 2]) - 1e-9
        assert between.max() <= max(levels[n : n + 2]) + 1e-9


def test_a_natural_spline_would_overshoot_where_this_does_not():
    base = TimeBase.of(10.0, (12.0, 14.0, 60.0, 300.0))
    read_back = read(base, torch.tensor([0.0, 1.0, 1.0, 0.9]), np.arange(10.0, 300.0))
    assert read_back.max() <= 1.0


def test_meets_the_key_values_and_is_zero_up_to_arrival():
    base = TimeBase.of(ARRIVAL, (0.0, 10.0, 20.0, 25.0, 40.0, 120.0))
    assert base.nodes_s == (25.0, 40.0, 120.0)
    nodes = torch.tensor([0.5, 1.5, 1.0], dtype=torch.float64)
    np.testing.assert_allclose(read(base, nodes, base.nodes_s), nodes.numpy(), atol=1e-12)
    assert not read(base, nodes, [-5.0, 0.0, 19.9, 20.0]).any()


def test_holds_the_last_value_after_the_last_key_time():
    base = TimeBase.of(ARRIVAL, (25.0, 40.0))
    assert read(base, torch.tensor([0.5, 1.5]), [41.0, 500.0]) == pytest.approx([1.5, 1.5])


def test_there_is_no_enhancement_without_a_key_time_after_arrival():
    base = TimeBase.of(ARRIVAL, (0.0, 20.0))
    assert len(base) == 0
    assert base.weights(100.0) is None


def test_is_smooth_where_the_bolus_arrives():
    base = TimeBase.of(ARRIVAL, (24.0, 30.0, 60.0))
    curve = read(base, torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64), ARRIVAL + np.array([0.0, 1e-4]))
    assert abs(curve[1] - curve[0]) / 1e-4 < 1e-3


def test_half_precision_costs_less_than_a_thousandth():
    base = TimeBase.of(ARRIVAL, (23.5, 26.5, 30.0, 61.0, 110.0))
    nodes = torch.tensor([0.1, 0.7, 1.3, 1.1, 1.0])
    pairs = torch.stack([nodes, base.slopes(nodes)], 1)
    rounded = base.evaluate(pairs.half().float(), SECONDS[:180])
    assert (rounded - base.evaluate(pairs, SECONDS[:180])).abs().max() < 1e-3


def test_images_are_interpolated_voxel_by_voxel():
    rng = np.random.default_rng(1)
    base = TimeBase.of(ARRIVAL, (25.0, 40.0, 80.0))
    nodes = torch.from_numpy(rng.standard_normal((3, 4, 5)))
    image = read(base, nodes, SECONDS)
    assert image.shape == (len(SECONDS), 4, 5)
    np.testing.assert_allclose(image[:, 2, 3], read(base, nodes[:, 2, 3], SECONDS), atol=1e-12)
