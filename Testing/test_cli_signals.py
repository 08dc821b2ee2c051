"""A command that is stopped, by Ctrl-C, a batch system or a closed terminal: it leaves nothing, and says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_exam import left_behind, saved_model, synthesize, written_exam

from CEKWorldLib.cli.main import HUNG_UP, INTERRUPTED, OK, TERMINATED, main

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return saved_model(tmp_path_factory.mktemp("models"))


@pytest.fixture
def exam(tmp_path) -> Path:
    return written_exam(tmp_path)


def _hears_ctrl_c() -> None:
    """A shell's background job ignores Ctrl-C, and its children inherit that; the tested command must not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_a_failing_export_keeps_the_earlier_results(exam, tmp_path, model, monkeypatch):
    out = tmp_path / "out"
    assert synthesize(exam, out, model, "--times", "0,30") == OK
    before = (out / "run.json").read_text()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("CEKWorldLib.cli.contrast_series.write_curves", interrupted)
    assert synthesize(exam, out, model, "--times", "0,60", "--overwrite") == INTERRUPTED
    assert (out / "run.json").read_text() == before
    assert left_behind(tmp_path) == []


def test_ctrl_c_before_the_work_begins_leaves_nothing(exam, tmp_path, model):
    command = [sys.executable, "-m", "CEKWorldLib", "synthesize", str(exam), "--output", str(tmp_path / "out")]
    process = subprocess.Popen(
        [*command, "--model", model],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_hears_ctrl_c,
    )
    deadline = time.monotonic() + 60
    while not left_behind(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED, errors
    assert "Traceback" not in errors
    assert [p.name for p in tmp_path.iterdir()] == [exam.name]


def test_ctrl_c_that_a_library_swallows_while_it_is_imported_is_one(exam, tmp_path, monkeypatch, capsys):
    def swallow(_exam):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("Importing the numpy C-extensions failed") from None

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        monkeypatch.setattr("CEKWorldLib.cli.phases.run", swallow)
        assert main(["phases", str(exam)]) == INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "\ncekworld: stopped.\n"


@pytest.mark.parametrize(
    ("stop", "code"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED), (signal.SIGHUP, HUNG_UP)]
)
def test_a_signal_during_synthesis_leaves_nothing(exam, tmp_path, model, stop, code, monkeypatch):
    monkeypatch.setattr("CEKWorldLib.cli.contrast_series.tqdm.update", lambda *_: os.kill(os.getpid(), stop))
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for one in before:  # tests may run under nohup
        signal.signal(one, signal.default_int_handler)
    try:
        outcome = synthesize(exam, tmp_path / "out", model, "--times", "0,30")
    except SystemExit as end:
        outcome = end.code
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert outcome == code
    assert [p.name for p in tmp_path.iterdir()] == [exam.name]


def test_under_nohup_a_closed_terminal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(["models", "list"]) == OK
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
