"""The simulated case: geometry, truth at any time, noise, determinism, and what is on disk."""

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import partial

import dcmri
import numpy as np
import pytest
import SimpleITK as sitk

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.protocol import ANATOMIES
from CEKWorldLib.simulation import case as case_module
from CEKWorldLib.simulation.aif import arterial_plasma
from CEKWorldLib.simulation.case import AXES, Case, simulate
from CEKWorldLib.simulation.enhancement import CAPILLARY_TRANSIT_S, TISSUE_VP
from CEKWorldLib.simulation.labels import Label
from CEKWorldLib.simulation.lesion import Lesion
from CEKWorldLib.simulation.picture import case_picture
from CEKWorldLib.simulation.shapes import ellipsoid
from CEKWorldLib.simulation.tissue import SMOOTH, Tissue

SHAPE = (4, 64, 64)
MUSCLE = Tissue(t1_s=1.4, proton_density=0.8, vp=0.02, ktrans=0.03, kep=0.2, delay_s=7.0)
FAT = Tissue(t1_s=0.367, fat=1.0)
STONE = Tissue(t1_s=1.0, proton_density=0.5)
TUMOUR = Tissue(t1_s=1.5, proton_density=0.9, vp=0.05, ktrans=0.25, kep=0.7)


@dataclass
class Ball:
    """A patient as plain as can be: a ball of fat around muscle, a piece that never enhances, and one lesion."""

    anatomy = "breast"
    centre_mm = (10.0, -20.0, 30.0)
    extent_mm = (160.0, 160.0, 160.0)
    lesions: tuple[Lesion, ...]

    def paint(self, canvas):
        for radius, tissue, label in ((70, FAT, Label.FAT), (50, MUSCLE, Label.MUSCLE)):
            canvas.paint(canvas.coverage(ellipsoid(canvas.points, self.centre_mm, [radius] * 3)), tissue, label)
        stone = ellipsoid(canvas.points, np.array(self.centre_mm) + (0, 30, 0), [20, 15, 200])
        canvas.paint(canvas.coverage(stone), STONE, Label.BONE)
        for index, lesion in enumerate(self.lesions):
            lesion.paint(canvas, index)


def draw_ball(rng, field_strength_t, families):
    centre = tuple((np.array(Ball.centre_mm) + rng.uniform(-15, 15, 3) - (0, 15, 0)).tolist())
    family = str(rng.choice(families))
    return Ball((Lesion(family, True, centre, 9.0, int(rng.integers(2**31)), TUMOUR, TUMOUR, texture=SMOOTH),))


@pytest.fixture
def simulate_ball(monkeypatch):
    """``simulate("breast", ...)`` with the ball in the breast's place."""
    families = case_module.SUBJECTS["breast"][1]
    monkeypatch.setitem(case_module.SUBJECTS, "breast", (draw_ball, families))
    return partial(simulate, "breast")


def voxel(case: Case, label: int) -> tuple[int, ...]:
    """A voxel deep inside a label."""
    depth = sitk.GetArrayFromImage(
        sitk.SignedMaurerDistanceMap(sitk.GetImageFromArray((case.labels == label).astype(np.uint8)), True, False)
    )
    return np.unravel_index(depth.argmax(), depth.shape)


def test_equal_arguments_give_equal_cases(simulate_ball):
    one, two = simulate_ball(3, shape=SHAPE), simulate_ball(3, shape=SHAPE)
    assert np.array_equal(one.pre.voxels, two.pre.voxels)
    assert np.array_equal(one.signal(77.7), two.signal(77.7))
    assert one.pre.origin == two.pre.origin and one.lesions == two.lesions


def test_seeds_and_splits_give_different_cases(simulate_ball):
    cases = [simulate_ball(seed, split, SHAPE) for seed, split in ((3, "train"), (4, "train"), (3, "test"))]
    assert len({c.pre.voxels.tobytes() for c in cases}) == 3


