"""Regions of interest: which voxels make the curve, what the others add, and what several samples say of it."""

from __future__ import annotations

import numpy as np
import pytest

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.kinetics.curve_type import TYPES, CurveType, InitialPhase
from CEKWorldLib.kinetics.noise import background_noise
from CEKWorldLib.kinetics.roi import roi_curves, with_uncertainty
from CEKWorldLib.kinetics.selection import hottest_window, worst_cluster
from CEKWorldLib.kinetics.settings import Settings
from CEKWorldLib.kinetics.statistics import curve_statistics
from CEKWorldLib.kinetics.uncertainty import curve_uncertainty, map_uncertainty

TIMES = np.array([-40.0, -20.0, 0.0, 30.0, 60.0, 90.0, 150.0, 210.0, 270.0, 330.0])
LATE = {CurveType.PERSISTENT: 1.5, CurveType.PLATEAU: 1.0, CurveType.WASHOUT: 0.5}


def curve(kind: CurveType, enhancement: float = 1.2, baseline: float = 300.0) -> np.ndarray:
    """A curve of one type whose enhancement at 90 s is known."""
    shape = np.interp(TIMES, [0.0, 90.0, 330.0], [0.0, 1.0, LATE[kind]])
    return baseline * (1 + enhancement * shape)


@pytest.fixture
def frames() -> np.ndarray:
    """Three slices of plateau at 120 %, with a line of five washout voxels and one block of hotter plateau."""
    volume = np.tile(curve(CurveType.PLATEAU)[:, None, None, None], (1, 3, 12, 12))
    volume[:, 1, 2, 2:7] = curve(CurveType.WASHOUT, 1.0)[:, None]
    volume[:, 2, 6:9, 6:9] = curve(CurveType.PLATEAU, 2.0)[:, None, None]
    volume[:, 0, 0, 0] = curve(CurveType.PERSISTENT, 0.3)
    return volume


@pytest.fixture
def whole() -> np.ndarray:
    return np.ones((3, 12, 12), np.uint8)


def test_the_mean_is_that_of_all_voxels(frames, whole):
    (result,) = roi_curves(frames, TIMES, {"lesion": whole}, voxel_mm3=2.5)
    np.testing.assert_allclose(result.signal, frames.mean(axis=(1, 2, 3)))
    assert (result.voxels, result.curve_voxels, result.volume_mm3) == (432, 432, 1080.0)
    assert (result.initial_phase, result.curve_type) == (InitialPhase.FAST, CurveType.PLATEAU)
    np.testing.assert_allclose(result.enhancement, 100 * (result.signal / 300 - 1), atol=1e-9)


def test_the_hottest_window_is_the_3x3_of_highest_initial_enhancement(frames, whole):
    (result,) = roi_curves(frames, TIMES, {"lesion": whole}, mode="hottest")
    chosen = result.positions[result.in_curve]
    assert chosen.min(axis=0).tolist() == [2, 6, 6] and chosen.max(axis=0).tolist() == [2, 8, 8] and len(chosen) == 9
    assert float(result.statistics.percent_enhancement) == pytest.approx(200.0)
    assert result.voxels == 432


def test_of_equal_windows_the_first_is_taken_and_it_lies_in_the_acquired_plane():
    enhancement = np.full((5, 5, 5), 1e3 / 3)
    for axis, expected in ((0, (1, 3, 3)), (2, (3, 3, 1))):
        window = hottest_window(enhancement, np.ones((5, 5, 5), bool), axis)
        assert np.argwhere(window).min(axis=0).tolist() == [0, 0, 0]
        assert tuple(np.ptp(np.argwhere(window), axis=0) + 1) == expected


def test_the_worst_curve_is_that_of_connected_washout(frames, whole):
    (result,) = roi_curves(frames, TIMES, {"lesion": whole}, mode="worst")
    assert result.positions[result.in_curve].tolist() == [[1, 2, i] for i in range(2, 7)]
    assert result.curve_type == CurveType.WASHOUT


