"""The command line: reads like a manual, does its work whole or not at all, and words its errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
from cli_exam import body_volume, left_behind, saved_model, synthesize, written_exam
from tiny_model import tiny_model

from CEKWorldLib.cli.main import OK, USER_ERROR, main
from CEKWorldLib.cli.regions import automatic_regions
from CEKWorldLib.cli.staging import staged_folder
from CEKWorldLib.cli.synthesize import FILES
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.series_reading import read_series
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.export.seq_nrrd import read_sequence
from CEKWorldLib.models.bundle import save_model

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = (
    "synthesize",
    "phases",
    "curves",
    "report",
    "export-dicom",
    "export-results",
    "send",
    "simulate",
    "models",
    "dataset",
    "train",
    "evaluate",
    "benchmark",
    "bench",
    "view",
    "worker",
    "serve-worker",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return saved_model(tmp_path_factory.mktemp("models"))


@pytest.fixture
def exam(tmp_path) -> Path:
    return written_exam(tmp_path)


def test_help_needs_none_of_the_slow_libraries():
    code = (
        "import sys, CEKWorldLib.cli.main as m; m.build_parser().format_help(); "
        "print(*sorted({'torch', 'numpy', 'SimpleITK', 'matplotlib', 'scipy', 'diffusers'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


def test_the_manual_names_every_command_and_the_exit_codes(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(f"\n    {name}" in text for name in COMMANDS)
    assert "SYNTHETIC" in text and "exit codes" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    examples = capsys.readouterr().out.split("examples:")[1]
    assert f"cekworld {command}" in examples


def test_synthesize_writes_every_file_in_the_scale_and_place_of_the_source(exam, tmp_path, model, capsys):
    out = tmp_path / "out"
    assert synthesize(exam, out, model, "--times", "0,30,90") == OK
    assert sorted(p.name for p in out.iterdir()) == sorted(FILES)
    assert left_behind(tmp_path) == []

    sequence, source = read_sequence(out / "phases.seq.nrrd"), body_volume()
    assert sequence.times_s.tolist() == [0.0, 30.0, 90.0]
    np.testing.assert_array_equal(sequence.frames[0], sitk.GetArrayFromImage(source))
    assert sequence.volume.spacing == source.GetSpacing() and sequence.volume.origin == source.GetOrigin()
    assert sequence.attributes["CEKWorld.Synthetic"] == "1"

    facts = json.loads((out / "run.json").read_text())
    assert facts["synthetic"] is True and facts["training"] == "trained on simulated data"
    assert len(facts["model_sha256"]) == 64
    assert exam.stem not in json.dumps(facts)

    rows = [line for line in (out / "curves.csv").read_text().splitlines() if not line.startswith("#")]
    assert [row.split(",")[0] for row in rows] == ["time_s", "0", "30", "90"]
    assert float(rows[1].split(",")[2]) == pytest.approx(0.0, abs=1e-3)
    table = capsys.readouterr().out
    assert "strongest enhancement" in table and "whole body" in table and "SYNTHETIC" in table


def test_samples_are_the_same_synthesis_with_the_next_seeds(exam, tmp_path, model, capsys):
    out = tmp_path / "out"
    assert synthesize(exam, out, model, "--times", "0,30,90,300", "--seed", "5", "--samples", "3") == OK
    first, *others = [out / "phases.seq.nrrd", *sorted((out / "samples").iterdir())]
    assert [path.name for path in others] == ["seed_6.seq.nrrd", "seed_7.seq.nrrd"]
    frames = [read_sequence(path).frames for path in (first, *others)]
    assert not np.array_equal(frames[0][2], frames[1][2]) and not np.array_equal(frames[1][2], frames[2][2])
    assert [read_series(path).made_by["seed"] for path in (first, *others)] == ["5", "6", "7"]
    mask = sitk.Cast(body_volume() > 700, sitk.sitkUInt8)
    sitk.WriteImage(mask, str(tmp_path / "body.nrrd"))
    how = ["--sample", str(out / "samples"), "--roi", str(tmp_path / "body.nrrd")]
    assert main(["curves", str(first), *how, "--output", str(tmp_path / "curves")]) == OK
    uncertainty = json.loads((tmp_path / "curves" / "kinetics.json").read_text())["regions"][0]["uncertainty"]
    assert uncertainty["samples"] == 3 and max(uncertainty["enhancement_sd_percent"]) > 0
    capsys.readouterr()
    assert synthesize(exam, tmp_path / "none", model, "--samples", "2", "--steps", "0") == USER_ERROR
    assert "--steps 1" in capsys.readouterr().err and not (tmp_path / "none").exists()


def test_the_same_seed_gives_the_same_series(exam, tmp_path, model):
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        assert synthesize(exam, tmp_path / name, model, "--times", "0,60", "--seed", seed) == OK
    a, b, c = (nrrd.read(str(tmp_path / name / "phases.seq.nrrd"))[0] for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert np.any(a != c)


def test_masks_give_their_own_curves(exam, tmp_path, model):
    labels = np.zeros((3, 64, 64), np.uint8)
    labels[1, 20:24, 20:24], labels[1, 40:44, 30:34] = 1, 2
    mask = sitk.GetImageFromArray(labels)
    mask.CopyInformation(body_volume())
    sitk.WriteImage(mask, str(tmp_path / "tumour.nii.gz"))
    assert synthesize(exam, tmp_path / "out", model, "--times", "0,60", "--roi", str(tmp_path / "tumour.nii.gz")) == OK
    assert json.loads((tmp_path / "out/run.json").read_text())["regions"] == {"tumour 1": 16, "tumour 2": 16}


def test_a_mask_on_another_grid_is_refused(exam, tmp_path, model, capsys):
    mask = sitk.GetImageFromArray(np.ones((3, 64, 64), np.uint8))
    sitk.WriteImage(mask, str(tmp_path / "shifted.nrrd"))
    assert synthesize(exam, tmp_path / "out", model, "--roi", str(tmp_path / "shifted.nrrd")) == USER_ERROR
    assert "shifted.nrrd lies on another grid" in capsys.readouterr().err


def test_a_mask_that_is_cut_off_is_no_smaller_mask(exam, tmp_path, model, capsys):
    mask = sitk.GetImageFromArray(np.ones((3, 64, 64), np.uint8))
    mask.CopyInformation(sitk.ReadImage(str(exam)))
    sitk.WriteImage(mask, str(tmp_path / "cut.nii"))
    os.truncate(tmp_path / "cut.nii", 352 + 64 * 64)  # ITK would fill the other slices with nothing
    assert synthesize(exam, tmp_path / "out", model, "--roi", str(tmp_path / "cut.nii")) == USER_ERROR
    assert "cut.nii cannot be read as NIfTI: it is damaged or truncated" in capsys.readouterr().err


def test_a_simulated_case_gets_its_truth(tmp_path, model, capsys):
    case, out = tmp_path / "case", tmp_path / "out"
    assert main(["simulate", "breast", "--seed", "7", "--slices", "3", "--size", "64", "--output", str(case)]) == OK
    assert {"pre.nrrd", "labels.nrrd", "case.json", "case.png"} <= {p.name for p in case.iterdir()}
    for given in (case, case / "pre.nrrd"):
        assert synthesize(given, out, model, "--times", "0,60,120", "--overwrite") == OK
        assert "truth_signal" in (out / "curves.csv").read_text()
        assert json.loads((out / "run.json").read_text())["simulated_case"] == {
            "anatomy": "breast", "split": "test", "seed": 7
        }  # fmt: skip
    assert "in brackets the simulated truth" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--times", "0:-5:3"], "cannot be read"),
        (["--series", "5"], "no series 5"),
        (["--cache", "out/cache"], "--cache lies in --output"),
        (["--roi", "."], "Cannot read the mask"),
        (["--times", "0,99999"], "99999"),
        (["--times", ""], "cannot be read"),
        (["--model", "no_such_model"], "no_such_model"),
        (["--device", "xla"], "no device 'xla'"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(exam, tmp_path, model, capsys, arguments, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert synthesize(exam, tmp_path / "out", model, *arguments) == USER_ERROR
    error = capsys.readouterr().err.strip()
    assert message in error and len(error.splitlines()) == 1 and "Traceback" not in error
    assert [p.name for p in tmp_path.iterdir()] == [exam.name]


def test_a_missing_input_is_named(tmp_path, model, capsys):
    assert synthesize(tmp_path / "none.nrrd", tmp_path / "out", model) == USER_ERROR
    assert "none.nrrd" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["/", "x" * 300, "a_file/out"])
def test_a_place_where_nothing_can_be_written_is_refused_in_one_sentence(exam, tmp_path, model, capsys, place):
    (tmp_path / "a_file").write_text("")
    assert synthesize(exam, tmp_path / place, model) == USER_ERROR
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1 and error.endswith((" --output.", "what is there."))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a_file", exam.name]


def test_a_name_the_system_refuses_is_one_sentence(tmp_path, model, capsys):
    assert synthesize(tmp_path / ("x" * 300), tmp_path / "out", model) == USER_ERROR
    assert "File name too long" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_folders_made_above_the_output_go_with_it(tmp_path, model):
    (tmp_path / "there").mkdir()
    assert synthesize(tmp_path / "none.nrrd", tmp_path / "there" / "new" / "out", model) == USER_ERROR
    assert [p.name for p in tmp_path.rglob("*")] == ["there"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_another_program_wrote_meanwhile_is_not_replaced(tmp_path, overwrite):
    out = tmp_path / "out"
    with pytest.raises(CEKWorldError, match="out "), staged_folder(out, overwrite, ("run.json",)) as staging:
        (staging / "run.json").write_text("ours")
        out.mkdir()
        (out / "theirs.nrrd").write_text("an hour of work")
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "theirs.nrrd"]


def test_an_output_that_is_a_link_stays_one(exam, tmp_path, model):
    link, disk = tmp_path / "out", tmp_path / "disk"
    link.symlink_to(disk)
    for again in ([], ["--overwrite"]):
        assert synthesize(exam, link, model, "--times", "0,30", *again) == OK
        assert link.is_symlink() and sorted(p.name for p in disk.iterdir()) == sorted(FILES)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("command", ["evaluate", "bench"])
def test_figures_that_could_not_be_written_are_not_measured_for_hours(command, tmp_path, monkeypatch, capsys):
    measured = []
    monkeypatch.setattr(f"CEKWorldLib.evaluation.{command}.run", lambda **_: measured.append(True))
    for place in (tmp_path, tmp_path / "none" / "x.json"):
        assert main([command, "--json", str(place)]) == USER_ERROR
        assert str(place) in capsys.readouterr().err
    assert not measured
    assert main([command, "--json", str(tmp_path / "x.json")]) == OK


@pytest.mark.parametrize(
    ("package", "extra", "command"),
    [
        ("skimage", "evaluation", ("evaluate",)),
        ("skimage", "evaluation", ("models", "card", "compact", "--quality", "e.json")),
        ("accelerate", "training", ("train", "compact", "--output", "run")),
        ("accelerate", "training,evaluation", ("benchmark", "--output", "ablation")),
        ("transformers", "paper", ("models", "import", "model.ckpt", "--output", "model")),
        ("websockets", "remote", ("serve-worker",)),
    ],
)
def test_a_package_that_is_not_installed_is_named_with_what_installs_it(package, extra, command, tmp_path):
    code = f"""import sys
