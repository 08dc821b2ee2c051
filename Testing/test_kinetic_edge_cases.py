"""Every edge case of curve kinetics has a rule, and every rule tests: which ones."""

from __future__ import annotations

from importlib import import_module

import pytest

STATISTICS, REGIONS, MAPS = "test_kinetic_statistics", "test_kinetic_regions", "test_kinetic_maps"
# In the order in which docs/kinetics.md states the rules.
RULES = {
    "S0 not positive, NaN, or within three standard deviations of the noise: not evaluable, never infinite": (
        (STATISTICS, "test_a_curve_without_a_usable_baseline_is_not_evaluable"),
        (STATISTICS, "test_no_signal_whatever_gives_an_infinite_statistic"),
        (MAPS, "test_air_is_blank_and_no_map_holds_an_infinity"),
    ),
    "one baseline sample: arrival by the slope or the background's noise, and a note": (
        (STATISTICS, "test_a_single_baseline_finds_arrival_by_the_slope_and_says_so"),
        (STATISTICS, "test_a_single_baseline_takes_the_noise_of_the_background_where_that_is_known"),
    ),
    "PE(t_e) below 50 % or three standard deviations: no type in maps, a flag in regions": (
        (STATISTICS, "test_weak_enhancement_keeps_its_type_for_a_region_and_loses_it_in_a_map"),
        (STATISTICS, "test_enhancement_within_three_sd_of_the_noise_is_weak_above_the_gate_too"),
        (MAPS, "test_types_are_given_only_above_the_gate"),
        (REGIONS, "test_a_region_that_does_not_enhance_has_no_types"),
    ),
    "S_l - S0 next to nothing: no SER": (
        (STATISTICS, "test_the_ratio_is_not_defined_where_the_delayed_enhancement_is_next_to_nothing"),
    ),
    "PE(t_e) negative: not evaluable": (
        (STATISTICS, "test_a_dip_below_the_baseline_at_t_e_is_not_evaluable"),
        ("test_kinetic_reference", "test_the_dip_of_the_real_lesion_before_its_rise_is_no_arrival"),
    ),
    "no sample in 60 to 120 s: interpolated across 90 s, else the nearest with its time": (
        (STATISTICS, "test_without_a_sample_near_t_e_close_neighbours_are_interpolated"),
        (STATISTICS, "test_without_close_neighbours_the_nearest_sample_is_taken_and_its_time_named"),
    ),
    "last sample before 240 s: provisional": (
        (STATISTICS, "test_a_last_sample_before_240_s_makes_the_class_provisional"),
    ),
    "exactly 10 %: plateau": (
        (STATISTICS, "test_a_change_of_exactly_ten_percent_is_a_plateau"),
        (STATISTICS, "test_a_change_beyond_ten_percent_is_none"),
    ),
    "times in disorder or twice, before the injection, fewer than three": (
        (STATISTICS, "test_times_may_come_in_any_order_and_twice"),
        (STATISTICS, "test_samples_before_the_injection_are_the_baseline"),
        (STATISTICS, "test_too_few_or_impossible_times_are_refused"),
        (MAPS, "test_phases_of_one_time_are_averaged_integers_too"),
    ),
    "region without voxels, of another grid, with NaN": (
        (REGIONS, "test_an_empty_a_foreign_and_a_nan_region_give_a_sentence_and_no_curve"),
        (REGIONS, "test_voxels_with_nan_are_left_out_and_counted"),
    ),
    "very high signal: said not to be proportional": (
        (STATISTICS, "test_the_signal_equation_saturates_as_its_table_says_and_the_settings_know_where"),
        (REGIONS, "test_a_very_high_signal_is_said_not_to_be_proportional"),
    ),
    "intensity changed by resampling or scaling: one scale for all times": (
        (STATISTICS, "test_one_scale_for_all_times_changes_no_statistic"),
        (STATISTICS, "test_a_scale_of_its_own_for_each_time_destroys_the_enhancement"),
        ("test_series_robust", "test_a_signal_scale_that_differs_from_phase_to_phase_becomes_one"),
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_its_tests(rule):
    assert [name for module, name in RULES[rule] if not callable(getattr(import_module(module), name, None))] == []
