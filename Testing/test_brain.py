"""The simulated head: what must be in it, what must enhance and what must not."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from CEKWorldLib.exam.protocol import Acquisition, Injection
from CEKWorldLib.simulation.brain import FAMILIES, BrainSubject, draw_brain
from CEKWorldLib.simulation.brain_geometry import fold_distance
from CEKWorldLib.simulation.brain_lesions import LESION_FAMILIES, draw_lesion, mass_effect
from CEKWorldLib.simulation.canvas import Canvas
from CEKWorldLib.simulation.enhancement import ConcentrationTable
from CEKWorldLib.simulation.labels import Label, is_lesion
from CEKWorldLib.simulation.spgr import spgr_signal
from CEKWorldLib.simulation.tissue import PARAMETERS, Tissue

SEQUENCE = Acquisition(6.0, 2.5, 15.0, 3.0, False)
AT_ONCE = Injection(arrival_s=0.0)
TABLE = ConcentrationTable.for_injection("parker", AT_ONCE, 0.0)


def subject(seed: int, families=FAMILIES, stripped: bool | None = None) -> BrainSubject:
    drawn = draw_brain(np.random.default_rng(seed), 3.0, families)
    return drawn if stripped is None else replace(drawn, stripped=stripped)


def block(centre, shape=(3, 96, 96), spacing=(4.0, 2.3, 2.3)) -> np.ndarray:
    """Axial grid points (slices, rows, columns, 3) about a centre."""
    z, y, x = (s * (np.arange(n) - (n - 1) / 2) for n, s in zip(shape, spacing, strict=True))
    grid = np.stack(np.broadcast_arrays(x[None, None], y[None, :, None], z[:, None, None]), -1)
    return (grid + np.asarray(centre)).astype(np.float32)


def painted(who: BrainSubject, points: np.ndarray, pixel_mm: float = 2.3) -> Canvas:
    canvas = Canvas(points, pixel_mm)
    who.paint(canvas)
    return canvas


def percent(maps: dict[str, np.ndarray], t: float) -> np.ndarray:
    """Percent enhancement of water ``t`` seconds after arrival."""
    state = (SEQUENCE, AT_ONCE.relaxivity, maps["t2star_s"])
    before = spgr_signal(np.ones_like(maps["t1_s"]), maps["t1_s"], np.float32(0), *state)
    after = spgr_signal(np.ones_like(maps["t1_s"]), maps["t1_s"], TABLE.concentration(maps, t), *state)
    return 100 * (after / before - 1)


def of(tissue: Tissue) -> dict[str, np.ndarray]:
    return {name: np.array([getattr(tissue, name)], np.float32) for name in PARAMETERS}


def delayed_change(tissue: Tissue) -> float:
    """Change of the signal from 90 s to 360 s, percent: above +10 persistent, below -10 washout."""
    early, late = (float(percent(of(tissue), t)[0]) for t in (90.0, 360.0))
    return 100 * (late - early) / (100 + early)


def drawn_lesions(family: str, count: int = 120):
    rng = np.random.default_rng(5)
    return [draw_lesion(rng, family, np.zeros(3), 9.0, 1.0) for _ in range(count)]


@pytest.fixture(scope="module")
def whole_head() -> Canvas:
    return painted(subject(6, stripped=False), block((0, 0, 8), (38, 96, 96), (4.0, 2.3, 2.3)))


def test_the_same_seed_gives_the_same_patient_and_picture():
    first, second = subject(3), subject(3)
    assert first.lesions == second.lesions
    points = block(first.centre_mm, (2, 64, 64), (4.0, 3.5, 3.5))
    one, two = painted(first, points), painted(second, points)
    assert np.array_equal(one.labels, two.labels)
    assert all(np.array_equal(one.maps[name], two.maps[name]) for name in PARAMETERS)
    assert subject(4).tissues != first.tissues


@pytest.mark.parametrize("stripped", [False, True])
@pytest.mark.parametrize("axis", [0, 1, 2], ids=["axial", "coronal", "sagittal"])
def test_a_slice_alone_equals_the_same_slice_of_a_volume(axis, stripped):
    who = subject(4, stripped=stripped)
    points = block(who.lesions[0].centre_mm, (7, 72, 72), (4.0, 3.0, 3.0))
    whole = painted(who, points)
    index = points.shape[axis] // 2
    alone = painted(who, np.take(points, [index], axis))
    assert np.mean(alone.labels != np.take(whole.labels, [index], axis)) < 1e-4
    for name in PARAMETERS:
        expected = np.take(whole.maps[name], [index], axis)
        assert np.allclose(alone.maps[name], expected, rtol=1e-3, atol=1e-3 * max(np.ptp(expected), 1e-6)), name


def test_a_head_shows_every_tissue_a_radiologist_looks_for(whole_head):
    expected = {"FAT", "SKIN", "MUSCLE", "BONE", "ARTERY", "SINUS", "MUCOSA", "PITUITARY", "CHOROID_PLEXUS"}
    expected |= {"WHITE_MATTER", "GREY_MATTER", "CSF", "FLUID", "AIR"}
    found = {Label(code).name for code in np.unique(whole_head.labels) if code < Label.LESION}
    assert not expected - found


def test_grey_and_white_matter_and_brain_volume_are_like_a_persons(whole_head):
    millilitres = 4.0 * 2.3 * 2.3 / 1000
    grey, white = (millilitres * np.sum(whole_head.labels == code) for code in (Label.GREY_MATTER, Label.WHITE_MATTER))
    assert 1000 < grey + white < 1700
    assert 0.7 < grey / white < 2.2


def test_maps_are_finite_and_physical(whole_head):
    maps = whole_head.maps
    assert all(np.isfinite(values).all() for values in maps.values())
    assert maps["t1_s"].min() > 0.1
    assert maps["vp"].max() <= 1.0
    assert min(maps[name].min() for name in ("proton_density", "vp", "ktrans", "delay_s")) >= 0
    assert maps["kep"].min() >= 0


def test_the_blood_brain_barrier_holds_while_the_sinuses_light_up(whole_head):
    enhancement = percent(whole_head.maps, 30.0)
    for code in (Label.WHITE_MATTER, Label.GREY_MATTER):
        assert 0 < np.median(enhancement[whole_head.labels == code]) < 10
    for code in (Label.SINUS, Label.ARTERY):
        assert np.median(enhancement[whole_head.labels == code]) > 100
    for code in (Label.CHOROID_PLEXUS, Label.MUCOSA, Label.PITUITARY):
        assert np.median(percent(whole_head.maps, 90.0)[whole_head.labels == code]) > 60


def test_neither_white_matter_nor_fluid_takes_agent_out_of_the_vessels(whole_head):
    for name in ("white", "grey", "csf", "thalamus", "striatum", "oedema"):
        assert subject(6).tissues[name].ktrans == 0


def test_white_matter_is_brighter_than_grey_and_both_than_fluid(whole_head):
    maps = whole_head.maps
    before = spgr_signal(maps["proton_density"], maps["t1_s"], np.float32(0), SEQUENCE, 4.5, maps["t2star_s"])
    white, grey, fluid = (
        np.median(before[whole_head.labels == code]) for code in (Label.WHITE_MATTER, Label.GREY_MATTER, Label.CSF)
    )
    assert white > 1.2 * grey > 1.2 * 1.1 * fluid


def test_cortex_is_folded(whole_head):
    """In a slice above the ventricles the cortex has far more border with white matter than a smooth shell has."""
    who = subject(1, stripped=True)
    labels = painted(who, block((0, 0, 45), (1, 220, 220), (1, 0.9, 0.9)), 0.9).labels[0]
    white = labels == Label.WHITE_MATTER
    border = np.sum(white[1:] != white[:-1]) + np.sum(white[:, 1:] != white[:, :-1])
    smooth = 4 * np.sqrt(np.sum(labels > 0))  # border of a square of the brain's area, in pixel sides
    assert border > 2.5 * smooth


def test_the_distance_to_folds_is_a_distance():
    start = np.random.default_rng(0).uniform(-50, 50, (4000, 3)).astype(np.float32)
    step = np.array([0.6, 0.0, 0.0], np.float32)
    change = np.abs(fold_distance(start + step, 26.0, 3) - fold_distance(start, 26.0, 3)) / 0.6
    assert np.quantile(change, 0.95) < 1.2
    assert 0.3 < change.mean() < 0.7  # 1/2 is the mean of |cos| over directions
    assert np.all(fold_distance(start, 26.0, 3) <= 26.0 / 4 + 1e-4)


@pytest.mark.parametrize("seed", [1, 6])
def test_a_stripped_subject_has_air_alone_around_the_brain(seed):
    canvas = painted(subject(seed, stripped=True), block((0, 0, 8), (19, 72, 72), (8.0, 3.1, 3.1)))
    outside = {Label.FAT, Label.SKIN, Label.MUSCLE, Label.BONE, Label.MUCOSA, Label.FLUID, Label.PITUITARY}
    assert not outside & set(np.unique(canvas.labels).tolist())
    air = canvas.labels == Label.AIR
    assert np.all(canvas.maps["proton_density"][air] == 0)
    assert np.abs(percent(canvas.maps, 60.0)[air]).max() < 1e-3
    assert air.mean() > 0.5


def test_about_one_subject_in_three_is_stripped():
    share = np.mean([subject(seed).stripped for seed in range(60)])
    assert 0.18 < share < 0.5


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_painted_where_it_is_said_to_be(family):
    met = 0
    for seed in range(4):
        who = subject(20 + seed, [family])
        for index, lesion in enumerate(who.lesions):
            assert lesion.family == family
            canvas = painted(who, block(lesion.centre_mm, (1, 64, 64), (1, 0.9, 0.9)), 0.9)
            mine = canvas.labels == Label.LESION + index
            met += bool(mine.any())
            area = mine.sum() * 0.81
            assert 0.1 * np.pi * lesion.radius_mm**2 < area < 4.5 * np.pi * lesion.radius_mm**2
    assert met >= 3


def test_nearly_every_patient_has_one_to_four_lesions_of_the_families_asked_for():
    counts = []
    for seed in range(50):
        lesions = subject(seed, FAMILIES[:4]).lesions
        counts.append(len(lesions))
        assert {lesion.family for lesion in lesions} <= set(FAMILIES[:4])
    assert max(counts) <= 4
    assert np.mean(np.array(counts) > 0) > 0.9


def test_an_unknown_family_is_refused_by_name():
    with pytest.raises(ValueError, match="fibroadenoma"):
        subject(0, ["fibroadenoma"])


@pytest.mark.parametrize(
    ("family", "low", "high"),
    [("glioblastoma", 2, 25), ("metastasis", -30, -8), ("meningioma", -10, 10), ("lymphoma", -10, 10)],
)
def test_the_curve_type_of_each_family_is_as_intended(family, low, high):
    assert low < np.median([delayed_change(lesion.rim) for lesion in drawn_lesions(family)]) < high


def test_low_grade_glioma_hardly_enhances_and_is_dark():
    lesions = drawn_lesions("low_grade_glioma")
    assert np.median([percent(of(lesion.rim), 90.0)[0] for lesion in lesions]) < 20
    assert np.median([lesion.rim.t1_s for lesion in lesions]) > 1.5 * subject(0).tissues["white"].t1_s


def test_meningioma_enhances_fast():
    lesion = drawn_lesions("meningioma")[0]
    assert percent(of(lesion.rim), 30.0)[0] > 0.6 * percent(of(lesion.rim), 120.0)[0]


def test_the_necrotic_core_enhances_far_less_than_the_rim():
    for seed in range(30, 34):
        who = subject(seed, ["glioblastoma"])
        for index, lesion in enumerate(who.lesions):
            canvas = painted(who, block(lesion.centre_mm, (1, 64, 64), (1, 1, 1)), 1.0)
            mine = canvas.labels == Label.LESION + index
            enhancement = percent(canvas.maps, 90.0)[mine]
            assert np.quantile(enhancement, 0.9) > 3 * np.quantile(enhancement, 0.02)
            assert percent(of(lesion.rim), 90.0)[0] > 4 * percent(of(lesion.core), 90.0)[0]


def test_oedema_is_dark_and_does_not_enhance():
    who = next(w for w in (subject(s, ["glioblastoma"]) for s in range(40, 60)) if w.lesions)
    canvas = painted(who, block(who.lesions[0].centre_mm, (1, 128, 128), (1, 1, 1)), 1.0)
    wet = (canvas.labels == Label.OEDEMA) & (canvas.maps["ktrans"] < 1e-4)
    assert wet.sum() > 50
    assert np.median(percent(canvas.maps, 90.0)[wet]) < 10
    assert np.median(canvas.maps["t1_s"][wet]) > 1.2 * who.tissues["white"].t1_s


def test_a_mass_pushes_tissue_away_and_leaves_what_is_far():
    lesion = drawn_lesions("metastasis")[0]
    points = np.array([[12.0, 0, 0], [100.0, 0, 0]], np.float32)
    moved = mass_effect(points, [lesion])
    assert -6 < moved[0, 0] < -1
    assert np.all(moved[1] == 0)


def test_kinetics_vary_within_a_family_as_documented():
    rims = [lesion.rim for lesion in drawn_lesions("metastasis", 400)]
    assert np.std(np.log([rim.kep for rim in rims])) == pytest.approx(0.20, abs=0.03)
    assert np.std(np.log([rim.ktrans for rim in rims])) == pytest.approx(0.25, abs=0.03)


def test_t1_follows_the_field_strength():
    low, high = (draw_brain(np.random.default_rng(0), field, FAMILIES) for field in (1.5, 3.0))
    assert low.tissues["grey"].t1_s / high.tissues["grey"].t1_s == pytest.approx(1.124 / 1.68, rel=1e-6)
    assert [lesion.family for lesion in low.lesions] == [lesion.family for lesion in high.lesions]


def test_lesions_keep_clear_of_each_other_and_inside_the_head():
    for seed in range(25):
        who = subject(seed)
        centres = np.array([lesion.centre_mm for lesion in who.lesions]).reshape(-1, 3)
        for i, lesion in enumerate(who.lesions):
            for j in range(i):
                gap = np.linalg.norm(centres[i] - centres[j])
                assert gap > lesion.radius_mm + who.lesions[j].radius_mm
        if len(centres):
            inside = who.shape.cranium(who.shape.warped(who.head_points(centres.astype(np.float32))))
            assert np.all(inside < 0)


def test_benign_and_malignant_families_are_both_there():
    assert {family.malignant for family in LESION_FAMILIES.values()} == {True, False}
    assert all(is_lesion(np.array([Label.LESION, Label.LESION + 3])))


def test_four_slices_are_painted_in_training_time():
    used = []
    for stripped in (True, False):
        who = subject(5, stripped=stripped)
        points = block((0, 0, 10), (4, 256, 256), (3.0, 0.87, 0.87))
        painted(who, points[:1])
        start = time.thread_time()
        painted(who, points, 0.87)
        used.append(time.thread_time() - start)
    assert np.mean(used) < 2.0  # 0.6 s of one idle core; the margin is for a busy one