def test_a_case_is_the_same_in_another_process():
    program = (
        "import zlib; from CEKWorldLib.simulation.case import simulate;"
        "c = simulate('abdomen', 5, shape=(1, 48, 48)); print(zlib.crc32(c.pre.voxels), zlib.crc32(c.signal(90)))"
    )
    runs = {subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout for _ in range(2)}
    assert len(runs) == 1 and runs.pop().strip()


@pytest.mark.parametrize("anatomy", ANATOMIES)
@pytest.mark.parametrize("view", AXES)
def test_every_anatomy_renders_in_every_view(anatomy, view):
    case = simulate(anatomy, 1, view=view, shape=(2, 64, 64))
    for image in (case.pre.voxels, case.signal(60.0)):
        assert image.shape == (2, 64, 64) and image.dtype == np.float32
        assert np.isfinite(image).all() and image.min() >= 0
    assert case.labels.dtype == np.uint8 and len(np.unique(case.labels)) >= 4
    assert case.enhancement(60.0).max() > 0.1 * case.pre.voxels.max()


@pytest.mark.parametrize("view", AXES)
def test_geometry_puts_the_lesion_where_it_is(simulate_ball, view):
    """SimpleITK maps the lesion's LPS position to a voxel; the label map must agree."""
    case = simulate_ball(8, view=view, shape=(5, 64, 64))
    index = case.pre.to_image().TransformPhysicalPointToIndex(case.lesions[0].centre_mm)
    assert case.labels[index[::-1]] == Label.LESION


def test_views_are_canonical(simulate_ball):
    """Feet-to-head runs up, front is at the top of an axial and at the left of a sagittal slice."""
    directions = {view: np.array(simulate_ball(1, shape=SHAPE, view=view).pre.direction) for view in AXES}
    assert all(np.linalg.det(d.reshape(3, 3)) == 1 for d in directions.values()), "DICOM knows right-handed axes only"
    columns = {view: d.reshape(3, 3).T.tolist() for view, d in directions.items()}
    assert columns["axial"] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert columns["sagittal"] == [[0, 1, 0], [0, 0, -1], [-1, 0, 0]]
    assert columns["coronal"] == [[1, 0, 0], [0, 0, -1], [0, 1, 0]]


def test_slices_and_field_of_view_vary_within_their_ranges(simulate_ball):
    cases = [simulate_ball(seed, shape=SHAPE) for seed in range(30)]
    thickness = np.array([c.pre.spacing[2] for c in cases])
    field = np.array([c.pre.spacing[0] * SHAPE[2] for c in cases]) / Ball.extent_mm[0]
    for values, low, high in ((thickness, 2.0, 5.0), (field, 0.85, 1.15)):
        assert values.min() >= low and values.max() <= high and np.ptp(values) > 0.6 * (high - low)
    assert simulate_ball(0, shape=SHAPE, slice_mm=1.25).pre.spacing[2] == 1.25


def test_a_patient_is_the_same_in_every_view_and_size(simulate_ball):
    cases = [
        simulate_ball(2, shape=shape, view=view) for shape, view in (((4, 64, 64), "axial"), ((1, 80, 48), "coronal"))
    ]
    assert cases[0].lesions == cases[1].lesions
    assert cases[0].injection == cases[1].injection and cases[0].acquisition == cases[1].acquisition