@pytest.mark.parametrize("seed", range(5))
def test_windows_and_clusters_are_those_that_a_plain_search_finds(seed):
    rng = np.random.default_rng(seed)
    shape = (3, 9, 8)
    enhancement, inside = rng.uniform(-20, 200, shape), rng.uniform(size=shape) < 0.93
    windows = {
        (k, j, i): enhancement[k, j : j + 3, i : i + 3].mean()
        for k, j, i in np.ndindex(3, 7, 6)
        if inside[k, j : j + 3, i : i + 3].all()
    }
    k, j, i = max(windows, key=windows.__getitem__)
    expected = np.zeros(shape, bool)
    expected[k, j : j + 3, i : i + 3] = True
    np.testing.assert_array_equal(hottest_window(enhancement, inside), expected)

    types = rng.choice(len(CurveType), shape, p=[0.5, 0.2, 0.1, 0.2])
    clusters = [c for c in grown(types) if len(c) >= 3]
    worst = max(types[c[0]] for c in clusters)
    sizes = [len(c) for c in clusters if types[c[0]] == worst]
    found = worst_cluster(types)
    assert set(types[found]) == {worst} and np.count_nonzero(found) == max(sizes)
    assert sorted(map(tuple, np.argwhere(found))) in [sorted(c) for c in clusters]


def grown(types: np.ndarray) -> list[list[tuple[int, ...]]]:
    """Clusters of one type that touch by faces, each grown voxel by voxel."""
    left = set(zip(*np.nonzero(types), strict=True))
    clusters = []
    while left:
        cluster = [left.pop()]
        for voxel in cluster:
            steps = [tuple(np.add(voxel, step)) for axis in np.eye(3, dtype=int) for step in (axis, -axis)]
            near = [n for n in steps if n in left and types[n] == types[voxel]]
            cluster += near
            left -= set(near)
        clusters.append(cluster)
    return clusters


def test_fewer_than_three_connected_voxels_are_no_cluster():
    types = np.zeros((1, 6, 6), int)
    types[0, 0, :2] = types[0, 2, 2] = types[0, 3, 3] = types[0, 4, 4] = CurveType.WASHOUT
    assert worst_cluster(types) is None
    types[0, 1, 5] = types[0, 2, 5] = types[0, 3, 5] = CurveType.PERSISTENT
    assert np.count_nonzero(worst_cluster(types)) == 3


def test_volume_shares_count_enhancing_voxels_and_the_worst_type_is_any(frames, whole):
    (result,) = roi_curves(frames, TIMES, {"lesion": whole})
    assert result.enhancing_voxels == 431  # the persistent voxel enhances by 30 % and lies below the gate
    assert result.type_shares[CurveType.WASHOUT] == pytest.approx(100 * 5 / 431)
    assert sum(result.type_shares.values()) == pytest.approx(100.0)
    assert (result.predominant_type, result.worst_type) == (CurveType.PLATEAU, CurveType.WASHOUT)
    (low,) = roi_curves(frames, TIMES, {"lesion": whole}, Settings(gate_percent=20.0))
    assert low.enhancing_voxels == 432


def test_a_region_that_does_not_enhance_has_no_types(frames, whole):
    flat = np.repeat(frames[:1], len(TIMES), axis=0)
    (result,) = roi_curves(flat, TIMES, {"fat": whole})
    assert set(result.type_shares) == set(TYPES) and not any(result.type_shares.values())
    assert result.predominant_type == result.worst_type == CurveType.NONE
    assert "weak enhancement" in result.notes


@pytest.mark.parametrize("mode", ["hottest", "worst"])
def test_a_region_without_such_voxels_falls_back_to_its_mean_and_says_so(frames, mode):
    mask = np.zeros((3, 12, 12), bool)
    mask[0, 5, 4:6] = True
    (result,) = roi_curves(frames, TIMES, {"tiny": mask}, mode=mode)
    assert result.curve_voxels == 2
    assert any("mean of all voxels" in note for note in result.notes)
    assert any("only 2 voxels" in note for note in result.notes)