sys.modules["{package}"] = None
from CEKWorldLib.cli.main import main
sys.exit(main({list(command)!r}))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == USER_ERROR and "Traceback" not in done.stderr
    assert f"needs the package {package}; install it with: pip install 'cekworld[{extra}]'." in done.stderr
    assert not any(tmp_path.iterdir())


def test_pictures_that_could_not_be_written_are_not_measured_for_hours(tmp_path, monkeypatch, capsys):
    measured = []
    monkeypatch.setattr("CEKWorldLib.evaluation.evaluate.run", lambda **_: measured.append(True))
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "pictures"):
        assert main(["evaluate", "--pictures", str(place)]) == USER_ERROR
        assert str(place) in capsys.readouterr().err
    assert not measured
    assert main(["evaluate", "--pictures", str(tmp_path / "new" / "pictures")]) == OK


@pytest.mark.parametrize(
    "option", [("--port", "99999"), ("--readers", "0"), ("--idle", "nan"), ("--largest-exam", "-1")]
)
def test_a_host_is_not_started_with_numbers_it_cannot_keep(option, capsys):
    with pytest.raises(SystemExit) as end:
        main(["serve-worker", *option])
    assert end.value.code == USER_ERROR
    assert f"{option[1]} is outside" in capsys.readouterr().err


