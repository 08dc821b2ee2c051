"""Exports: sequences that Slicer opens, curves as numbers, pictures that can be trusted."""

from __future__ import annotations

import resource
import tracemalloc
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.export import style
from CEKWorldLib.export.contact_sheet import write_contact_sheet
from CEKWorldLib.export.curve_plot import plot_times, write_curve_plot
from CEKWorldLib.export.curves import RegionCurve, percent_enhancement
from CEKWorldLib.export.curves_csv import write_curves
from CEKWorldLib.export.seq_nrrd import read_sequence, write_sequence

TIMES = (0.0, 23.5, 61.25, 360.0)
TURN = np.deg2rad(20.0)
OBLIQUE = (np.cos(TURN), -np.sin(TURN), 0.0, np.sin(TURN), np.cos(TURN), 0.0, 0.0, 0.0, 1.0)


def oblique_volume(shape=(4, 6, 5)) -> Volume:
    voxels = np.random.default_rng(0).uniform(0, 900, shape).astype(np.float32)
    return Volume(voxels, spacing=(0.7, 0.9, 3.3), origin=(-101.5, 33.25, 7.125), direction=OBLIQUE)


def frames_of(volume: Volume) -> list[np.ndarray]:
    return [volume.voxels * (1 + 0.01 * t) for t in TIMES]


def test_slicer_opens_the_sequence_with_its_index_geometry_and_attributes(tmp_path):
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    vtk = pytest.importorskip("vtk")
    from vtk.util.numpy_support import vtk_to_numpy

    volume, path = oblique_volume(), tmp_path / "phases.seq.nrrd"
    write_sequence(path, volume, TIMES, frames_of(volume), {"CEKWorld.Synthetic": "1"})

    scene = slicer.vtkMRMLScene()
    slicer.vtkSlicerSequencesLogic().SetMRMLScene(scene)
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "phases")
    storage = slicer.vtkMRMLVolumeSequenceStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(str(path))
    assert storage.ReadData(sequence) == 1

    assert (sequence.GetIndexName(), sequence.GetIndexUnit()) == ("time", "s")
    assert [float(sequence.GetNthIndexValue(n)) for n in range(sequence.GetNumberOfDataNodes())] == list(TIMES)
    assert sequence.GetAttribute("CEKWorld.Synthetic") == "1"
    assert sequence.GetNthDataNode(0).GetClassName() == "vtkMRMLScalarVolumeNode"
    for n, frame in enumerate(frames_of(volume)):
        node = sequence.GetNthDataNode(n)
        scalars = vtk_to_numpy(node.GetImageData().GetPointData().GetScalars()).reshape(volume.shape)
        np.testing.assert_allclose(scalars, frame, rtol=1e-6)
        matrix = vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(matrix)
        to_ras = np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])
        index = np.array([3, 2, 1])
        lps = np.array(volume.to_image().TransformContinuousIndexToPhysicalPoint(index.astype(float).tolist()))
        np.testing.assert_allclose((to_ras @ [*index, 1])[:3], lps * [-1, -1, 1], atol=1e-9)


def test_pynrrd_reads_every_frame_and_simpleitk_the_same_voxels(tmp_path):
    volume, path = oblique_volume(), tmp_path / "phases.seq.nrrd"
    write_sequence(path, volume, TIMES, frames_of(volume), {"note": "two\nlines \\ one"})
    data, header = nrrd.read(str(path), index_order="C")
    np.testing.assert_array_equal(data, np.stack(frames_of(volume)).astype(np.float32))
    assert header["kinds"] == ["domain", "domain", "domain", "list"]
    assert header["axis 3 index values"].split() == ["0", "23.5", "61.25", "360"]
    image = sitk.ReadImage(str(path))
    # ITK takes the list axis for the components of a vector image.
    np.testing.assert_array_equal(np.moveaxis(sitk.GetArrayFromImage(image), -1, 0), data)
    np.testing.assert_allclose(image.GetDirection(), volume.direction, atol=1e-12)
    np.testing.assert_allclose((image.GetSpacing(), image.GetOrigin()), (volume.spacing, volume.origin), rtol=1e-12)


def test_a_sequence_reads_back_as_it_was_written(tmp_path):
    volume, path = oblique_volume(), tmp_path / "phases.seq.nrrd"
    write_sequence(path, volume, TIMES, frames_of(volume), {"CEKWorld.Model": "compact"})
    back = read_sequence(path)
    assert back.attributes == {"CEKWorld.Model": "compact"}
    assert back.times_s.tolist() == list(TIMES)
    np.testing.assert_allclose(back.volume.spacing, volume.spacing, rtol=1e-12)
    np.testing.assert_allclose(back.volume.direction, volume.direction, atol=1e-12)
    assert back.volume.origin == volume.origin


