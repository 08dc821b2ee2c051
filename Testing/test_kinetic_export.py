"""Kinetic results on paper: plots, tables, JSON and colours that say what they show and whether it is real."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.export.kinetic_plot import plateau_band, write_kinetic_plot
from CEKWorldLib.export.kinetic_tables import (
    write_roi_curves,
    write_roi_json,
    write_roi_statistics,
    write_voxel_statistics,
)
from CEKWorldLib.export.type_colours import PALETTES, coloured_types, write_colour_table
from CEKWorldLib.kinetics.curve_type import CurveType
from CEKWorldLib.kinetics.roi import RoiResult, roi_curves, with_uncertainty
from CEKWorldLib.kinetics.settings import Settings

TIMES = np.array([-30.0, 0.0, 30.0, 60.0, 90.0, 150.0, 210.0, 270.0, 330.0])
WASHOUT = 1 + np.array([0.0, 0.0, 0.6, 1.2, 1.5, 1.4, 1.2, 1.0, 0.9])
QUIET = 1 + np.array([0.0, 0.0, 0.1, 0.15, 0.2, 0.2, 0.2, 0.2, 0.2])


def results(settings: Settings | None = None, samples: int = 0) -> list[RoiResult]:
    """Two regions, the first a washout with half its voxels quiet, the name of the second one a spreadsheet formula."""
    frames = np.empty((len(TIMES), 1, 8, 8))
    frames[:, :, :4] = 200 * WASHOUT[:, None, None, None]
    frames[:, :, 4:] = 200 * QUIET[:, None, None, None]
    masks = {"lesion": np.zeros((1, 8, 8), bool), "=muscle": np.zeros((1, 8, 8), bool)}
    masks["lesion"][:, 2:5, :3] = True
    masks["=muscle"][:, 5:] = True
    regions = roi_curves(frames, TIMES, masks, settings, voxel_mm3=2.0)
    if not samples:
        return regions
    rng = np.random.default_rng(0)
    return with_uncertainty(regions, [frames + rng.normal(0, 60, frames.shape) for _ in range(samples)], TIMES)


def rows(path) -> list[dict[str, str]]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


def test_the_band_of_a_plateau_has_the_units_of_the_plot():
    # Reference 150 % at 90 s: ten per cent of the signal 250 are 25, of the enhancement 15 points of enhancement.
    curve, mask = 200 * WASHOUT[:, None, None, None], {"lesion": np.ones((1, 1, 1))}
    by_signal, by_enhancement = (
        roi_curves(curve, TIMES, mask, Settings(definition=definition))[0] for definition in ("signal", "enhancement")
    )
    assert plateau_band(by_signal) == pytest.approx((125.0, 175.0))
    assert plateau_band(by_enhancement) == pytest.approx((135.0, 165.0))


@pytest.mark.parametrize(
    ("synthetic", "word", "other"), [(True, "SYNTHETIC", "ACQUIRED"), (False, "ACQUIRED", "SYNTHETIC")]
)
def test_a_plot_says_its_origin_its_definition_and_its_times(tmp_path, synthetic, word, other):
    settings = Settings(definition="enhancement", reference="peak")
    write_kinetic_plot(tmp_path / "curves.svg", results(settings), synthetic, cursor_s=123.0)
    text = (tmp_path / "curves.svg").read_text(encoding="utf-8")
    assert word in text and other not in text
    assert "123 s" in text and "90 s" in text and "330 s" in text
    assert "plateau within ±10 % of the enhancement at the peak until 180 s" in text
    assert "washout (" in text and "lesion" in text
    assert "=muscle: weak enhancement" in text


def test_a_plot_of_samples_gives_shares_instead_of_one_label(tmp_path):
    write_kinetic_plot(tmp_path / "curves.svg", results(samples=7), True)
    text = (tmp_path / "curves.svg").read_text(encoding="utf-8")
    assert "of 7 samples" in text and "mean ± 1 sd" in text and "washout (" not in text


def test_the_same_plot_is_the_same_file_and_the_cursor_changes_it(tmp_path):
    for name, cursor in (("a.png", None), ("b.png", None), ("c.png", 150.0)):
        write_kinetic_plot(tmp_path / name, results(), False, cursor)
    pictures = [matplotlib.image.imread(tmp_path / f"{name}.png") for name in "abc"]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert (pictures[0] != pictures[2]).any() and min(pictures[0].shape[:2]) > 900


def test_a_name_with_dollars_is_written_as_it_is(tmp_path):
    named = [replace(result, name="$\\frac$ " + result.name) for result in results()]
    write_kinetic_plot(tmp_path / "curves.svg", named, False)
    text = (tmp_path / "curves.svg").read_text(encoding="utf-8")
    assert text.count(r"$\frac$ lesion") == 1 and r"$\frac$ =muscle: weak enhancement" in text


def test_a_picture_of_no_known_format_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(CEKWorldError, match=r"\.png or \.svg"):
        write_kinetic_plot(tmp_path / "curves.tiff", results(), False)
    assert not list(tmp_path.iterdir())


def test_the_curve_table_holds_signal_enhancement_and_its_spread(tmp_path):
    found = results(samples=5)
    write_roi_curves(tmp_path / "curves.csv", found, synthetic=True)
    table = rows(tmp_path / "curves.csv")
    assert [float(row["time_s"]) for row in table] == TIMES.tolist()
    np.testing.assert_allclose([float(row["lesion signal"]) for row in table], found[0].signal, rtol=1e-5)
    np.testing.assert_allclose(
        [float(row["lesion enhancement_percent"]) for row in table], found[0].enhancement, rtol=1e-5
    )
    assert float(table[-1]["lesion enhancement_sd_percent"]) > 0
    assert (tmp_path / "curves.csv").read_text().startswith("# SYNTHETIC")


def test_the_statistics_table_names_units_and_the_kind_of_ratio(tmp_path):
    found = results()
    write_roi_statistics(tmp_path / "statistics.csv", found, synthetic=False)
    text, table = (tmp_path / "statistics.csv").read_text(), rows(tmp_path / "statistics.csv")
    assert text.startswith("# ACQUIRED") and found[0].settings.description() in text
    lesion = table[0]
    assert float(lesion["SER_UCSF"]) == pytest.approx(float(found[0].statistics.ser), rel=1e-5)
    assert float(lesion["ttp_s"]) == 90.0 and float(lesion["volume_mm3"]) == 18.0
    assert lesion["curve_type"] == "washout" and lesion["initial_phase"] == "fast"
    assert float(lesion["washout_percent_of_enhancing"]) == 100.0 and lesion["enhancing_voxels"] == "6"
    assert lesion["relative_enhancement"] == ""


def test_no_name_becomes_a_spreadsheet_formula(tmp_path):
    write_roi_statistics(tmp_path / "statistics.csv", results(), synthetic=False)
    assert rows(tmp_path / "statistics.csv")[1]["region"] == "'=muscle"


def test_every_voxel_of_every_region_is_a_row(tmp_path):
    found = results()
    write_voxel_statistics(tmp_path / "voxels.csv", found, synthetic=False)
    table = rows(tmp_path / "voxels.csv")
    assert len(table) == sum(result.voxels for result in found)
    first = table[0]
    assert (first["region"], first["slice"], first["row"], first["column"]) == ("lesion", "0", "2", "0")
    assert first["curve_type"] == "washout" and float(first["percent_enhancement"]) == pytest.approx(150.0)
    assert table[-1]["curve_type"] == "none"


def test_the_json_is_strict_and_restores_the_settings(tmp_path):
    settings = Settings(definition="enhancement", arrival_s=3.0)
    found = results(settings, samples=4)
    write_roi_json(tmp_path / "kinetics.json", found, synthetic=True)
    document = json.loads((tmp_path / "kinetics.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert document["origin"] == "SYNTHETIC"
    assert Settings.from_dict(document["settings"]) == settings
    lesion = document["regions"][0]
    assert lesion["statistics"]["percent_enhancement"] == pytest.approx(float(found[0].statistics.percent_enhancement))
    assert lesion["signal"] == pytest.approx(found[0].signal.tolist())
    assert lesion["relative_enhancement"] is None
    assert sum(lesion["uncertainty"]["type_shares_percent"].values()) == pytest.approx(100.0)
    assert lesion["type_shares_percent"]["washout"] == 100.0


@pytest.mark.parametrize("palette", PALETTES)
def test_types_have_their_colours_and_none_is_transparent(palette):
    painted = coloured_types(np.array([[0, 1], [2, 3]], np.uint8), palette)
    assert painted.shape == (2, 2, 4) and painted[..., 3].tolist() == [[0, 255], [255, 255]]
    assert tuple(painted[1, 1, :3]) == PALETTES[palette][CurveType.WASHOUT]


def test_the_standard_colours_are_blue_green_and_red():
    colours = [PALETTES["standard"][kind] for kind in (CurveType.PERSISTENT, CurveType.PLATEAU, CurveType.WASHOUT)]
    assert [int(np.argmax(colour)) for colour in colours] == [2, 1, 0]


def test_the_safe_colours_differ_in_lightness_where_red_and_green_do_not_tell(tmp_path):
    # Luma, all that a reader without colour vision has; the plateau must not be taken for washout.
    luma = {kind: np.dot(colour, (0.299, 0.587, 0.114)) for kind, colour in PALETTES["colour-blind"].items()}
    assert luma[CurveType.PLATEAU] - luma[CurveType.WASHOUT] > 60
    assert luma[CurveType.PLATEAU] - luma[CurveType.PERSISTENT] > 60


def test_the_colour_table_is_one_that_slicer_reads(tmp_path):
    write_colour_table(tmp_path / "types.ctbl")
    lines = (tmp_path / "types.ctbl").read_text().splitlines()
    table = [line.split() for line in lines if not line.startswith("#")]
    assert [row[:2] for row in table] == [["0", "none"], ["1", "persistent"], ["2", "plateau"], ["3", "washout"]]
    assert all(len(row) == 6 for row in table)