def test_signal_in_tissue_agrees_with_dcmri(simulate_ball):
    """Percent enhancement of an unmixed voxel against dcmri's tissue concentration and steady-state signal."""
    case = simulate_ball(11, shape=(3, 96, 96), slice_mm=2.0)
    inside = voxel(case, Label.LESION)
    tissue, scan, injection = TUMOUR, case.acquisition, case.injection
    assert case.maps["ktrans"][inside] == pytest.approx(tissue.ktrans, rel=1e-3)
    times = np.arange(0.0, 361.0, 0.5)
    ca = arterial_plasma(case.aif, times, injection, duration_s=case.injection_duration_s)
    kep, ktrans = tissue.kep / 60, tissue.ktrans / 60
    capillary = dcmri.expconv(ca, CAPILLARY_TRANSIT_S, times)
    assert tissue.vp <= TISSUE_VP
    concentration = tissue.vp * capillary + ktrans * dcmri.expconv(ca, 1 / kep, times) / kep
    signal = dcmri.signal_ss(
        1.0,
        1 / tissue.t1_s + injection.relaxivity * concentration,
        scan.repetition_time_ms / 1000,
        scan.flip_angle_deg,
    ) * np.exp(-scan.echo_time_ms / 1000 * 5.5 * concentration)
    for t in (60.0, 90.0, 180.0, 360.0):
        expected = signal[int(2 * t)] / signal[0] - 1
        measured = case.signal(t)[inside] / case.signal(0.0)[inside] - 1
        assert measured == pytest.approx(expected, rel=0.02, abs=0.01)


def test_nothing_enhances_before_arrival(simulate_ball):
    case = simulate_ball(4, shape=SHAPE)
    for t in (-30.0, 0.0, 5.0, case.injection.arrival_s):
        assert not case.enhancement(t).any()


def test_enhancement_is_exactly_zero_away_from_enhancing_tissue(simulate_ball):
    case = simulate_ball(4, shape=(2, 128, 128))
    still = (case.maps["vp"] == 0) & (case.maps["ktrans"] == 0)
    reach = len(case.receiver.kernel)
    deep = sitk.BinaryErode(sitk.GetImageFromArray(still.astype(np.uint8)), [reach, reach, 0], sitk.sitkBox)
    deep = sitk.GetArrayFromImage(deep).astype(bool)
    assert deep.sum() > 100
    assert not case.enhancement(120.0)[deep].any()
    assert case.enhancement(120.0)[case.labels >= Label.LESION].min() > 0


def test_signal_is_continuous_in_time(simulate_ball):
    case = simulate_ball(6, shape=(1, 64, 64))
    mask = case.labels >= Label.LESION
    times = np.arange(0.0, 120.0, 0.25)
    steps = np.abs(np.diff(case.curve(mask, times)))
    assert steps.max() < 0.06 * np.ptp(case.curve(mask, times))


def test_a_curve_is_the_mean_signal_of_its_mask(simulate_ball):
    case = simulate_ball(6, shape=SHAPE)
    mask = case.labels == Label.MUSCLE
    for t, value in zip((0.0, 45.5, 300.0), case.curve(mask, (0.0, 45.5, 300.0)), strict=True):
        assert value == pytest.approx(case.signal(t)[mask].mean(dtype=float), rel=1e-6)


def test_an_empty_or_foreign_mask_is_refused(simulate_ball):
    case = simulate_ball(6, shape=SHAPE)
    for mask in (np.zeros(SHAPE, bool), np.ones((1, 2, 3), bool)):
        with pytest.raises(ValueError, match="mask"):
            case.curve(mask, [0.0])


def test_the_acquired_volume_is_the_noiseless_one_with_rician_noise(simulate_ball):
    case = simulate_ball(9, shape=(4, 128, 128))
    sd = case.receiver.noise_sd
    noiseless = case.signal(0.0)
    air = noiseless < 0.01 * sd
    rayleigh_mean = sd * np.sqrt(np.pi / 2)
    assert case.pre.voxels[air].mean() == pytest.approx(rayleigh_mean, rel=0.03)
    muscle = case.labels == Label.MUSCLE
    difference = (case.pre.voxels - noiseless)[muscle]
    assert difference.std() == pytest.approx(sd, rel=0.03)
    assert 0.005 < sd / noiseless[muscle].mean() < 0.08