@pytest.mark.parametrize(
    ("voxels", "kind"),
    [
        (np.arange(4096.0).reshape(4, 32, 32), np.int16),
        (np.arange(4096.0).reshape(4, 32, 32) + 0.5, np.float32),
        (np.arange(4096.0).reshape(4, 32, 32) * 10, np.float32),
        (np.arange(4096.0).reshape(4, 32, 32) % 256, np.float32),
    ],
    ids=["12-bit integers", "fractions", "no headroom in int16", "8-bit, rounding would show"],
)
def test_integers_are_stored_only_where_nothing_is_lost(tmp_path, voxels, kind):
    path = tmp_path / "phases.seq.nrrd"
    write_sequence(path, Volume(voxels.astype(np.float32)), (0.0,), [voxels + 0.25], {})
    frames = read_sequence(path).frames
    assert frames.dtype == kind
    np.testing.assert_array_equal(frames[0], np.rint(voxels + 0.25) if kind == np.int16 else voxels + 0.25)


def test_frames_are_written_one_by_one(tmp_path):
    shape = (8, 128, 128)
    frame_bytes = 4 * np.prod(shape)
    frames = (np.full(shape, t, np.float32) for t in range(40))
    tracemalloc.start()
    write_sequence(tmp_path / "long.seq.nrrd", Volume(np.full(shape, 0.5, np.float32)), range(40), frames, {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * frame_bytes


def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path):
    path = tmp_path / "phases.seq.nrrd"
    path.write_text("earlier")
    noise = np.random.default_rng(0).normal(size=(8, 64, 64)).astype(np.float32)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(CEKWorldError, match=r"phases\.seq\.nrrd"):
            write_sequence(path, Volume(noise), (0.0, 1.0), [noise, noise], {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [p.name for p in tmp_path.iterdir()] == ["phases.seq.nrrd"]
    assert path.read_text() == "earlier"


@pytest.mark.parametrize("name", ["a file/curves.csv", "no folder/curves.csv", f"{'long' * 63}.csv"])
def test_a_place_nothing_can_be_written_to_is_named(tmp_path, name):
    (tmp_path / "a file").touch()
    curve = RegionCurve("lesion", 9, np.array([0.0]), 1.0, np.array([1.0]))
    with pytest.raises(CEKWorldError, match="Cannot write"):
        write_curves(tmp_path / name, [curve], 20.0)
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]


def test_an_interrupted_series_leaves_nothing(tmp_path):
    def frames():
        yield np.zeros((2, 3, 4), np.float32)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sequence(tmp_path / "a.seq.nrrd", Volume(np.zeros((2, 3, 4), np.float32)), (0, 1), frames(), {})
    assert not list(tmp_path.iterdir())


def test_what_is_not_a_sequence_is_refused_by_name(tmp_path):
    path = tmp_path / "volume.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5), np.float32)), str(path))
    with pytest.raises(CEKWorldError, match=r"volume\.nrrd"):
        read_sequence(path)


def test_percent_enhancement_by_hand():
    np.testing.assert_allclose(percent_enhancement(np.array([200.0, 399.0, 100.0]), 200.0), [0.0, 99.5, -50.0])
    assert np.isnan(percent_enhancement(np.array([1.0, 2.0]), 0.0)).all()


def region(name: str, peak: float, truth: bool) -> RegionCurve:
    times = plot_times(0.0, 360.0, 20.0)
    rise = np.where(times > 20, (1 - np.exp(-(times - 20) / 25)) * np.exp(-(times - 20) / 900), 0.0)
    signal = 300 * (1 + peak * rise)
    return RegionCurve(name, 120, times, 300.0, signal, *((310.0, 310 * (1 + 1.1 * peak * rise)) if truth else ()))


def test_peak_and_time_to_peak_of_a_known_curve():
    curve = RegionCurve("lesion", 9, np.array([0.0, 30, 60, 120]), 50.0, np.array([50.0, 75, 110, 90]))
    assert curve.peak == (120.0, 60.0)
    assert curve.enhancement_at(90.0) == pytest.approx(100.0)


def test_curves_csv_says_synthetic_and_reads_back(tmp_path):
    curves = [region("lesion, left", 1.0, True), region("liver", 0.4, True)]
    write_curves(tmp_path / "curves.csv", curves, 20.0)
    lines = (tmp_path / "curves.csv").read_text().splitlines()
    assert lines[0].startswith("# SYNTHETIC")
    table = np.genfromtxt([line for line in lines if not line.startswith("#")][1:], delimiter=",")
    assert table.shape == (len(curves[0].times_s), 1 + 2 * 4)
    np.testing.assert_allclose(table[:, 2], curves[0].enhancement, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(table[:, 8], curves[1].true_enhancement, rtol=1e-4, atol=1e-9)


def test_a_region_named_like_a_formula_is_text_in_a_spreadsheet(tmp_path):
    write_curves(tmp_path / "curves.csv", [region("=1+1", 1.0, False)], 20.0)
    assert "time_s,'=1+1 signal,'=1+1 enhancement_percent" in (tmp_path / "curves.csv").read_text()


def test_plot_times_are_dense_early_and_keep_both_ends():
    times = plot_times(0.0, 360.0, 20.0)
    assert (times[0], times[-1]) == (0.0, 360.0)
    assert np.diff(times[times < 90]).max() <= 2.1 and np.diff(times).max() <= 10.1
    assert plot_times(30.0, 30.0, 20.0).tolist() == [30.0]


def test_curve_plot_declares_itself_synthetic(tmp_path):
    path = tmp_path / "curves.png"
    write_curve_plot(path, [region("lesion", 1.0, True)], 20.0, (0, 30, 60, 360), "model x")
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    assert min(image.shape[:2]) > 700
    assert b"SYNTHETIC" in path.read_bytes()[:2000]


def test_dollars_in_the_words_of_a_user_are_no_formula(tmp_path):
    words = "$\\frac$ of $5"
    write_curve_plot(tmp_path / "curves.png", [replace(region("lesion", 1.0, True), name=words)], 20.0, (0, 360), words)
    assert sheet_pixels(tmp_path / "sheet.png", head_like(), subtitle=words).any()


@pytest.mark.filterwarnings("error:Glyph")
def test_letters_that_matplotlibs_own_font_lacks_come_from_the_machines_fonts(tmp_path, monkeypatch):
    curve = replace(region("lesion", 1.0, True), name="lesion \u210a")  # a letter of STIX that DejaVu Sans lacks
    with pytest.raises(UserWarning, match="Glyph 8458"):
        write_curve_plot(tmp_path / "curves.png", [curve], 20.0, (0, 360))
    monkeypatch.setattr(style, "FURTHER_FONTS", ("No such font", "STIXGeneral"))
    write_curve_plot(tmp_path / "curves.png", [curve], 20.0, (0, 360))
    assert (tmp_path / "curves.png").exists()


def sheet_pixels(path: Path, volume: Volume, **changes) -> np.ndarray:
    planes = changes.pop("planes", volume.voxels[1:3, None].repeat(3, axis=1))
    write_contact_sheet(path, volume, (1, 2), (0.0, 40.0, 90.0), planes, 20.0, **changes)
    return matplotlib.image.imread(path)[..., :3]


def head_like() -> Volume:
    k, j, i = np.mgrid[:4, :60, :80]
    body = ((i - 40) / 36) ** 2 + ((j - 30) / 26) ** 2 < 1
    return Volume((body * (200 + 3 * i + 5 * j + 7 * k)).astype(np.float32), spacing=(1.0, 1.0, 3.0))


def test_the_same_anatomy_looks_the_same_however_it_is_stored(tmp_path):
    volume = head_like()
    stored = {
        "columns reversed": Volume(volume.voxels[:, :, ::-1], (1, 1, 3), (79, 0, 0), (-1, 0, 0, 0, 1, 0, 0, 0, 1)),
        "rows reversed": Volume(volume.voxels[:, ::-1], (1, 1, 3), (0, 59, 0), (1, 0, 0, 0, -1, 0, 0, 0, 1)),
        "transposed": Volume(volume.voxels.transpose(0, 2, 1), (1, 1, 3), (0, 0, 0), (0, 1, 0, 1, 0, 0, 0, 0, 1)),
    }
    expected = sheet_pixels(tmp_path / "a.png", volume)
    for name, other in stored.items():
        np.testing.assert_array_equal(sheet_pixels(tmp_path / "b.png", other), expected, err_msg=name)


def test_one_window_serves_all_times(tmp_path):
    volume = head_like()
    still = sheet_pixels(tmp_path / "a.png", volume)
    planes = volume.voxels[1:3, None].repeat(3, axis=1)
    planes[:, 2] *= 2
    moved = sheet_pixels(tmp_path / "b.png", volume, planes=planes)
    # With the last column twice as bright, the others must come out darker than in the still series.
    below_titles, first_column = slice(still.shape[0] // 2, None), slice(0, still.shape[1] // 3)
    assert moved[below_titles, first_column].mean() < 0.7 * still[below_titles, first_column].mean()


def test_truth_and_regions_add_rows_and_outlines(tmp_path):
    volume = head_like()
    mask = np.zeros(volume.shape, bool)
    mask[:, 20:40, 30:50] = True
    plain = sheet_pixels(tmp_path / "a.png", volume)
    planes = volume.voxels[1:3, None].repeat(3, axis=1)
    full = sheet_pixels(tmp_path / "b.png", volume, truth=planes, regions={"lesion": mask})
    assert full.shape[0] > 1.5 * plain.shape[0]
    coloured = np.ptp(full, axis=2) > 0.3
    assert coloured.sum() > (np.ptp(plain, axis=2) > 0.3).sum()