def test_results_are_replaced_only_when_asked_and_only_results(exam, tmp_path, model, capsys):
    out = tmp_path / "out"
    assert synthesize(exam, out, model, "--times", "0,30") == OK
    assert synthesize(exam, out, model, "--times", "0,60") == USER_ERROR
    assert "--overwrite" in capsys.readouterr().err
    assert synthesize(exam, out, model, "--times", "0,60", "--steps", "1", "--samples", "2", "--overwrite") == OK
    assert read_sequence(out / "phases.seq.nrrd").times_s.tolist() == [0.0, 60.0]

    (out / "thesis.docx").write_text("months of work")
    assert synthesize(exam, out, model, "--overwrite") == USER_ERROR
    assert "thesis.docx" in capsys.readouterr().err
    assert (out / "thesis.docx").exists() and (out / "run.json").exists()
    (out / "thesis.docx").rename(out / "samples" / "thesis.docx")
    assert synthesize(exam, out, model, "--overwrite") == USER_ERROR
    assert "samples/thesis.docx" in capsys.readouterr().err and (out / "samples" / "thesis.docx").exists()
    (out / "samples" / "thesis.docx").rename(tmp_path / "thesis.docx")
    assert synthesize(exam, out, model, "--times", "0,60", "--overwrite") == OK  # samples are results
    assert not (out / "samples").exists()
    assert left_behind(tmp_path) == []


