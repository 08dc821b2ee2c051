"""The simulated breast: reproducible, the same in a slice as in its volume, with the kinetics its families claim."""

from __future__ import annotations

import time

import numpy as np
import pytest

from CEKWorldLib.simulation.breast import DENSITIES, FAMILIES, BreastSubject, draw_breast
from CEKWorldLib.simulation.breast_lesions import LESION_FAMILIES, draw_lesion
from CEKWorldLib.simulation.breast_tissues import BACKGROUND
from CEKWorldLib.simulation.canvas import Canvas
from CEKWorldLib.simulation.labels import Label, is_lesion
from CEKWorldLib.simulation.tissue import PARAMETERS, Tissue

MALIGNANT = {"invasive_ductal", "triple_negative", "non_mass"}


def subject(seed: int, families=FAMILIES, field_strength_t: float = 3.0) -> BreastSubject:
    return draw_breast(np.random.default_rng(seed), field_strength_t, families)


def with_lesion(family: str, smallest_mm: float = 5.0) -> BreastSubject:
    """The first patient who has a lesion of a family that is not tiny."""
    for seed in range(60):
        drawn = subject(seed, (family,))
        if drawn.lesions and drawn.lesions[0].radius_mm >= smallest_mm:
            return drawn
    raise AssertionError(f"no {family} of {smallest_mm} mm in 60 patients")


def block(centre, shape=(8, 96, 96), spacing=(3.0, 3.5, 3.5)) -> np.ndarray:
    """Points (slices, rows, columns, 3) of an axial block around a centre."""
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return (np.stack([x, y, z], -1) + np.asarray(centre)).astype(np.float32)


def painted(who: BreastSubject, points: np.ndarray, pixel_mm: float = 3.5) -> Canvas:
    canvas = Canvas(points, pixel_mm)
    who.paint(canvas)
    return canvas


def signal(tissue: Tissue, times_s) -> np.ndarray:
    """Spoiled gradient echo (TR 5 ms, 12 degrees, r1 4.5) under extended Tofts and the Parker input at 3 T."""
    grid = np.arange(0.0, 500.0, 0.25)
    minutes = (grid - tissue.delay_s) / 60
    bolus = sum(
        a / (s * np.sqrt(2 * np.pi)) * np.exp(-((minutes - t) ** 2) / (2 * s**2))
        for a, t, s in ((0.809, 0.17046, 0.0563), (0.330, 0.365, 0.132))
    )
    tail = 1.050 * np.exp(-0.1685 * minutes) / (1 + np.exp(-38.078 * (minutes - 0.483)))
    plasma = np.where(minutes > 0, bolus + tail, 0.0) / 0.58
    washed = np.convolve(plasma, np.exp(-tissue.kep * grid / 60))[: len(grid)] * 0.25 / 60
    concentration = np.interp(times_s, grid, tissue.vp * plasma + tissue.ktrans * washed)
    recovery = np.exp(-0.005 * (1 / tissue.t1_s + 4.5 * concentration))
    return (1 - recovery) / (1 - recovery * np.cos(np.deg2rad(12)))


def delayed_change(tissue: Tissue) -> float:
    """Change of the signal from 90 s to 360 s, percent: above +10 persistent, below -10 washout."""
    early, late = signal(tissue, [90.0, 360.0])
    return 100 * (late - early) / early


def drawn_lesions(family: str, count: int = 150):
    rng = np.random.default_rng(5)
    return [draw_lesion(rng, family, (60.0, -40.0, 0.0), 9.0, 3.0) for _ in range(count)]


def test_the_same_seed_gives_the_same_patient_and_picture():
    first, second = subject(3), subject(3)
    assert first.lesions == second.lesions
    points = block(first.centre_mm, (2, 64, 64), (4.0, 5.0, 5.0))
    one, two = painted(first, points), painted(second, points)
    assert np.array_equal(one.labels, two.labels)
    assert all(np.array_equal(one.maps[name], two.maps[name]) for name in PARAMETERS)
    assert subject(4).tissues != first.tissues


@pytest.mark.parametrize("axis", [0, 2], ids=["axial", "sagittal"])
def test_a_slice_alone_equals_the_same_slice_of_a_volume(axis):
    who = subject(11)
    points = block(who.lesions[0].centre_mm)
    whole = painted(who, points)
    index = points.shape[axis] // 2
    plane = np.take(points, [index], axis)
    alone = painted(who, plane)
    assert np.mean(alone.labels != np.take(whole.labels, [index], axis)) < 1e-4
    for name in PARAMETERS:
        expected = np.take(whole.maps[name], [index], axis)
        assert np.allclose(alone.maps[name], expected, rtol=1e-3, atol=1e-3 * max(np.ptp(expected), 1e-6)), name