def test_each_voxel_keeps_its_place_and_its_own_statistics(frames, whole):
    whole[:, :, :2] = 0
    (result,) = roi_curves(frames, TIMES, {"lesion": whole})
    expected = curve_statistics(frames, TIMES)
    at = tuple(result.positions.T)
    np.testing.assert_allclose(result.voxel_statistics.percent_enhancement, expected.percent_enhancement[at])
    np.testing.assert_array_equal(result.voxel_statistics.curve_type, expected.curve_type[at])


def test_several_regions_are_compared_with_a_reference_tissue(frames):
    hot, plain = np.zeros((3, 12, 12)), np.zeros((3, 12, 12))
    hot[2, 6:9, 6:9] = plain[0, 5:9, 5:9] = 1
    lesion, muscle = roi_curves(frames, TIMES, {"lesion": hot, "muscle": plain}, mode="hottest", reference="muscle")
    assert lesion.relative_enhancement == pytest.approx(200 / 120)
    assert (muscle.relative_enhancement, muscle.mode, muscle.curve_voxels) == (1.0, "mean", 16)
    flat = np.where(plain != 0, frames[0], frames)
    lesion, muscle = roi_curves(flat, TIMES, {"lesion": hot, "muscle": plain}, reference="muscle")
    assert np.isnan(lesion.relative_enhancement)
    with pytest.raises(CEKWorldError, match=r"no region fat.*lesion, muscle"):
        roi_curves(frames, TIMES, {"lesion": hot, "muscle": plain}, reference="fat")


def test_voxels_with_nan_are_left_out_and_counted(frames, whole):
    frames[4, 0, :2] = np.nan
    (result,) = roi_curves(frames, TIMES, {"lesion": whole})
    assert result.nan_voxels == 24 and result.curve_voxels == 408 and len(result.positions) == 408
    assert np.isfinite(result.signal).all()
    assert any("24 voxels without a number" in note for note in result.notes)


def test_an_empty_a_foreign_and_a_nan_region_give_a_sentence_and_no_curve(frames, whole):
    for mask in (np.zeros_like(whole), np.ones((3, 12, 11))):
        with pytest.raises(CEKWorldError, match="region lesion"):
            roi_curves(frames, TIMES, {"lesion": mask})
    frames[2] = np.nan
    with pytest.raises(CEKWorldError, match="region lesion"):
        roi_curves(frames, TIMES, {"lesion": whole})


def test_a_very_high_signal_is_said_not_to_be_proportional(whole):
    frames = np.tile(curve(CurveType.PLATEAU, 3.6)[:, None, None, None], (1, 3, 12, 12))
    (result,) = roi_curves(frames, TIMES, {"vessel": whole})
    assert any("not proportional" in note for note in result.notes)


def test_times_in_disorder_give_the_curve_in_order(frames, whole):
    order = np.random.default_rng(0).permutation(len(TIMES))
    (result,) = roi_curves(frames[order], TIMES[order], {"lesion": whole})
    np.testing.assert_array_equal(result.times_s, TIMES)
    np.testing.assert_allclose(result.signal, frames.mean(axis=(1, 2, 3)))


def test_noise_is_measured_in_the_air_and_not_where_the_air_is_blank():
    rng = np.random.default_rng(5)
    k, j, i = np.mgrid[:4, :96, :96]
    body = 800.0 * (((i - 48) / 30) ** 2 + ((j - 48) / 28) ** 2 < 1)
    magnitude = np.abs(body + rng.normal(0, 12, body.shape) + 1j * rng.normal(0, 12, body.shape)).astype(np.float32)
    assert background_noise(magnitude) == pytest.approx(12, rel=0.05)
    assert background_noise(body.astype(np.float32)) is None
    assert background_noise(magnitude[:, 40:56, 40:56]) is None


