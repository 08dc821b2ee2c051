"""Curves and frames as the viewer's page gets them, without browser, scene or model."""

from __future__ import annotations

import json

import numpy as np
import pytest

from CEKWorldLib.errors import OutOfMemory
from CEKWorldLib.kinetics.roi import RoiResult, roi_curves, with_uncertainty
from CEKWorldLib.scene.region import Region
from CEKWorldLib.web.curve_figure import curve_figure
from CEKWorldLib.web.curve_table import css, curve_rows
from CEKWorldLib.web.sample_frames import SampleFrames

TIMES_S = np.array([0.0, 30.0, 60.0, 90.0, 240.0, 360.0])
WASHOUT = np.array([100.0, 180.0, 240.0, 250.0, 200.0, 180.0])
PERSISTENT = np.array([100.0, 120.0, 150.0, 170.0, 200.0, 220.0])
SHAPE = (1, 2, 4)


def measured(signal: np.ndarray, samples: int = 0) -> tuple[list[Region], list[RoiResult]]:
    frames = np.broadcast_to(signal[:, None, None, None], (len(signal), *SHAPE)).astype(float)
    box = tuple(slice(0, side) for side in SHAPE)
    region = Region("lesion", SHAPE, box, np.ones(SHAPE, bool), (0.9, 0.62, 0.0))
    results = roi_curves(frames, TIMES_S, {"lesion": region.mask})
    if samples:
        after = (TIMES_S > 0)[:, None, None, None]
        results = with_uncertainty(results, [frames * (1 + 0.1 * n * after) for n in range(samples)], TIMES_S)
    return [region], results


@pytest.mark.parametrize(
    ("signal", "name", "colour"),
    [(WASHOUT, "III washout", "rgb(255, 0, 0)"), (PERSISTENT, "I persistent", "rgb(0, 0, 255)")],
)
def test_a_row_names_the_class_in_the_colour_of_the_overlay(signal, name, colour):
    regions, results = measured(signal)
    (row,) = curve_rows(["id"], regions, results)
    assert (row["id"], row["type"], row["voxels"], row["colour"]) == ("id", name, 8, "#e69e00")
    assert row["type_style"].startswith(f"background: {colour}")
    assert row["early"] == f"{signal[3] - 100:+.0f} %"


def test_a_region_without_a_curve_is_a_row_without_a_class():
    regions, _ = measured(WASHOUT)
    (row,) = curve_rows(["id"], regions, [])
    assert row["voxels"] == 8 and "type" not in row


def test_rows_and_figure_travel_as_json_where_a_value_is_not_defined():
    regions, results = measured(np.array([100.0, np.nan, 100.0, 100.0, 100.0, 100.0])[[0, 2, 3, 4, 5, 2]])
    document = {"rows": curve_rows(["id"], regions, results), "figure": curve_figure(results, [(1, 0, 0)], 0, 360)}
    assert json.loads(json.dumps(document, allow_nan=False))["rows"][0]["ser"] == "–"


def test_the_figure_holds_the_curve_its_axes_and_the_times_of_the_class():
    _, results = measured(WASHOUT)
    figure = curve_figure(results, [(0.9, 0.62, 0.0)], 0.0, 367.2)
    (curve,) = figure["data"]
    assert curve["x"] == TIMES_S.tolist() and np.allclose(curve["y"], WASHOUT - 100)
    layout = figure["layout"]
    assert layout["xaxis"]["range"] == [0.0, 367.2] and "(s)" in layout["xaxis"]["title"]["text"]
    assert [note["text"] for note in layout["annotations"]] == ["t_e 90 s", "t_l 360 s"]
    assert layout["yaxis"]["range"][0] < 0 and layout["yaxis"]["range"][1] > 150


@pytest.mark.parametrize(("from_injection", "zero"), [(True, "injection start"), (False, "the first phase")])
def test_the_time_axis_says_what_it_counts_from_before_there_is_a_curve(from_injection, zero):
    layout = curve_figure([], [], 0, 360, from_injection)["layout"]
    assert layout["xaxis"]["title"]["text"] == f"time after {zero} (s)"


def test_samples_draw_a_band_of_one_standard_deviation():
    _, results = measured(WASHOUT, samples=3)
    band, curve = curve_figure(results, [(0.9, 0.62, 0.0)], 0, 360)["data"]
    upper, lower = np.array(band["y"][: len(TIMES_S)]), np.array(band["y"][len(TIMES_S) :])[::-1]
    assert np.allclose(upper - lower, 2 * results[0].uncertainty.enhancement_sd)
    assert curve["mode"] == "lines+markers"
    assert curve_rows(["id"], *measured(WASHOUT, samples=3))[0]["spread"] == "100 % of 3 samples"


def test_colours_are_written_as_style_sheets_do():
    assert css((1.0, 0.0, 0.5)) == "#ff0080"


def test_frames_up_to_arrival_are_the_source_and_files_go_with_the_series(tmp_path):
    pre = np.arange(8, dtype=np.float32).reshape(SHAPE)
    frames = SampleFrames(tmp_path, 1, (0.0, 20.0, 60.0), pre, 20.0)
    assert frames.missing == [(2, 60.0)]
    with frames.new_sample() as sample:
        sample[2] = 5.0
    assert np.array_equal(sample[0], pre) and np.array_equal(sample[1], pre) and frames.samples[0] is sample
    frames.discard()
    assert not list(tmp_path.iterdir()) and sample[2].max() == 5.0


def test_a_disk_without_room_for_the_frames_is_said_before_they_are_written_to(tmp_path, monkeypatch):
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    frames = SampleFrames(tmp_path, 1, (0.0, 20.0, 60.0), np.ones((2, 3, 4), np.float32), 20.0)
    with pytest.raises(OutOfMemory, match="No space left on device"), frames.new_sample():
        pass
    assert not list(tmp_path.iterdir())


def test_the_frames_of_a_sample_have_their_space_on_the_disk(tmp_path):
    with SampleFrames(tmp_path, 1, (0.0, 60.0), np.ones((8, 64, 64), np.float32), 20.0).new_sample():
        pass
    (file,) = tmp_path.iterdir()
    assert 512 * file.stat().st_blocks >= file.stat().st_size == 2 * 8 * 64 * 64 * 4
