"""Curve statistics: the formulas on curves whose answer is known by hand, and every edge case that has a rule."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.protocol import Acquisition
from CEKWorldLib.kinetics.curve_type import CurveType, InitialPhase
from CEKWorldLib.kinetics.quantities import QUANTITIES
from CEKWorldLib.kinetics.settings import Settings
from CEKWorldLib.kinetics.statistics import curve_statistics
from CEKWorldLib.simulation.spgr import spgr_signal

TIMES = np.array([-60.0, -30.0, 0.0, 30.0, 60.0, 90.0, 120.0, 180.0, 240.0, 300.0, 360.0])
# Percent enhancement of a curve that rises from 0 s to a peak of 150 % at 120 s and washes out to 110 %.
SHAPE = np.array([0.0, 0.0, 0.0, 40.0, 80.0, 120.0, 150.0, 140.0, 130.0, 120.0, 110.0])


def signal(enhancement, baseline: float = 200.0) -> np.ndarray:
    return baseline * (1 + np.asarray(enhancement, float) / 100)


def early_and_late(early: float, late: float) -> np.ndarray:
    """A signal at TIMES with a given enhancement at t_e = 90 s and at t_l = 360 s, straight between."""
    return signal(np.interp(TIMES, [0.0, 90.0, 360.0], [0.0, early, late]))


def test_every_quantity_of_a_curve_that_can_be_measured_by_hand():
    numbers = curve_statistics(signal(SHAPE), TIMES).numbers()
    expected = {
        "percent_enhancement": 120.0,
        "delayed_enhancement": 110.0,
        "peak_enhancement": 150.0,
        "delayed_change": 100 * (210 - 220) / 220,
        "ser": 120 / 110,
        "arrival_s": 0.0,
        "ttp_s": 120.0,
        "ttp_from_arrival_s": 120.0,
        "wash_in": 120 / 90,
        "max_slope": 40 / 30,
        "wash_out": -10.0,  # 10 % per 60 s, on a line
        "iauc60": 40 * 60,
        "iauc90": 40 * 60 + 100 * 30,
        "iauc180": 40 * 60 + 100 * 30 + 135 * 30 + 145 * 60,
    }
    assert numbers == pytest.approx(expected)


@pytest.mark.parametrize(
    ("early", "phase"),
    [(49.9, InitialPhase.SLOW), (50.0, InitialPhase.MEDIUM), (100.0, InitialPhase.MEDIUM), (100.1, InitialPhase.FAST)],
)
def test_the_initial_phase_is_slow_below_50_and_fast_above_100_percent(early, phase):
    assert curve_statistics(early_and_late(early, early), TIMES).type_of()[0] == phase


@pytest.mark.parametrize("early", [50.0, 100.0, 200.0])
def test_the_band_of_signal_and_of_enhancement_relate_as_algebra_says(early):
    # D_sig = D_enh PE_e / (100 + PE_e): 10 % of signal are 30, 20 and 15 % of an enhancement of 50, 100 and 200 %.
    late = early + 0.1 * (100 + early)
    by_signal = curve_statistics(early_and_late(early, late), TIMES)
    by_enhancement = curve_statistics(early_and_late(early, late), TIMES, Settings(definition="enhancement"))
    assert float(by_signal.delayed_change) == pytest.approx(10.0)
    assert float(by_enhancement.delayed_change) == pytest.approx({50.0: 30.0, 100.0: 20.0, 200.0: 15.0}[early])
    assert by_signal.type_of()[1] == CurveType.PLATEAU
    assert by_enhancement.type_of()[1] == CurveType.PERSISTENT
    assert float(by_signal.ser) == pytest.approx({50.0: 0.769, 100.0: 0.833, 200.0: 0.870}[early], abs=1e-3)


def test_the_reference_may_be_the_peak_of_the_initial_phase():
    at_t_e = curve_statistics(signal(SHAPE), TIMES)
    at_peak = curve_statistics(signal(SHAPE), TIMES, Settings(reference="peak"))
    assert at_t_e.type_of()[1] == CurveType.PLATEAU
    assert at_peak.type_of()[1] == CurveType.WASHOUT
    assert float(at_peak.delayed_change) == pytest.approx(100 * (210 - 250) / 250)
    until_90 = curve_statistics(signal(SHAPE), TIMES, Settings(reference="peak", peak_within_s=90))
    assert float(until_90.delayed_change) == pytest.approx(float(at_t_e.delayed_change))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("baseline", [0.7, 3.0, 173.0, 4095.0])
@pytest.mark.parametrize("change", [-10.0, 10.0])
def test_a_change_of_exactly_ten_percent_is_a_plateau(kind, baseline, change):
    late = 100 * (2 * (1 + change / 100) - 1)
    curve = signal(np.interp(TIMES, [0.0, 90.0, 360.0], [0.0, 100.0, late]), baseline).astype(kind)
    statistics = curve_statistics(curve, TIMES)
    assert float(statistics.delayed_change) == pytest.approx(change, abs=1e-3)
    assert statistics.type_of()[1] == CurveType.PLATEAU


@pytest.mark.parametrize(("change", "kind"), [(-10.2, CurveType.WASHOUT), (10.2, CurveType.PERSISTENT)])
def test_a_change_beyond_ten_percent_is_none(change, kind):
    assert curve_statistics(early_and_late(100, 2 * (100 + change) - 100), TIMES).type_of()[1] == kind


# The table of edge cases, row by row.


@pytest.mark.parametrize(
    ("curve", "definitions"),
    [
        (signal(SHAPE, 0.0), Settings()),
        (-signal(SHAPE), Settings()),
        (np.where(TIMES == 180, np.nan, signal(SHAPE)), Settings()),
        (np.where(TIMES < 0, np.nan, signal(SHAPE)), Settings()),
        (signal(SHAPE), Settings(noise_sd=67.0)),
    ],
    ids=["S0 zero", "S0 negative", "NaN after contrast", "NaN before contrast", "S0 below three sigma"],
)
def test_a_curve_without_a_usable_baseline_is_not_evaluable(curve, definitions):
    statistics = curve_statistics(curve, TIMES, definitions)
    assert statistics.type_of() == (InitialPhase.NONE, CurveType.NONE)
    assert np.isnan(list(statistics.numbers().values())).all()


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=len(TIMES), max_size=len(TIMES)),
    st.sampled_from([np.float32, np.float64]),
)
@example([1e-39] * 3 + [1.0] * 8, np.float32)
@example([1.0] * 3 + [1.0 + 1e-7] * 2 + [2.0] * 6, np.float64)
@example([1.0] * 3 + [1e-30] * 3 + [2.0] * 5, np.float32)
def test_no_signal_whatever_gives_an_infinite_statistic(values, kind):
    with np.errstate(all="ignore"):
        numbers = curve_statistics(np.array(values, kind), TIMES).numbers()
        assert not np.isinf(list(numbers.values())).any()
        by_enhancement = curve_statistics(np.array(values, kind), TIMES, Settings(definition="enhancement"))
    assert not np.isinf(by_enhancement.delayed_change)


def test_a_single_baseline_finds_arrival_by_the_slope_and_says_so():
    few = TIMES[2:]
    statistics = curve_statistics(signal([0, 2, 60, 120, 150, 140, 130, 120, 110]), few)
    assert any("single baseline" in note for note in statistics.notes)
    assert float(statistics.arrival_s) == 30.0  # the rise is steepest from 60 to 90 s, but under way since 30 s


def test_a_series_that_begins_after_contrast_says_which_sample_is_taken_for_the_baseline():
    late = curve_statistics(signal(SHAPE[3:]), TIMES[3:])
    assert "no sample before contrast: the first, at 30 s, is taken for S0" in late.notes
    assert float(late.baseline) == 280.0 and float(late.percent_enhancement) == pytest.approx(100 * (440 / 280 - 1))
    assert not any("S0" in note for note in curve_statistics(signal(SHAPE[2:]), TIMES[2:]).notes)


def test_areas_begin_at_a_known_arrival_also_where_the_first_sample_is_later():
    # From no enhancement at 20 s to 90 % at 110 s on a line: 60 % after 60 s.
    numbers = curve_statistics(signal([0, 90, 90, 90]), np.array([30.0, 110.0, 200.0, 300.0]), Settings(arrival_s=20.0))
    assert float(numbers.iauc60) == pytest.approx(60 * 60 / 2)
    assert float(numbers.iauc90) == pytest.approx(90 * 90 / 2)


def test_a_single_baseline_takes_the_noise_of_the_background_where_that_is_known():
    few, curve = TIMES[2:], signal([0, 2, 60, 120, 150, 140, 130, 120, 110])
    # Three times 50 of 200 are 75 %, which the curve passes between 60 and 90 s.
    assert float(curve_statistics(curve, few, Settings(noise_sd=50.0)).arrival_s) == 60.0


def test_with_two_baselines_their_noise_decides_what_is_a_rise():
    curve = signal(SHAPE)
    quiet, noisy = curve.copy(), curve.copy()
    noisy[:3] += [-40.0, 0.0, 40.0]  # sd 40 of 200: a rise counts from 60 % on
    assert float(curve_statistics(quiet, TIMES).arrival_s) == 0.0
    assert float(curve_statistics(noisy, TIMES).arrival_s) == 30.0


def test_one_outlier_is_no_arrival():
    curve = signal([0, 0, 0, 30, 0, 0, 0, 0, 0, 0, 0])
    assert np.isnan(curve_statistics(curve, TIMES).arrival_s)


@pytest.mark.parametrize(("early", "late"), [(49.0, 30.0), (8.0, 20.0)])
def test_weak_enhancement_keeps_its_type_for_a_region_and_loses_it_in_a_map(early, late):
    statistics = curve_statistics(early_and_late(early, late), TIMES)
    assert bool(statistics.weak)
    assert statistics.type_of()[1] in (CurveType.WASHOUT, CurveType.PERSISTENT)
    assert int(statistics.gated_type) == CurveType.NONE


def test_enhancement_within_three_sd_of_the_noise_is_weak_above_the_gate_too():
    curve = early_and_late(60, 60)
    assert not curve_statistics(curve, TIMES).weak
    curve[:3] += [-50.0, 0.0, 50.0]
    assert curve_statistics(curve, TIMES).weak


def test_the_ratio_is_not_defined_where_the_delayed_enhancement_is_next_to_nothing():
    assert np.isnan(curve_statistics(early_and_late(80, 4.9), TIMES).ser)
    assert np.isnan(curve_statistics(early_and_late(80, -4.9), TIMES).ser)
    assert float(curve_statistics(early_and_late(80, 5.1), TIMES).ser) == pytest.approx(80 / 5.1)


def test_a_dip_below_the_baseline_at_t_e_is_not_evaluable():
    statistics = curve_statistics(early_and_late(-14, 60), TIMES)
    assert statistics.type_of() == (InitialPhase.NONE, CurveType.NONE)
    assert float(statistics.percent_enhancement) == pytest.approx(-14)


def test_without_a_sample_near_t_e_close_neighbours_are_interpolated():
    times = np.array([0.0, 20.0, 50.0, 125.0, 300.0])
    statistics = curve_statistics(signal([0, 0, 50, 125, 125]), times)
    assert statistics.t_e_s == 90.0
    assert float(statistics.percent_enhancement) == pytest.approx(90.0)
    assert any("interpolated" in note for note in statistics.notes)


def test_without_close_neighbours_the_nearest_sample_is_taken_and_its_time_named():
    times = np.array([0.0, 25.0, 160.0, 300.0])
    statistics = curve_statistics(signal([0, 25, 160, 160]), times)
    assert statistics.t_e_s == 25.0
    assert float(statistics.percent_enhancement) == pytest.approx(25.0)
    assert "no sample near 90 s: t_e = 25 s" in statistics.notes


def test_a_last_sample_before_240_s_makes_the_class_provisional():
    statistics = curve_statistics(signal([0, 100, 110, 150]), np.array([0.0, 90.0, 150.0, 200.0]))
    assert statistics.type_of()[1] == CurveType.PERSISTENT
    assert statistics.t_l_s == 200.0
    assert "provisional: t_l = 200 s, earlier than 240 s" in statistics.notes


def test_the_delayed_sample_is_the_last_within_the_range_or_the_one_nearest_to_a_wish():
    times = np.array([0.0, 90.0, 250.0, 350.0, 470.0, 600.0])
    curve = signal([0, 100, 100, 100, 100, 100])
    assert curve_statistics(curve, times).t_l_s == 470.0
    assert curve_statistics(curve, times, Settings(t_l_s=360.0)).t_l_s == 350.0
    late_only = curve_statistics(curve[[0, 1, 5]], times[[0, 1, 5]])
    assert late_only.t_l_s == 600.0 and "later than 480 s" in late_only.notes[-1]


def test_without_a_sample_after_t_e_there_is_no_delayed_phase():
    statistics = curve_statistics(signal([0, 0, 100]), np.array([-30.0, 0.0, 90.0]))
    assert statistics.type_of() == (InitialPhase.MEDIUM, CurveType.NONE)
    assert np.isnan(statistics.ser) and np.isnan(statistics.wash_out)
    assert any("no delayed phase" in note for note in statistics.notes)


def test_times_may_come_in_any_order_and_twice():
    shuffled = np.random.default_rng(0).permutation(len(TIMES))
    expected = curve_statistics(signal(SHAPE), TIMES).numbers()
    assert curve_statistics(signal(SHAPE)[shuffled], TIMES[shuffled]).numbers() == pytest.approx(expected)
    twice = np.repeat(TIMES, 2)
    curve = np.repeat(signal(SHAPE), 2) + np.tile([5.0, -5.0], len(TIMES))
    assert curve_statistics(curve, twice).numbers() == pytest.approx(expected)


def test_samples_before_the_injection_are_the_baseline():
    curve = signal(SHAPE)
    curve[:3] = [190.0, 200.0, 210.0]
    assert float(curve_statistics(curve, TIMES).baseline) == 200.0
    known = curve_statistics(curve, TIMES, Settings(arrival_s=35.0))
    assert float(known.baseline) == pytest.approx((190 + 200 + 210 + 280) / 4)
    assert float(known.arrival_s) == 35.0


@pytest.mark.parametrize("times", [[0.0, 90.0], [0.0, 0.0, 90.0, 90.0], [0.0, 90.0, np.nan], [-3.0, -2.0, -1.0]])
def test_too_few_or_impossible_times_are_refused(times):
    with pytest.raises(CEKWorldError, match=r"time|phase"):
        curve_statistics(np.ones(len(times)), np.array(times))


def test_as_many_samples_as_times_are_needed():
    with pytest.raises(ValueError, match="11 times"):
        curve_statistics(np.ones(10), TIMES)


def test_the_signal_equation_saturates_as_its_table_says_and_the_settings_know_where():
    acquisition = Acquisition(repetition_time_ms=5.0, flip_angle_deg=12.0)
    signals = spgr_signal(1000.0, 1.3, np.array([0.0, 0.1, 0.5, 2.0, 5.0]), acquisition, 4.5)
    curves = np.where(TIMES[:, None] > 0, signals[None, :], signals[0])
    enhancement = curve_statistics(curves, TIMES).peak_enhancement
    np.testing.assert_allclose(enhancement, [0, 46, 174, 364, 467], rtol=0.03, atol=0.5)
    # Ten times the concentration of 0.5 mM is less than three times the enhancement: nothing is linear there.
    assert (enhancement > Settings().linear_percent).tolist() == [False, False, False, True, True]


@settings(deadline=None, max_examples=20)
@given(st.floats(1e-3, 1e3))
def test_one_scale_for_all_times_changes_no_statistic(scale):
    expected = curve_statistics(signal(SHAPE), TIMES).numbers()
    assert curve_statistics(signal(SHAPE) * scale, TIMES).numbers() == pytest.approx(expected)


def test_a_scale_of_its_own_for_each_time_destroys_the_enhancement():
    curve = signal(SHAPE)
    normalised = curve_statistics(curve / curve, TIMES)
    assert float(normalised.percent_enhancement) == 0.0 and float(normalised.peak_enhancement) == 0.0


# What holds for any curve.


def test_many_curves_give_the_same_as_each_alone_in_any_trailing_shape():
    rng = np.random.default_rng(3)
    curves = signal(SHAPE)[:, None, None] * rng.uniform(0.5, 1.5, (len(TIMES), 4, 5))
    curves[2, 1, 1] = np.nan
    together = curve_statistics(curves, TIMES)
    for j, i in np.ndindex(4, 5):
        alone = curve_statistics(curves[:, j, i], TIMES)
        for name in (*QUANTITIES, "curve_type", "initial_phase", "weak"):
            np.testing.assert_allclose(getattr(together, name)[j, i], getattr(alone, name), rtol=1e-9, err_msg=name)


def test_single_precision_is_kept_and_close_to_double():
    rng = np.random.default_rng(4)
    curves = signal(SHAPE)[:, None] * rng.uniform(0.8, 1.2, (len(TIMES), 500))
    double, single = curve_statistics(curves, TIMES), curve_statistics(curves.astype(np.float32), TIMES)
    for name in QUANTITIES:
        assert getattr(single, name).dtype == np.float32
        np.testing.assert_allclose(getattr(single, name), getattr(double, name), rtol=2e-3, atol=2e-3, err_msg=name)


def test_contrast_counts_from_the_injection_when_the_last_baseline_lies_long_before_it():
    times = np.array([-60.0, 60.0, 120.0, 300.0])
    statistics = curve_statistics(signal([0, 60, 120, 120]), times)
    assert float(statistics.arrival_s) == 0.0
    assert float(statistics.iauc60) == pytest.approx(30 * 60)
    assert float(statistics.wash_in) == pytest.approx(120 / 120)


def test_an_area_that_the_samples_do_not_cover_is_not_defined():
    statistics = curve_statistics(signal([0, 0, 80, 90, 95]), np.array([-30.0, 0.0, 40.0, 80.0, 120.0]))
    assert float(statistics.iauc60) == pytest.approx(40 * 40 + 20 * 82.5)
    assert np.isnan(statistics.iauc180)


def test_settings_survive_json_and_name_themselves():
    chosen = Settings(definition="enhancement", reference="peak", t_l_s=300.0, arrival_s=21.0)
    assert Settings.from_dict(json.loads(json.dumps(chosen.as_dict()))) == chosen
    line = chosen.description()
    assert "\n" not in line and "±10 % of the enhancement" in line and "peak" in line
    with pytest.raises(ValueError, match="definition"):
        Settings(definition="Signal")


def test_a_spike_before_the_bolus_arrives_is_no_peak():
    times = [-20.0, -10.0, 0.0, 10.0, 20.0, 30.0, 90.0, 300.0]
    result = curve_statistics(np.array([100.0, 101.0, 99.0, 160.0, 100.0, 140.0, 150.0, 145.0]), np.array(times))
    assert (result.arrival_s, result.ttp_s, result.ttp_from_arrival_s) == (20.0, 90.0, 70.0)
    assert result.peak_enhancement == pytest.approx(50.0)


def test_the_ratio_is_not_defined_for_a_delayed_phase_below_the_baseline():
    result = curve_statistics(np.array([100.0, 200.0, 80.0]), np.array([0.0, 90.0, 300.0]))
    assert np.isnan(result.ser)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_bounds_of_50_and_100_percent_do_not_depend_on_rounding(kind):
    baseline = np.arange(2, 3001, 2)
    for percent in (50, 100):
        samples = np.stack([baseline, baseline * (100 + percent) // 100, baseline * 2]).astype(kind)
        result = curve_statistics(samples, np.array([0.0, 90.0, 300.0]))
        assert (result.initial_phase == InitialPhase.MEDIUM).all() and not result.weak.any()