def test_an_exam_shows_every_tissue_a_radiologist_looks_for():
    expected = {Label.FAT, Label.SKIN, Label.GLAND, Label.NIPPLE, Label.MUSCLE, Label.BONE, Label.LUNG, Label.HEART}
    expected |= {Label.ARTERY, Label.VEIN, Label.AIR, Label.LIVER, Label.LYMPH_NODE, Label.LESION}
    who = next(s for s in map(subject, range(20)) if s.lesions and s.density == "c")
    canvas = painted(who, block(who.centre_mm, (54, 128, 128), (3.0, 2.7, 2.7)), 2.0)
    assert expected <= set(np.unique(canvas.labels).tolist())
    assert all(np.isfinite(values).all() and values.min() >= 0 for values in canvas.maps.values())
    assert canvas.maps["fat"].max() <= 1.001
    assert canvas.maps["vp"].max() <= 1.0


def test_the_breasts_hang_to_the_front_and_the_heart_lies_to_the_left():
    who = subject(2)
    points = block(who.centre_mm, (30, 110, 110), (5.0, 3.0, 3.0))
    labels = painted(who, points).labels
    mean = {label: points[labels == label].mean(0) for label in (Label.NIPPLE, Label.GLAND, Label.LUNG, Label.HEART)}
    assert mean[Label.NIPPLE][1] < mean[Label.GLAND][1] < mean[Label.HEART][1]
    assert mean[Label.HEART][0] > 5.0
    assert {np.sign(x) for x in points[labels == Label.NIPPLE][:, 0]} == {-1, 1}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_painted_where_it_is_said_to_be(family):
    who = with_lesion(family)
    lesion = who.lesions[0]
    points = block(lesion.centre_mm, (60, 60, 60), (1.0, 1.0, 1.0))
    canvas = painted(who, points, 1.0)
    inside = canvas.labels == Label.LESION
    volume, sphere = inside.sum(), 4 / 3 * np.pi * lesion.radius_mm**3
    assert 0.15 * sphere < volume < 4.0 * sphere
    assert np.linalg.norm(points[inside].mean(0) - lesion.centre_mm) < 0.8 * lesion.radius_mm
    assert lesion.family == family
    assert lesion.malignant == (family in MALIGNANT)
    body = canvas.labels != Label.AIR
    assert body[inside].all()


def test_lesions_are_clear_of_skin_and_chest_wall():
    for seed in range(25):
        who = subject(seed)
        for lesion in who.lesions:
            centre = np.array([lesion.centre_mm], np.float32)
            upright = who.chest.upright(centre)
            wall = who.chest.wall(who.chest.skin(upright)) - who.chest.muscle(upright)
            breast = who.breasts[int(lesion.centre_mm[0] > 0)]
            assert wall[0] > lesion.radius_mm
            assert breast.skin(breast.local(centre))[0] < -lesion.radius_mm


def test_nearly_every_patient_has_one_or_two_lesions_of_the_families_asked_for():
    counts = [len(subject(seed, ("cyst", "adenosis")).lesions) for seed in range(120)]
    assert np.mean(np.array(counts) == 0) < 0.10
    assert np.mean(np.isin(counts, (1, 2))) > 0.75
    assert max(counts) <= 3
    found = {lesion.family for seed in range(40) for lesion in subject(seed, ("cyst", "adenosis")).lesions}
    assert found == {"cyst", "adenosis"}
    assert subject(0, ()).lesions == ()


def test_an_unknown_family_is_refused_by_name():
    with pytest.raises(ValueError, match="lipoma"):
        subject(0, ("cyst", "lipoma"))


@pytest.mark.parametrize(
    ("family", "part", "low", "high"),
    [
        ("fibroadenoma", "rim", 5.0, 30.0),
        ("adenosis", "rim", 10.0, 30.0),
        ("non_mass", "rim", -10.0, 10.0),
        ("invasive_ductal", "rim", -40.0, -10.0),
        ("invasive_ductal", "core", -10.0, 10.0),
        ("triple_negative", "rim", -40.0, -10.0),
    ],
)
def test_the_curve_type_of_each_family_is_as_intended(family, part, low, high):
    changes = np.array([delayed_change(getattr(lesion, part)) for lesion in drawn_lesions(family)])
    assert np.mean((changes > low) & (changes < high)) > 0.85


