"""The concentration table against the exact recursion, and its time budget."""

from __future__ import annotations

import time

import numpy as np
import pytest

from CEKWorldLib.exam.protocol import Injection
from CEKWorldLib.simulation.aif import AIFS, arterial_plasma, portal_plasma
from CEKWorldLib.simulation.enhancement import (
    CAPILLARY_TRANSIT_S,
    STEP_S,
    TISSUE_VP,
    VESSEL_VP,
    ConcentrationTable,
)
from CEKWorldLib.simulation.kinetics import exponential_convolution

INJECTION = Injection(arrival_s=18.3, cardiac_output=1.3)


def draw_maps(shape: tuple[int, ...], seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    maps = {
        "vp": rng.choice([0.0, 0.1, 0.3, 0.58], shape),
        "ktrans": rng.uniform(0, 1.0, shape),
        "kep": np.exp(rng.uniform(np.log(0.02), np.log(10), shape)),
        "portal": rng.choice([0.0, 0.3, 0.8], shape),
        "delay_s": rng.uniform(0, 15, shape),
    }
    return {name: values.astype(np.float32) for name, values in maps.items()}


def exact(maps: dict[str, np.ndarray], aif: str, duration_s: float, times: np.ndarray) -> np.ndarray:
    """Every voxel's curve, (T, N), by the recursion on a grid three times as fine as the table's."""
    vp, ktrans, kep, portal, delay = (maps[k].astype(float) for k in ("vp", "ktrans", "kep", "portal", "delay_s"))
    grid = INJECTION.arrival_s + STEP_S / 3 * np.arange(4500)
    ca = arterial_plasma(aif, grid, INJECTION, duration_s=duration_s)
    arterial, late = (exponential_convolution(c, kep / 60, grid) for c in (ca, portal_plasma(grid, ca)))
    capillary = exponential_convolution(ca, np.array([1 / CAPILLARY_TRANSIT_S]), grid) / CAPILLARY_TRANSIT_S
    vessel = np.clip((vp - TISSUE_VP) / (VESSEL_VP - TISSUE_VP), 0, 1)
    curves = vp * (vessel * ca[:, None] + (1 - vessel) * capillary) + ktrans / 60 * (
        (1 - portal) * arterial + portal * late
    )
    return np.stack([np.interp(times - d, grid, c, left=0) for d, c in zip(delay, curves.T, strict=True)], axis=1)


@pytest.mark.parametrize("duration_s", [0, 5])
@pytest.mark.parametrize("aif", AIFS)
def test_any_voxel_at_any_time_is_within_half_a_percent_of_the_recursion(aif, duration_s):
    maps = draw_maps((60,))
    table = ConcentrationTable.for_injection(aif, INJECTION, duration_s, end_s=600)
    times = np.concatenate([np.linspace(0, 90, 400) + 0.013, np.linspace(90, 600, 60)])
    ours = np.stack([table.concentration(maps, t) for t in times])
    expected = exact(maps, aif, duration_s, times)
    off = np.abs(ours - expected) / expected.max(axis=0)
    since_arrival = times[:, None] - INJECTION.arrival_s - maps["delay_s"]
    # Parker's formula sets in with a jump of 1.3 % of its peak, which one step of the table turns into a ramp.
    onset = (since_arrival > 0) & (since_arrival < STEP_S)
    assert off[~onset].max() <= 0.005
    assert off[onset].max() <= (0.013 if duration_s == 0 else 0.005)


def test_nothing_before_arrival_and_each_voxel_waits_for_its_delay():
    maps = draw_maps((3, 20, 30))
    table = ConcentrationTable.for_injection("parker", INJECTION)
    for t in (-100, 0, INJECTION.arrival_s):
        assert not table.concentration(maps, t).any()
    at = table.concentration(maps, INJECTION.arrival_s + 7)
    assert at.shape == (3, 20, 30)
    assert at.dtype == np.float32
    assert not at[maps["delay_s"] > 7.01].any()
    assert (at[maps["delay_s"] < 4] > 0).all()


def test_voxels_without_perfusion_stay_empty_and_leave_the_rest_as_it_is():
    maps = draw_maps((20, 30))
    table = ConcentrationTable.for_injection("orton", INJECTION)
    full = table.concentration(maps, 77.7)
    air = np.random.default_rng(5).random((20, 30)) < 0.5
    maps["vp"][air] = maps["ktrans"][air] = 0
    part = table.concentration(maps, 77.7)
    assert not part[air].any()
    np.testing.assert_array_equal(part[~air], full[~air])


def test_vessel_is_plasma_and_liver_peaks_after_spleen():
    maps = {
        "vp": np.array([1.0, 0.0, 0.0]),
        "ktrans": np.array([0.0, 1.2, 1.2]),
        "kep": np.array([0.2, 4.0, 4.0]),
        "portal": np.array([0.0, 0.0, 0.8]),
        "delay_s": np.zeros(3),
    }
    table = ConcentrationTable.for_injection("parker", Injection(arrival_s=20))
    times = np.arange(0, 300, 0.5)
    curves = np.stack([table.concentration(maps, t) for t in times])
    plasma = arterial_plasma("parker", times, Injection(arrival_s=20))
    np.testing.assert_allclose(curves[:, 0], plasma, atol=0.003 * plasma.max())
    assert times[curves[:, 2].argmax()] > times[curves[:, 1].argmax()] + 8


def test_concentration_is_continuous_in_time():
    maps = draw_maps((500,), seed=4)
    table = ConcentrationTable.for_injection("georgiou", INJECTION)
    peak = np.max([table.concentration(maps, t) for t in np.arange(15, 120, 0.5)], axis=0)
    for t in np.random.default_rng(1).uniform(15, 120, 100):
        assert (np.abs(table.concentration(maps, t + 1e-3) - table.concentration(maps, t)) <= 2e-3 * peak).all()


def test_a_time_past_the_table_is_refused():
    table = ConcentrationTable.for_injection("parker", INJECTION, end_s=300)
    table.concentration(draw_maps((5,)), 300.0)
    with pytest.raises(ValueError, match="ends at"):
        table.concentration(draw_maps((5,)), 302.0)


def test_uneven_times_are_refused():
    with pytest.raises(ValueError, match="evenly"):
        ConcentrationTable.build([0, 1, 3], np.zeros(3), np.zeros(3))


def test_a_slice_takes_milliseconds():
    maps = draw_maps((256, 256))
    table = ConcentrationTable.for_injection("parker", INJECTION)
    table.concentration(maps, 60.0)
    seconds = []
    for t in np.linspace(25, 300, 12):
        begin = time.thread_time()
        table.concentration(maps, t)
        seconds.append(time.thread_time() - begin)
    assert min(seconds) <= 0.008
