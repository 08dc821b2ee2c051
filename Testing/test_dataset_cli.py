"""``cekworld dataset`` from the command line: registered, checked, pictured; and on a public phantom."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from contrast_phantom import breathing, displaced, phantom
from exam_archive import write_one_series

from CEKWorldLib.cli.main import main
from CEKWorldLib.dataset.building import Plan, build
from CEKWorldLib.dataset.cache import open_exams
from CEKWorldLib.dataset.preparing import Settings
from CEKWorldLib.dataset.timing import TimingRules
from CEKWorldLib.exam.series_reading import read_series


def test_a_moved_exam_is_built_registered_checked_and_shown(tmp_path, capsys):
    phases, _, body = phantom(6, 48)
    still = phases.copy()
    for phase in (1, 3):
        phases[phase] = displaced(phases[phase], breathing(body.shape, 5.0))
    write_one_series(tmp_path / "archive", "p", np.rint(phases))
    output, pictures = tmp_path / "exams", tmp_path / "pictures"
    assert main(["dataset", "build", "--from", str(tmp_path / "archive"), "--output", str(output)]) == 0
    said = capsys.readouterr().out
    assert "1 of 1 exams accepted" in said and "time zero" in said and "ContrastBolusStartTime" in said

    (exam,) = open_exams(output)
    first, second, third = exam.record.alignments
    assert first["kept"] == third["kept"] == "B-spline" and second["largest_mm"] < 1.0
    assert first["similarity_after"] > first["similarity_before"] and first["largest_mm"] > 2.5
    truth = (still[1] - still[0]) / exam.record.scale
    lesion = truth > 0.5
    found = np.asarray(exam.enhancement[:, 0], np.float32)
    # The grid is finer than the phantom by 256 / 48, and turned as the reader's planes are.
    assert abs(found[found > 0.5].mean() / truth[lesion].mean() - 1) < 0.1

    assert main(["dataset", "check", str(output), "--pictures", str(pictures)]) == 0
    assert "1 of 1 exams accepted" in capsys.readouterr().out
    (picture,) = pictures.iterdir()
    assert picture.stem == exam.record.name and plt.imread(picture)[..., :3].std() > 0.1
    assert b"ACQUIRED" in picture.read_bytes()[:2000]


def test_the_qiba_phantom_becomes_an_exam_of_its_own_signal(shared_data, tmp_path):
    """QIBA's digital reference object, version 4: 67 phases of 5 s; contrast arrives within 25 s."""
    archive = shared_data / "dicom_qiba_dro_v4"
    if not archive.is_dir():
        pytest.skip("the QIBA phantom is not among the reference data")
    plan = Plan(settings=Settings(registration=False), rules=TimingRules(injection_s=5.0))
    (outcome,) = build(archive, tmp_path / "exams", plan)
    assert outcome.status == "accepted", outcome.reason
    (exam,) = open_exams(tmp_path / "exams")
    assert exam.record.pre_times_s == (-5.0, 0.0) and exam.record.times_s == tuple(np.arange(5.0, 326.0, 5.0))
    assert exam.record.zero_source == "stated for all: injection 5 s after the first phase"
    frames = read_series(archive).frames
    expected = frames[2:].mean((1, 2, 3)) - frames[:2].mean()
    shown = np.asarray(exam.pre, np.float32) > 0
    found = [np.asarray(exam.enhancement[:, time], np.float32)[shown].mean() for time in range(65)]
    assert np.corrcoef(expected, found)[0, 1] > 0.999


def test_an_archive_without_one_good_exam_ends_with_the_reasons(tmp_path, capsys):
    write_one_series(tmp_path / "archive", "p", phantom(4, 32)[0][[0, 0, 0, 0]])
    output = str(tmp_path / "exams")
    assert main(["dataset", "build", "--from", str(tmp_path / "archive"), "--no-registration", "--output", output]) == 2
    said = capsys.readouterr()
    assert "No contrast is seen" in said.out and "Not one exam" in said.err


@pytest.mark.parametrize("shares", ["80:10", "a:b:c", "0:1:1", "nan:1:1"])
def test_shares_that_are_none_are_refused(tmp_path, shares, capsys):
    arguments = ["dataset", "build", "--from", str(tmp_path), "--output", str(tmp_path / "o"), "--splits", shares]
    assert main(arguments) == 2
    assert "three shares" in capsys.readouterr().err


def test_help_imports_nothing_slow():
    code = (
        "import sys, contextlib, io\nfrom CEKWorldLib.cli.main import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    main(['dataset', 'build', '--help'])\n"
        "print([name for name in ('numpy', 'SimpleITK', 'torch', 'pydicom') if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"