def test_cysts_do_not_enhance_and_are_dark():
    for lesion in drawn_lesions("cyst", 20):
        assert lesion.rim.ktrans == lesion.rim.vp == 0.0
        assert signal(lesion.rim, [0.0])[0] < 0.7 * signal(drawn_lesions("fibroadenoma", 1)[0].rim, [0.0])[0]


def test_the_necrotic_core_enhances_far_less_than_the_rim():
    for lesion in drawn_lesions("triple_negative", 30):
        rim, core = (signal(part, [0.0, 90.0]) for part in (lesion.rim, lesion.core))
        assert core[1] / core[0] - 1 < 0.4 * (rim[1] / rim[0] - 1)


def test_kinetics_vary_within_a_family_as_documented():
    for family in set(FAMILIES) - {"cyst"}:
        lesions = drawn_lesions(family, 600)
        assert np.std([np.log(lesion.rim.kep) for lesion in lesions]) == pytest.approx(0.20, abs=0.025)
        assert np.std([np.log(lesion.rim.ktrans) for lesion in lesions]) == pytest.approx(0.25, abs=0.03)


def test_solid_families_overlap_before_contrast_but_differ_on_average():
    t1 = {name: np.array([part.rim.t1_s for part in drawn_lesions(name)]) for name in FAMILIES if name != "cyst"}
    benign, cancer = t1["fibroadenoma"], t1["invasive_ductal"]
    assert benign.mean() < cancer.mean()
    wrong = (np.mean(benign > np.median(cancer)) + np.mean(cancer < np.median(benign))) / 2
    assert 0.005 < wrong < 0.35


def test_t1_follows_the_field_strength():
    at_1_5, at_3 = subject(6, field_strength_t=1.5), subject(6, field_strength_t=3.0)
    assert at_1_5.tissues["gland"].t1_s / at_3.tissues["gland"].t1_s == pytest.approx(1266 / 1445, rel=1e-3)
    assert at_1_5.tissues["fat"].t1_s / at_3.tissues["fat"].t1_s == pytest.approx(296 / 367, rel=1e-3)
    assert at_1_5.lesions[0].rim.t1_s < at_3.lesions[0].rim.t1_s


def test_denser_classes_show_more_gland_and_higher_grades_enhance_more():
    gland: dict[str, list[float]] = {name: [] for name in DENSITIES}
    uptake: dict[str, list[float]] = {name: [] for name in BACKGROUND}
    for seed in range(60):
        who = subject(seed, ())
        uptake[who.background].append(who.tissues["gland"].ktrans)
        if len(gland[who.density]) < 3:
            labels = painted(who, block(who.breasts[1].base, (6, 60, 60), (10.0, 4.0, 4.0)), 4.0).labels
            gland[who.density].append(np.sum(labels == Label.GLAND) / np.sum(np.isin(labels, (Label.GLAND, Label.FAT))))
    shares = [np.mean(gland[name]) for name in DENSITIES]
    medians = [np.median(uptake[name]) for name in BACKGROUND]
    assert all(np.diff(shares) > 0)
    assert all(np.diff(medians) > 0)


def test_fat_and_cysts_stay_dark_while_gland_and_vessels_take_up_contrast():
    who = with_lesion("cyst")
    canvas = painted(who, block(who.lesions[0].centre_mm, (20, 90, 90), (2.0, 2.0, 2.0)), 2.0)
    ktrans, vp = canvas.maps["ktrans"], canvas.maps["vp"]
    assert np.median(ktrans[canvas.labels == Label.FAT]) < 1e-4
    assert np.median(ktrans[is_lesion(canvas.labels)]) < 1e-3
    assert np.median(ktrans[canvas.labels == Label.GLAND]) > 1e-3
    assert vp[canvas.labels == Label.VEIN].max() > 0.4


def test_families_cover_the_radii_of_the_specification():
    low, high = zip(*(family.radius_mm for family in LESION_FAMILIES.values()), strict=True)
    assert min(low) == 3.0
    assert max(high) == 20.0


def test_four_slices_are_painted_in_training_time():
    who = subject(5)
    points = block(who.lesions[0].centre_mm, (4, 256, 256), (3.0, 1.33, 1.33))
    used = []
    for _ in range(3):
        start = time.process_time()
        painted(who, points, 1.33)
        used.append(time.process_time() - start)
    assert min(used) < 1.5  # 0.55 s of one idle core; the margin is for a busy one
