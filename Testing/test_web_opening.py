"""What the viewer makes of a path: a volume to synthesize from, or a series with where it came from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.export.seq_nrrd import write_sequence

pytest.importorskip("slicer", reason="slicer-core is not installed")

from CEKWorldLib.web.exam_opening import open_exam

SAMPLE = Path(__file__).resolve().parents[1] / "Resources" / "sample" / "breast"
TIMES_S = (0.0, 60.0, 120.0)


def written(path: Path, attributes: dict[str, str]) -> Path:
    frames = np.random.default_rng(3).uniform(10, 500, (3, 4, 16, 16)).astype(np.float32)
    write_sequence(path, Volume(frames[0], (1.0, 1.0, 3.0)), TIMES_S, frames, attributes)
    return path


def test_the_folder_of_a_simulated_exam_tells_arrival_anatomy_and_sequence():
    opened = open_exam(SAMPLE, "sample")
    facts = json.loads((SAMPLE / "case.json").read_text())
    assert opened.name == "sample" and opened.exam is not None
    assert (opened.arrival_s, opened.exam.anatomy) == (facts["injection"]["arrival_s"], "breast")
    assert opened.exam.acquisition.flip_angle_deg == facts["acquisition"]["flip_angle_deg"]
    assert opened.series.times_s.tolist() == [0.0] and not opened.series.synthetic
    pre = sitk.GetArrayFromImage(sitk.ReadImage(str(SAMPLE / "pre.nrrd")))
    assert np.array_equal(opened.series.frames[0], pre)


def test_an_acquired_series_is_shown_and_not_synthesized_from(tmp_path):
    opened = open_exam(written(tmp_path / "dce.seq.nrrd", {"CEKWorld.TimeZero": "given"}))
    assert (opened.exam, opened.provenance, opened.series.times_s.tolist()) == (None, None, list(TIMES_S))


def test_a_synthetic_series_brings_what_made_it(tmp_path):
    attributes = {
        "CEKWorld.Synthetic": "1",
        "CEKWorld.model": "m",
        "CEKWorld.model_sha256": "5" * 64,
        "CEKWorld.seed": "7",
    }
    opened = open_exam(written(tmp_path / "phases.seq.nrrd", attributes))
    made_by = opened.provenance
    assert made_by is not None
    assert (made_by.model, made_by.model_sha256, made_by.seed) == ("m", "5" * 64, 7)


def test_a_damaged_case_and_a_missing_file_are_named(tmp_path):
    sitk.WriteImage(
        sitk.GetImageFromArray(np.random.default_rng(0).uniform(0, 9, (3, 9, 9))), str(tmp_path / "pre.nrrd")
    )
    (tmp_path / "case.json").write_text("{")
    with pytest.raises(CEKWorldError, match=r"case\.json beside the volume is damaged"):
        open_exam(tmp_path)
    with pytest.raises(CEKWorldError, match="does not exist"):
        open_exam(tmp_path / "nothing.nrrd")