def test_fat_is_dark_under_fat_saturation_and_bright_without(simulate_ball):
    ratios = {True: [], False: []}
    for seed in range(20):
        case = simulate_ball(seed, shape=(1, 64, 64))
        signal = case.signal(0.0)
        fat, muscle = (signal[case.labels == label].mean() for label in (Label.FAT, Label.MUSCLE))
        ratios[case.acquisition.fat_saturated].append(fat / muscle)
    assert np.median(ratios[True]) < 0.5 and min(ratios[False]) > 1.2


def test_the_coil_varies_smoothly_by_at_most_thirty_percent(simulate_ball):
    for seed in range(5):
        gain = simulate_ball(seed, shape=(2, 64, 64)).receiver.gain
        assert gain.max() / gain.min() <= 1.3 / 0.7
        assert np.abs(np.diff(gain, axis=1)).max() < 0.06 * gain.mean()


def test_a_saved_case_loads_with_the_same_truth(simulate_ball, tmp_path):
    case = simulate_ball(12, shape=SHAPE, view="coronal")
    case.save(tmp_path / "case")
    loaded = Case.load(tmp_path / "case")
    for t in (0.0, 33.3, 250.0):
        assert np.array_equal(loaded.signal(t), case.signal(t))
    assert np.array_equal(loaded.pre.voxels, case.pre.voxels) and np.array_equal(loaded.labels, case.labels)
    assert np.allclose(loaded.pre.origin, case.pre.origin) and np.allclose(loaded.pre.spacing, case.pre.spacing)
    assert loaded.pre.direction == case.pre.direction
    for name in ("anatomy", "seed", "split", "view", "acquisition", "injection", "aif", "lesions"):
        assert getattr(loaded, name) == getattr(case, name)


def test_case_json_names_the_seed_the_lesions_and_their_kinetics(simulate_ball, tmp_path):
    simulate_ball(12, shape=SHAPE).save(tmp_path / "case")
    constants = json.loads((tmp_path / "case" / "case.json").read_text())
    assert constants["seed"] == 12 and constants["split"] == "train"
    lesion = constants["lesions"][0]
    assert lesion["malignant"] is True and lesion["rim"]["kep"] == TUMOUR.kep


def test_saving_again_replaces_a_case_and_spares_anything_else(simulate_ball, tmp_path):
    case = simulate_ball(12, shape=SHAPE)
    case.save(tmp_path / "case")
    simulate_ball(13, shape=SHAPE).save(tmp_path / "case")
    assert Case.load(tmp_path / "case").seed == 13
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(CEKWorldError, match="thesis"):
        case.save(tmp_path / "thesis")
    assert [p.name for p in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]


def test_a_failed_save_leaves_nothing_behind(simulate_ball, tmp_path, monkeypatch):
    case = simulate_ball(12, shape=SHAPE)
    monkeypatch.setattr(case_module.sitk, "WriteImage", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("full")))
    with pytest.raises(CEKWorldError, match="Cannot write"):
        case.save(tmp_path / "case")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_case_is_reported_by_name(simulate_ball, tmp_path):
    simulate_ball(12, shape=SHAPE).save(tmp_path / "case")
    (tmp_path / "case" / "maps" / "kep.nrrd").unlink()
    with pytest.raises(CEKWorldError, match="case"):
        Case.load(tmp_path / "case")


def test_the_exam_holds_no_truth(simulate_ball):
    case = simulate_ball(12, shape=SHAPE)
    exam = case.to_exam()
    assert exam.pre is case.pre and exam.anatomy == "breast" and exam.acquisition == case.acquisition


@pytest.mark.parametrize(("anatomy", "view"), [("knee", "axial"), ("breast", "oblique")])
def test_unknown_anatomies_and_views_are_refused(anatomy, view):
    with pytest.raises(ValueError, match="anatomies are"):
        simulate(anatomy, 0, view=view)


def test_a_picture_is_written(simulate_ball, tmp_path):
    case_picture(simulate_ball(12, shape=SHAPE), tmp_path / "case.png")
    assert (tmp_path / "case.png").read_bytes().startswith(b"\x89PNG")
