"""Another draw of kinetics: the same pre-contrast image to the last bit, other enhancement."""

from __future__ import annotations

import numpy as np
import pytest

from CEKWorldLib.exam.protocol import ANATOMIES
from CEKWorldLib.simulation.breast_tissues import BACKGROUND, _grades_given
from CEKWorldLib.simulation.case import Case, simulate
from CEKWorldLib.simulation.redraw import draw_kinetic, patient_rng

SHOWN = ("t1_s", "proton_density", "t2star_s", "fat")


def drawn(anatomy, kinetics: int, seed: int = 3) -> Case:
    return simulate(anatomy, seed, "test", shape=(1, 64, 64), kinetics=kinetics)


@pytest.mark.parametrize("anatomy", ANATOMIES)
def test_redrawn_kinetics_leave_every_pre_contrast_pixel_as_it_is(anatomy):
    own, other = drawn(anatomy, 0), drawn(anatomy, 1)
    np.testing.assert_array_equal(own.pre.voxels, other.pre.voxels)
    np.testing.assert_array_equal(own.labels, other.labels)
    for name in SHOWN:
        np.testing.assert_array_equal(own.maps[name], other.maps[name])
    assert own.acquisition == other.acquisition and own.injection == other.injection


@pytest.mark.parametrize("anatomy", ANATOMIES)
def test_redrawn_kinetics_enhance_otherwise_and_each_number_in_its_own_way(anatomy):
    frames = [drawn(anatomy, n).enhancement(120.0) for n in (0, 1, 2, 1)]
    assert np.abs(frames[0] - frames[1]).max() > 1.0 < np.abs(frames[1] - frames[2]).max()
    np.testing.assert_array_equal(frames[1], frames[3])


def test_the_true_patient_is_one_of_the_redrawn_ones_as_far_as_statistics_can_tell():
    """The mean of redraws is nearer to the truth than single redraws are, by the factor means are: 1/2 the variance."""
    of_means, of_singles = [], []
    for seed in range(2):
        truth = drawn("abdomen", 0, seed).enhancement(70.0)
        redraws = [drawn("abdomen", n, seed).enhancement(70.0) for n in range(1, 5)]
        of_means.append(np.square(np.mean(redraws, axis=0) - truth).mean())
        of_singles.append(np.mean([np.square(r - truth).mean() for r in redraws]))
    # (1 + 1/4) s^2 against 2 s^2 where all draws are alike.
    assert 0.4 < np.mean(of_means) / np.mean(of_singles) < 0.8


def test_the_stream_moves_on_alike_whether_or_not_it_is_redrawn():
    streams = [patient_rng(np.random.SeedSequence(5), n) for n in (0, 1)]
    normals = [draw_kinetic(rng, lambda stream: stream.standard_normal(4)) for rng in streams]
    assert not np.allclose(*normals)
    assert streams[0].uniform() == streams[1].uniform()


def test_a_longer_gland_t1_speaks_for_more_background_enhancement():
    short, long = (float(_grades_given(t1) @ list(BACKGROUND.values())) for t1 in (0.93, 1.07))
    assert short < long