# Several samples.


def test_a_curves_band_and_the_shares_of_its_types_come_from_the_samples():
    rng = np.random.default_rng(6)
    clean = curve(CurveType.PLATEAU)
    samples = clean + rng.normal(0, 20, (4000, len(TIMES)))
    result = curve_uncertainty(samples, TIMES)
    assert result.samples == 4000
    np.testing.assert_allclose(result.enhancement_mean, 100 * (clean / 300 - 1), atol=0.7)
    # sd of 100 S / S0 with S0 the mean of three samples, to first order.
    expected = 100 * 20 / 300 * np.sqrt(1 + (clean[3:] / 300) ** 2 / 3)
    np.testing.assert_allclose(result.enhancement_sd[3:], expected, rtol=0.06)
    # D of the signal: sd(S_l - S_e) / S_e, of S_e = S_l = 660.
    assert result.sd["delayed_change"] == pytest.approx(100 * 20 * np.sqrt(2) / 660, rel=0.05)
    assert sum(result.type_shares.values()) == pytest.approx(100.0)
    # The band's 10 % are 2.3 of these standard deviations: about one sample in a hundred lies beyond either bound.
    assert 0.3 < result.type_shares[CurveType.WASHOUT] < 2 and result.type_shares[CurveType.PLATEAU] > 96


def test_samples_of_one_kind_leave_no_doubt():
    result = curve_uncertainty(np.tile(curve(CurveType.WASHOUT), (3, 1)), TIMES)
    assert result.type_shares[CurveType.WASHOUT] == 100.0
    assert result.sd["ser"] == pytest.approx(0.0) and not result.enhancement_sd.any()


def test_regions_take_the_same_voxels_in_every_sample(frames, whole):
    rng = np.random.default_rng(7)
    samples = [frames + rng.normal(0, 9, frames.shape) for _ in range(5)]
    results = roi_curves(frames, TIMES, {"lesion": whole}, mode="hottest")
    (result,) = with_uncertainty(results, iter(samples), TIMES)
    expected = np.array([sample[:, 2, 6:9, 6:9].mean(axis=(1, 2)) for sample in samples])
    assert result.uncertainty.enhancement_mean == pytest.approx(
        np.mean(100 * (expected / expected[:, :3].mean(axis=1, keepdims=True) - 1), axis=0)
    )


def test_maps_of_mean_spread_and_shares_skip_what_is_not_defined(frames):
    rng = np.random.default_rng(8)
    samples = [(frames + rng.normal(0, 9, frames.shape)).astype(np.float32) for _ in range(6)]
    samples[2][:, 0, 3, 3] = np.nan
    for sample in samples:
        sample[:, 0, 4, 4] = 0
    result = map_uncertainty(iter(samples), TIMES, names=("percent_enhancement", "ser"))
    each = np.stack([curve_statistics(sample, TIMES).percent_enhancement for sample in samples])
    with np.errstate(invalid="ignore"), pytest.warns(RuntimeWarning):
        expected_mean, expected_sd = np.nanmean(each, axis=0), np.nanstd(each, axis=0, ddof=1)
    np.testing.assert_allclose(result.mean["percent_enhancement"], expected_mean, rtol=1e-4)
    np.testing.assert_allclose(result.sd["percent_enhancement"], expected_sd, rtol=1e-2)
    np.testing.assert_allclose(sum(result.type_shares.values()), 100.0, rtol=1e-5)
    assert result.type_shares[CurveType.NONE][0, 4, 4] == 100.0


def test_one_sample_has_no_spread(frames):
    with pytest.raises(CEKWorldError, match="at least 2 samples"):
        map_uncertainty([frames], TIMES)
    with pytest.raises(CEKWorldError, match="at least 2 samples"):
        curve_uncertainty(curve(CurveType.PLATEAU)[None], TIMES)
    with pytest.raises(ValueError, match="no quantities"):
        map_uncertainty([frames, frames], TIMES, names=("ktrans",))
