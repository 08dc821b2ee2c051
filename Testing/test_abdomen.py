"""The procedural abdomen: the same at every grid, with its organs in place and enhancing in their order."""

from __future__ import annotations

import numpy as np
import pytest

from CEKWorldLib.exam.protocol import Acquisition, Injection
from CEKWorldLib.simulation.abdomen import FAMILIES, Abdomen, draw_abdomen
from CEKWorldLib.simulation.abdomen_lesions import LESION_FAMILIES, draw_lesion
from CEKWorldLib.simulation.canvas import Canvas
from CEKWorldLib.simulation.enhancement import ConcentrationTable
from CEKWorldLib.simulation.labels import Label
from CEKWorldLib.simulation.spgr import spgr_signal

ARRIVAL_S = 15.0
ARTERIAL_S, PORTAL_S, DELAYED_S = 30.0, 70.0, 300.0
ACQUISITION = Acquisition(4.5, 1.6, 12.0, 3.0, True)


def patient(seed: int, families: tuple[str, ...] = FAMILIES) -> Abdomen:
    return draw_abdomen(np.random.default_rng(seed), 3.0, families)


def grid(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Axial stack (slices, rows, columns, 3)."""
    z, y, x = np.meshgrid(z, y, x, indexing="ij")
    return np.stack([x, y, z], axis=-1).astype(np.float32)


def painted(subject: Abdomen, points: np.ndarray, pixel_mm: float = 3.0) -> Canvas:
    canvas = Canvas(points, pixel_mm)
    subject.paint(canvas)
    return canvas


@pytest.fixture(scope="module")
def table() -> ConcentrationTable:
    return ConcentrationTable.for_injection("parker", Injection(arrival_s=ARRIVAL_S))


@pytest.fixture(scope="module", params=[0, 1, 2])
def whole(request: pytest.FixtureRequest) -> Canvas:
    x, y, z = np.arange(-189, 190, 3.0), np.arange(-140, 150, 3.0), np.arange(-95, 100, 10.0)
    return painted(patient(request.param), grid(x, y, z))


def signal(canvas: Canvas, table: ConcentrationTable, t: float) -> np.ndarray:
    maps = canvas.maps
    density = maps["proton_density"] * (1 - maps["fat"])
    return spgr_signal(density, maps["t1_s"], table.concentration(maps, t), ACQUISITION, 4.5, maps["t2star_s"])


def enhancement(canvas: Canvas, table: ConcentrationTable, label: Label, t: float) -> float:
    """Median percent enhancement of an organ's voxels."""
    where = canvas.labels == label
    return float(np.median(100 * (signal(canvas, table, t)[where] / signal(canvas, table, 0.0)[where] - 1)))


def test_same_seed_gives_the_same_patient():
    points = grid(np.arange(-150, 150, 6.0), np.arange(-100, 100, 6.0), np.array([20.0, -20.0]))
    first, second = painted(patient(3), points), painted(patient(3), points)
    np.testing.assert_array_equal(first.labels, second.labels)
    for name, values in first.maps.items():
        np.testing.assert_array_equal(values, second.maps[name])
    assert patient(3).lesions == patient(3).lesions
    assert (painted(patient(4), points).labels != first.labels).mean() > 0.1


@pytest.mark.parametrize("axis", [0, 1], ids=["axial slice", "coronal slice"])
def test_slice_equals_the_same_slice_of_a_volume(axis: int):
    subject = patient(5)
    points = grid(np.arange(-180, 181, 5.0), np.arange(-130, 131, 5.0), np.arange(-90, 91, 30.0))
    volume = painted(subject, points)
    for index in range(0, points.shape[axis], 3 if axis == 0 else 13):
        plane = painted(subject, points.take(index, axis))
        for name, values in plane.maps.items():
            np.testing.assert_allclose(values, volume.maps[name].take(index, axis), rtol=1e-3, atol=1e-3, err_msg=name)
        assert (plane.labels != volume.labels.take(index, axis)).mean() < 1e-4


def test_points_off_the_body_are_air():
    canvas = painted(patient(0), grid(np.array([-400.0, 400.0]), np.array([-300.0, 300.0]), np.array([0.0])))
    assert (canvas.labels == Label.AIR).all()
    assert (canvas.maps["proton_density"] == 0).all()


def test_all_organs_are_there(whole: Canvas):
    expected = {
        *(Label.FAT, Label.SKIN, Label.MUSCLE, Label.BONE, Label.LUNG, Label.HEART, Label.CSF, Label.FLUID),
        *(Label.LIVER, Label.SPLEEN, Label.KIDNEY_CORTEX, Label.KIDNEY_MEDULLA, Label.PANCREAS, Label.STOMACH),
        *(Label.ARTERY, Label.VEIN, Label.PORTAL_VEIN, Label.BOWEL_WALL, Label.GALLBLADDER),
    }
    assert expected <= set(np.unique(whole.labels).tolist())


def test_organs_have_human_sizes(whole: Canvas):
    """Wide adult ranges, ml: liver 800-2500, spleen 60-600, both kidneys 150-500."""
    millilitres = 3 * 3 * 10 / 1000
    volumes = {label: millilitres * np.sum(whole.labels == label) for label in Label}
    assert 800 < volumes[Label.LIVER] < 2500
    assert 60 < volumes[Label.SPLEEN] < 600
    assert 150 < volumes[Label.KIDNEY_CORTEX] + volumes[Label.KIDNEY_MEDULLA] < 500


def test_organs_are_on_their_side(whole: Canvas):
    def centre(label: Label) -> np.ndarray:
        return whole.points[whole.labels == label].mean(0)

    assert centre(Label.LIVER)[0] < -20  # patient's right
    assert centre(Label.SPLEEN)[0] > 60
    assert centre(Label.SPLEEN)[1] > centre(Label.STOMACH)[1]  # behind the stomach
    assert centre(Label.LUNG)[2] > centre(Label.LIVER)[2] > centre(Label.KIDNEY_CORTEX)[2]
    assert centre(Label.GALLBLADDER)[0] < 0


def test_arterial_phase_lights_aorta_and_cortex_then_spleen_then_liver(whole: Canvas, table: ConcentrationTable):
    organs = Label.ARTERY, Label.KIDNEY_CORTEX, Label.SPLEEN, Label.LIVER, Label.MUSCLE
    aorta, cortex, spleen, liver, muscle = (enhancement(whole, table, organ, ARTERIAL_S) for organ in organs)
    assert min(aorta, cortex) > spleen > liver
    assert spleen > 2 * max(liver, muscle)
    assert enhancement(whole, table, Label.KIDNEY_MEDULLA, ARTERIAL_S) < 0.3 * cortex


def test_liver_peaks_after_a_minute_and_its_veins_with_it(whole: Canvas, table: ConcentrationTable):
    times = np.arange(20, 200, 4.0)
    curve = [enhancement(whole, table, Label.LIVER, t) for t in times]
    assert 60 <= times[int(np.argmax(curve))] <= 110
    assert 50 < max(curve) < 250
    arterial, portal = (enhancement(whole, table, Label.PORTAL_VEIN, t) for t in (22.0, PORTAL_S))
    assert arterial < 0.2 * portal


def test_medulla_reaches_cortex_in_the_delayed_phase(whole: Canvas, table: ConcentrationTable):
    cortex, medulla = (
        signal(whole, table, DELAYED_S)[whole.labels == label].mean()
        for label in (Label.KIDNEY_CORTEX, Label.KIDNEY_MEDULLA)
    )
    assert medulla > 0.85 * cortex


def test_fat_and_csf_take_up_nothing(whole: Canvas, table: ConcentrationTable):
    concentration = table.concentration(whole.maps, PORTAL_S)
    assert np.median(concentration[whole.maps["fat"] > 0.99]) < 1e-3  # mM
    water = concentration * (1 - whole.maps["fat"])  # what is left is partial volume at the edges of organs
    assert water[whole.labels == Label.FAT].mean() < 0.08 * water[whole.labels == Label.LIVER].mean()


def test_t1_is_shortest_in_fat_then_liver_then_spleen(whole: Canvas):
    t1 = {
        label: np.median(whole.maps["t1_s"][whole.labels == label]) for label in Label if (whole.labels == label).any()
    }
    assert t1[Label.FAT] < t1[Label.LIVER] < t1[Label.SPLEEN]
    assert t1[Label.PANCREAS] < t1[Label.MUSCLE]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_can_be_drawn_into_the_liver(family: str):
    subject = next(s for s in map(lambda seed: patient(seed, (family,)), range(5)) if s.lesions)
    assert {lesion.family for lesion in subject.lesions} == {family}
    for index, lesion in enumerate(subject.lesions):
        steps = np.arange(-40.0, 41, 1.5)
        x, y, z = lesion.centre_mm
        canvas = painted(subject, grid(x + steps, y + steps, np.array([z])), 2.0)
        inside = canvas.labels == Label.LESION + index
        assert inside[0, 26:28, 26:28].all()
        around = np.linalg.norm(canvas.points - np.array(lesion.centre_mm, np.float32), axis=-1) < lesion.radius_mm + 8
        assert (canvas.labels[around & ~inside] == Label.LIVER).mean() > 0.5


def test_nearly_all_patients_have_one_to_three_lesions():
    counts = [len(patient(seed).lesions) for seed in range(100, 125)]
    assert max(counts) <= 3
    assert np.mean(np.array(counts) >= 1) > 0.85


def lesion_curve(family: str, part: str, table: ConcentrationTable) -> list[float]:
    """Enhanced over unenhanced signal relative to liver's, arterial, portal venous, delayed; mean of 30 draws."""
    values = []
    liver = patient(0).tissues["liver"]
    for seed in range(30):
        rng = np.random.default_rng(seed)
        lesion = draw_lesion(rng, family, liver, np.zeros(3), 15.0)
        pair = (getattr(lesion, part), liver)
        maps = {
            name: np.array([getattr(tissue, name) for tissue in pair], np.float32)
            for name in ("t1_s", "proton_density", "t2star_s", "vp", "ktrans", "kep", "portal", "delay_s")
        }
        times = ARTERIAL_S, PORTAL_S, DELAYED_S
        signals = [
            spgr_signal(maps["proton_density"], maps["t1_s"], table.concentration(maps, t), ACQUISITION, 4.5)
            for t in times
        ]
        values.append([s[0] / s[1] for s in signals])
    return np.mean(values, axis=0).tolist()


def test_families_enhance_as_the_textbook_says(table: ConcentrationTable):
    arterial, _, delayed = lesion_curve("hcc", "core", table)
    assert arterial > 1.3 and delayed < 0.97  # arterial flare, washout
    arterial, portal, delayed = lesion_curve("fnh", "rim", table)
    assert arterial > 1.5 and 0.9 < portal < 1.15 and 0.9 < delayed < 1.1  # flare, then like liver
    arterial, portal, delayed = lesion_curve("haemangioma", "core", table)
    assert arterial < 0.8 and portal < 0.8 and delayed > 1.05  # fills late
    rim, core = lesion_curve("metastasis", "rim", table), lesion_curve("metastasis", "core", table)
    assert rim[0] > 1.0 > 0.7 > core[0] and core[1] < 0.6  # ring around a dark core
    assert max(lesion_curve("cyst", "core", table)) < 0.5


def test_kinetics_vary_little_within_a_family_and_t1_overlaps_between_families():
    liver = patient(0).tissues["liver"]
    drawn = {
        family: [draw_lesion(np.random.default_rng(s), family, liver, np.zeros(3), 10.0) for s in range(150)]
        for family in FAMILIES
    }
    for family in ("hcc", "metastasis", "haemangioma", "fnh"):
        assert np.std(np.log([lesion.core.kep for lesion in drawn[family]])) == pytest.approx(0.20, abs=0.03)
        assert np.std(np.log([lesion.core.ktrans for lesion in drawn[family]])) == pytest.approx(0.25, abs=0.04)
    t1 = {family: np.array([lesion.core.t1_s for lesion in drawn[family]]) for family in FAMILIES}
    assert np.mean(t1["hcc"] > np.percentile(t1["metastasis"], 10)) > 0.1
    assert {f: LESION_FAMILIES[f].malignant for f in FAMILIES} == {
        "hcc": True,
        "metastasis": True,
        "haemangioma": False,
        "cyst": False,
        "fnh": False,
    }


def test_relaxation_follows_the_field_strength():
    low, high = (draw_abdomen(np.random.default_rng(0), b0, FAMILIES).tissues for b0 in (1.5, 3.0))
    assert low["liver"].t1_s == pytest.approx(high["liver"].t1_s * 0.602 / 0.780)
