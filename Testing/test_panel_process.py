"""The panel with a real worker process, and the module's own self tests."""

from __future__ import annotations

import os
import sys
import unittest
from pathlib import Path
from unittest import mock

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
from fake_qt import event_loop
from fake_qt.desktop import Desktop
from fake_qt.objects import QObject
from in_process_worker import InProcessTransport, use_closed_form
from panel_exam import PHASES_S
from panel_user import choose_exam

from CEKWorldLib.gui.qprocess_transport import QProcessTransport
from CEKWorldLib.worker.messages import Hello, Quit, decode, encode

WORKER = Path(__file__).with_name("closed_form_worker.py")


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_process_of_its_own_serves_the_panel_is_killed_comes_back_and_leaves_nothing(monkeypatch, tmp_path):
    if not Path("/proc").is_dir():
        pytest.skip("processes are looked up in /proc")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made: list[QProcessTransport] = []

    def connect() -> QProcessTransport:
        made.append(QProcessTransport(sys.executable, [str(WORKER)]))
        return made[-1]

    desktop = Desktop(monkeypatch)
    monkeypatch.setattr("CEKWorldLib.gui.qprocess_transport.QProcessTransport", connect)
    desktop.load_module()
    choose_exam(desktop)
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: not desktop.panel.run.is_running, "the synthesis", 300)
    assert set(PHASES_S) <= set(desktop.panel.session.times_s), desktop.ui.progressLabel.text
    first = made[0]._pid
    assert is_alive(first)
    desktop.ui.restartWorkerButton.click()
    desktop.wait_until(lambda: len(made) == 2 and desktop.ui.workerStatusLabel.text == "ready", "the next worker", 300)
    assert not is_alive(first)
    desktop.ui.timeSlider.setValue(77.0)
    desktop.wait_until(lambda: "t=+77 s, exact" in desktop.ui.shownLabel.text, "a volume of the next worker", 60)
    second = made[1]._pid
    desktop.close()
    desktop.wait_until(lambda: not is_alive(second), "the end", 30)
    desktop.wait_until(lambda: list(tmp_path.iterdir()) == [], "the end of the shared folder", 30)


@pytest.fixture
def application(monkeypatch):
    """What processes have as their parent."""
    monkeypatch.setattr(slicer, "app", QObject(), raising=False)


@pytest.fixture
def echo(application):
    """A process that says who it is and repeats what it is told."""
    code = (
        "import sys, os\n"
        f"print('{encode(Hello(0, '0'))}'.replace('\"pid\": 0', f'\"pid\": {{os.getpid()}}'), flush=True)\n"
        "print('loading', file=sys.stderr, flush=True)\n"
        "for line in sys.stdin: sys.stdout.write(line); sys.stdout.flush()"
    )
    transport = QProcessTransport(sys.executable, ["-c", code])
    lines, ends = [], []
    transport.on_line, transport.on_exit = lines.append, ends.append
    transport.lines, transport.ends = lines, ends
    yield transport
    transport.kill()
    transport.wait(5000)


def test_lines_written_before_the_start_are_kept_and_partial_lines_put_together(echo, capsys):
    long = encode(Quit()) + " " * 200_000
    echo.write(long)
    echo.start()
    event_loop.wait_until(lambda: len(echo.lines) == 2, 60, "the echo")
    assert isinstance(decode(echo.lines[0]), Hello) and echo.lines[1] == long
    event_loop.wait_until(lambda: "loading" in capsys.readouterr().err, 10, "standard error")


def test_a_kill_ends_the_process_and_is_told_once_as_a_signal(echo):
    echo.start()
    event_loop.wait_until(lambda: echo.lines, 60, "the first line")
    pid = echo._pid
    echo.kill()
    event_loop.wait_until(lambda: echo.ends, 10, "the end")
    echo.write("too late")
    assert echo.ends == [-9]
    with pytest.raises(OSError):
        os.kill(pid, 0)


def test_a_program_that_is_not_there_is_told_as_an_exit(application):
    ends: list = []
    transport = QProcessTransport("/no/such/python", [])
    transport.on_exit = ends.append
    transport.start()
    event_loop.wait_until(lambda: ends, 10, "the end")
    assert ends == [127]
    transport.write("too late")
    transport.kill()


@pytest.mark.parametrize(
    "name",
    [
        "test_synthesis_is_scrubbed_measured_and_exported",
        "test_acquired_series_has_slider_curves_and_overlay",
        "test_scene_close_leaves_an_empty_panel",
        "test_reload_goes_on_with_the_scene",
    ],
)
def test_the_modules_self_tests_pass(desktop, name):
    """With the closed-form model here; in Slicer the same with the shipped one."""
    assert issubclass(desktop.module.CEKWorldTest, unittest.TestCase)
    result = unittest.TestResult()
    with mock.patch.dict(sys.modules):  # a reload takes the library out of it, which other tests go on with
        desktop.module.CEKWorldTest(name).run(result)
    assert result.testsRun == 1 and [text for _case, text in result.failures + result.errors] == []


def test_all_self_tests_are_run_here(desktop):
    mark = next(m for m in test_the_modules_self_tests_pass.pytestmark if m.name == "parametrize")
    names = {name for name in dir(desktop.module.CEKWorldTest) if name.startswith("test_")}
    assert names == set(mark.args[1])


def test_slicers_pythonslicer_is_taken_where_it_is_on_the_path(monkeypatch, tmp_path):
    from CEKWorldLib.gui.worker_command import python_program

    assert python_program() == sys.executable
    (tmp_path / "PythonSlicer").write_text("#!/bin/sh\n")
    (tmp_path / "PythonSlicer").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert python_program() == str(tmp_path / "PythonSlicer")


def test_two_modules_do_not_share_a_worker(monkeypatch):
    """A second panel, as after a reload, starts its own worker; that of the first has ended."""
    use_closed_form(monkeypatch)
    InProcessTransport.made.clear()
    desktop = Desktop(monkeypatch)
    monkeypatch.setattr("CEKWorldLib.gui.qprocess_transport.QProcessTransport", InProcessTransport)
    for _round in range(2):
        desktop.load_module()
        choose_exam(desktop)
        desktop.ui.applyButton.click()
        desktop.wait_until(lambda: not desktop.panel.run.is_running, "the synthesis")
        desktop.close()
        desktop.scene.Clear(0)
    assert len(InProcessTransport.made) == 2
    assert all(any(isinstance(r, Quit) for r in worker.requests) for worker in InProcessTransport.made)
