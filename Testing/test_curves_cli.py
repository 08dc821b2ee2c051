"""``cekworld curves``: from a series on disk to plots, tables and maps, whole or not at all."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from CEKWorldLib.cli.curves import FILES
from CEKWorldLib.cli.main import OK, USER_ERROR, main
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.export.seq_nrrd import write_sequence
from CEKWorldLib.kinetics.curve_type import CurveType
from CEKWorldLib.kinetics.maps import MAP_NAMES, maps
from CEKWorldLib.kinetics.settings import Settings

TIMES = (-40.0, -20.0, 0.0, 30.0, 60.0, 90.0, 150.0, 210.0, 270.0, 330.0)
# Signal falls by 8 % from 90 s to the end, enhancement by 12 %: a plateau by one definition, washout by the other.
LESION = 1 + np.interp(TIMES, [0, 90, 330], [0, 2.0, 1.76])
TURN = np.deg2rad(15.0)
GRID = Volume(
    np.zeros((3, 24, 20), np.float32),
    spacing=(0.8, 0.9, 3.0),
    origin=(-40.0, 12.5, 7.25),
    direction=(np.cos(TURN), -np.sin(TURN), 0.0, np.sin(TURN), np.cos(TURN), 0.0, 0.0, 0.0, 1.0),
)


def write_series(path: Path, synthetic: bool = True, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    frames = np.full((len(TIMES), *GRID.shape), 150.5, np.float32)
    frames[:, 1, 8:14, 6:12] = 300.25 * LESION[:, None, None]
    frames += noise * rng.standard_normal(frames.shape, dtype=np.float32)
    write_sequence(path, GRID.like(frames[0]), TIMES, frames, {"CEKWorld.Synthetic": "1"} if synthetic else {})
    return frames


def write_mask(path: Path, grid: Volume = GRID, labels: tuple[int, ...] = (1,)) -> None:
    mask = np.zeros(grid.shape, np.uint8)
    for label in labels:
        mask[1 if label == 1 else 0, 8:14, 6:12] = label
    image = grid.like(mask).to_image()
    sitk.WriteImage(image, str(path))


@pytest.fixture
def series(tmp_path) -> Path:
    write_series(tmp_path / "series.seq.nrrd")
    write_mask(tmp_path / "lesion.nrrd")
    return tmp_path / "series.seq.nrrd"


def curves(series: Path, *more: str) -> int:
    return main(["curves", str(series), "--output", str(series.parent / "out"), *more])


def statistics(folder: Path) -> list[dict[str, str]]:
    lines = (folder / "statistics.csv").read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


@pytest.mark.parametrize(("definition", "kind"), [("signal", "plateau"), ("enhancement", "washout")])
def test_a_region_gets_its_files_and_the_type_of_the_definition_asked_for(series, capsys, definition, kind):
    assert curves(series, "--roi", str(series.parent / "lesion.nrrd"), "--definition", definition) == OK
    out = series.parent / "out"
    assert {path.name for path in out.iterdir()} == set(FILES) - {"maps"}
    (row,) = statistics(out)
    assert (row["region"], row["curve_type"], row["initial_phase"]) == ("lesion", kind, "fast")
    assert float(row["volume_mm3"]) == pytest.approx(36 * 0.8 * 0.9 * 3.0)
    shown = capsys.readouterr().out
    assert "SYNTHETIC" in shown and f"of the {definition}" in shown and kind in shown


def test_every_option_reaches_the_settings_that_are_stored(series):
    definitions = (
        "--reference",
        "peak",
        "--t-e",
        "60",
        "--t-l",
        "210",
        "--gate",
        "70",
        "--arrival",
        "5",
        "--noise",
        "3",
    )
    options = (*definitions, "--cursor", "100", "--mode", "hottest")
    assert curves(series, "--roi", str(series.parent / "lesion.nrrd"), *options) == OK
    document = json.loads((series.parent / "out" / "kinetics.json").read_text())
    assert Settings.from_dict(document["settings"]) == Settings(
        reference="peak", t_e_s=60.0, t_l_s=210.0, gate_percent=70.0, arrival_s=5.0, noise_sd=3.0
    )
    assert document["regions"][0]["curve_voxels"] == 9
    assert "100 s" in (series.parent / "out" / "curves.svg").read_text(encoding="utf-8")


def test_maps_lie_where_the_series_lies_and_hold_what_the_library_computes(series):
    frames = write_series(series, noise=4.0)
    assert curves(series, "--maps") == OK
    out = series.parent / "out"
    assert [path.name for path in out.iterdir()] == ["maps"]
    expected = maps(frames, np.array(TIMES))
    for name in MAP_NAMES:
        image = sitk.ReadImage(str(out / "maps" / f"{name}.nrrd"))
        np.testing.assert_allclose(sitk.GetArrayFromImage(image), expected[name], rtol=1e-4, atol=1e-4, err_msg=name)
        np.testing.assert_allclose(image.GetDirection(), GRID.direction, atol=1e-9)
        np.testing.assert_allclose(image.GetOrigin(), GRID.origin)
        assert image.GetMetaData("CEKWorld.Synthetic") == "1"
        assert Settings.from_dict(json.loads(image.GetMetaData("CEKWorld.Settings"))).definition == "signal"
    types = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "maps" / "curve_type.nrrd")))
    assert types.dtype == np.uint8 and np.bincount(types[1, 8:14, 6:12].ravel()).argmax() == CurveType.PLATEAU
    assert (out / "maps" / "curve_type_standard.ctbl").is_file()


def test_each_label_is_a_region_and_one_of_them_the_reference_tissue(series):
    write_mask(series.parent / "both.nii.gz", labels=(1, 2))
    assert curves(series, "--roi", str(series.parent / "both.nii.gz"), "--tissue", "both 1") == OK
    first, second = statistics(series.parent / "out")
    assert (first["region"], second["region"]) == ("both 1", "both 2")
    assert float(first["relative_enhancement"]) == 1.0 and float(second["relative_enhancement"]) == 0.0


def test_an_acquired_series_is_called_acquired(series, capsys):
    write_series(series, synthetic=False)
    assert curves(series, "--roi", str(series.parent / "lesion.nrrd")) == OK
    assert "ACQUIRED" in capsys.readouterr().out
    assert "SYNTHETIC" not in (series.parent / "out" / "curves.svg").read_text(encoding="utf-8")


def test_samples_give_a_band_and_shares(series, capsys):
    more = []
    for seed in (1, 2, 3):
        write_series(series.parent / f"seed{seed}.seq.nrrd", noise=150.0, seed=seed)
        more += ["--sample", str(series.parent / f"seed{seed}.seq.nrrd")]
    assert curves(series, "--roi", str(series.parent / "lesion.nrrd"), *more) == OK
    document = json.loads((series.parent / "out" / "kinetics.json").read_text())
    uncertainty = document["regions"][0]["uncertainty"]
    assert uncertainty["samples"] == 4 and max(uncertainty["enhancement_sd_percent"]) > 1
    assert "of 4 samples" in (series.parent / "out" / "curves.svg").read_text(encoding="utf-8")


def test_a_folder_of_samples_counts_as_each_of_them_and_samples_that_are_alike_are_noted(series, capsys):
    (series.parent / "samples").mkdir()
    for seed in (1, 2):
        write_series(series.parent / "samples" / f"seed_{seed}.seq.nrrd")
    roi = ("--roi", str(series.parent / "lesion.nrrd"))
    assert curves(series, *roi, "--sample", str(series.parent / "samples")) == OK
    assert "all samples are the same" in capsys.readouterr().out
    region = json.loads((series.parent / "out" / "kinetics.json").read_text())["regions"][0]
    assert region["uncertainty"]["samples"] == 3 and max(region["uncertainty"]["enhancement_sd_percent"]) < 1e-6


def test_maps_of_samples_come_with_their_mean_spread_and_shares(series):
    samples = [write_series(series.parent / f"seed{seed}.seq.nrrd", noise=9.0, seed=seed) for seed in (1, 2)]
    more = [text for seed in (1, 2) for text in ("--sample", str(series.parent / f"seed{seed}.seq.nrrd"))]
    assert curves(series, "--maps", *more) == OK

    def read(name: str) -> np.ndarray:
        return sitk.GetArrayFromImage(sitk.ReadImage(str(series.parent / "out" / "maps" / f"{name}.nrrd")))

    peaks = [maps(frames, np.array(TIMES))["peak_enhancement"] for frames in (write_series(series), *samples)]
    np.testing.assert_allclose(read("peak_enhancement_mean"), np.mean(peaks, axis=0), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(read("peak_enhancement_sd"), np.std(peaks, axis=0, ddof=1), rtol=1e-3, atol=1e-3)
    shares = [read(f"share_{kind.name.lower()}") for kind in CurveType]
    np.testing.assert_allclose(sum(shares), 100.0, rtol=1e-5)


def test_a_mask_on_another_grid_a_foreign_sample_and_nothing_to_do_are_refused_and_leave_nothing(series, capsys):
    lesion = series.parent / "lesion.nrrd"
    shifted = Volume(GRID.voxels, GRID.spacing, (-38.0, 12.5, 7.25), GRID.direction)
    write_mask(series.parent / "shifted.nrrd", shifted)
    frames = np.ones((3, *GRID.shape), np.float32) * np.arange(1, 4)[:, None, None, None]
    write_sequence(series.parent / "short.seq.nrrd", GRID.like(frames[0]), (0.0, 60.0, 120.0), frames, {})
    for options, word in (
        (["--roi", str(series.parent / "shifted.nrrd")], "another grid"),
        (["--roi", str(lesion), "--sample", str(series.parent / "short.seq.nrrd")], "short.seq.nrrd"),
        (["--roi", str(lesion), "--tissue", "muscle"], "no region muscle"),
        ([], "--roi"),
        (["--maps", "--sample", str(series.parent / "short.seq.nrrd")], "short.seq.nrrd"),
        (["--maps", "--times", "0,1,2,3,4,5,6,7,8,8"], ""),
    ):
        assert curves(series, *options) == USER_ERROR
        assert word in capsys.readouterr().err
        assert not (series.parent / "out").exists() and not list(series.parent.glob(".out*"))


def test_earlier_results_are_replaced_only_when_asked(series):
    roi = ("--roi", str(series.parent / "lesion.nrrd"))
    assert curves(series, *roi, "--maps") == OK
    assert curves(series, *roi) == USER_ERROR
    assert curves(series, *roi, "--overwrite") == OK
    assert not (series.parent / "out" / "maps").exists()


def test_what_a_user_put_beside_the_maps_is_not_replaced_with_them(series, capsys):
    write_series(series.parent / "other.seq.nrrd", noise=2.0, seed=1)
    assert curves(series, "--maps", "--sample", str(series.parent / "other.seq.nrrd")) == OK
    assert curves(series, "--maps", "--overwrite") == OK  # all of these maps are ours
    mine = series.parent / "out" / "maps" / "my_lesion.nrrd"
    mine.write_text("an hour of drawing")
    capsys.readouterr()
    assert curves(series, "--maps", "--overwrite") == USER_ERROR
    assert "maps/my_lesion.nrrd" in capsys.readouterr().err and mine.exists()


def test_a_series_that_does_not_tell_its_injection_says_so_in_every_table(series):
    frames = write_series(series)
    origin = {"CEKWorld.Synthetic": "0", "CEKWorld.TimeZero": "first phase"}
    write_sequence(series, GRID.like(frames[0]), [t + 40.0 for t in TIMES], frames, origin)
    assert curves(series, "--roi", str(series.parent / "lesion.nrrd")) == OK
    out = series.parent / "out"
    for name in ("curves.csv", "statistics.csv", "voxels.csv"):
        assert "time_s counts from the first phase" in (out / name).read_text()
    document = json.loads((out / "kinetics.json").read_text())
    assert document["times_count_from"] == "first phase"
    assert any("injection" in note for note in document["regions"][0]["notes"])


def test_times_in_the_wrong_order_are_refused_not_sorted(series, capsys):
    reversed_times = ",".join(f"{t:g}" for t in reversed(TIMES))
    assert curves(series, "--roi", str(series.parent / "lesion.nrrd"), f"--times={reversed_times}") == USER_ERROR
    assert "is not later than" in capsys.readouterr().err