def test_the_hot_spot_is_the_brightest_3x3_in_one_slice():
    voxels = np.full((3, 40, 40), 500.0, np.float32)
    voxels[:, :4], voxels[:, -4:] = 0.0, 0.0
    enhancement = np.zeros_like(voxels)
    enhancement[1, 10, 10] = 900.0  # one hot voxel, noise or a vessel's edge
    enhancement[2, 20:23, 30:33] = 300.0
    spot = automatic_regions(Volume(voxels, spacing=(1.0, 1.0, 3.0)), enhancement)["strongest enhancement (3x3)"]
    assert np.argwhere(spot).min(0).tolist() == [2, 20, 30] and np.argwhere(spot).max(0).tolist() == [2, 22, 32]


def test_a_folder_with_a_manifest_of_something_else_is_never_overwritten(tmp_path, capsys):
    site = tmp_path / "site"
    site.mkdir()
    for content in ('{"name": "my web app", "icons": []}', "[]", "7", "no JSON"):
        (site / "manifest.json").write_text(content)
        assert main(["models", "pack", str(tmp_path), "--output", str(site), "--overwrite"]) == USER_ERROR
        assert "site is there and is no model folder" in capsys.readouterr().err
        assert (site / "manifest.json").read_text() == content


def test_models_verify_names_a_damaged_file(tmp_path, model, capsys):
    assert main(["models", "verify", model]) == OK
    assert "whole" in capsys.readouterr().out
    damaged = tmp_path / "damaged"
    save_model(tiny_model(), damaged, {}, "card")
    weights = damaged / "models" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    assert main(["models", "verify", str(damaged)]) == USER_ERROR
    assert "model.safetensors" in capsys.readouterr().err
