"""Protocol draws: ranges of real exams, and a corner of TR and flip angle kept from training."""

import dcmri
import numpy as np
import pytest

from CEKWorldLib.exam.protocol import ANATOMIES
from CEKWorldLib.simulation.protocol import RELAXIVITY, acquired_times, draw_protocol
from CEKWorldLib.simulation.splits import SPLITS, is_held_out_protocol

DRAWS = 500


def draws(split, anatomy="breast"):
    rng = np.random.default_rng(0)
    return [draw_protocol(rng, anatomy, split) for _ in range(DRAWS)]


@pytest.mark.parametrize("split", SPLITS)
def test_draws_stay_within_the_ranges_of_practice(split):
    for acquisition, injection, _, duration in draws(split):
        assert acquisition.field_strength_t in (1.5, 3.0)
        assert 3.5 <= acquisition.repetition_time_ms <= 8.0
        assert 8.0 <= acquisition.flip_angle_deg <= 25.0
        assert 1.0 <= acquisition.echo_time_ms <= min(4.0, acquisition.repetition_time_ms - 1.5)
        assert 10.0 <= injection.arrival_s <= 40.0
        assert 0.08 <= injection.dose_mmol_per_kg <= 0.12
        assert 0.75 <= injection.cardiac_output <= 1.4
        assert 5.0 <= duration <= 20.0


@pytest.mark.parametrize("split", SPLITS)
def test_the_held_out_corner_of_tr_and_flip_angle_belongs_to_its_split_alone(split):
    inside = {is_held_out_protocol(a.repetition_time_ms, a.flip_angle_deg) for a, *_ in draws(split)}
    assert inside == {split == "unseen_protocol"}


@pytest.mark.parametrize(("anatomy", "share"), [("breast", 0.6), ("abdomen", 0.8), ("brain", 0.2)])
def test_fat_saturation_is_as_common_as_in_each_anatomy(anatomy, share):
    saturated = np.mean([a.fat_saturated for a, *_ in draws("train", anatomy)])
    assert saturated == pytest.approx(share, abs=0.08)


@pytest.mark.parametrize("agent", RELAXIVITY)
def test_relaxivity_agrees_with_dcmri(agent):
    name = {"gadobenate": "gadobenade"}.get(agent, agent)  # dcmri's spelling
    for field, relaxivity in zip((1.5, 3.0), RELAXIVITY[agent], strict=True):
        assert 1e-3 * dcmri.relaxivity(field, "plasma", name) == pytest.approx(relaxivity, rel=0.01)


def test_relaxivity_belongs_to_the_field_strength():
    for acquisition, injection, *_ in draws("train"):
        column = (1.5, 3.0).index(acquisition.field_strength_t)
        assert injection.relaxivity in {values[column] for values in RELAXIVITY.values()}


@pytest.mark.parametrize("anatomy", ANATOMIES)
def test_acquired_times_ascend_after_the_bolus(anatomy):
    rng = np.random.default_rng(3)
    for _ in range(100):
        times = acquired_times(rng, anatomy, arrival_s=20.0)
        assert times.ndim == 1 and len(times) >= 1
        assert np.all(np.diff(times) > 0)
        assert times[0] >= 0.0 and times[-1] < 1000.0


def test_breast_exams_have_the_phases_and_spacing_of_the_public_collections():
    """Over all 2,104 exams: mostly 3 to 7 post-contrast phases, about 100 s apart, the last near 480 s."""
    rng = np.random.default_rng(4)
    exams = [acquired_times(rng, "breast") for _ in range(400)]
    assert {len(times) for times in exams} == {2, 3, 4, 5, 6, 7}
    assert np.median([np.diff(times).mean() for times in exams]) == pytest.approx(100.0, abs=12.0)
    assert np.median([times[-1] for times in exams]) == pytest.approx(480.0, abs=80.0)


def test_abdominal_exams_are_arterial_portal_and_late():
    times = acquired_times(np.random.default_rng(5), "abdomen", arrival_s=25.0)
    assert 35.0 <= times[0] <= 45.0 and 60.0 <= times[1] <= 80.0 and times[2] >= 150.0
