"""How long a desktop Slicer keeps its user waiting during syntheses: ``make bench-slicer SLICER=/path/to/Slicer``.

A timer of the event loop ticks every few milliseconds while the panel synthesizes with the shipped model in its worker,
views drawn. What passes between two ticks beyond the interval is a pause, in which Slicer answers nobody.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import qt
import slicer

from CEKWorldLib.gui.sample_data import FILE

BAR_MS = 50.0
_TICK_MS, _POLL_MS, _SETTLE_MS = 5, 100, 1500
_TIMES = "0, 20, 45, 90, 180, 300"


class Pause(NamedTuple):
    """What passed between two ticks, in ms.

    Attributes:
        clock: by the clock.
        own: CPU time of the GUI thread.
        core: ready to run without a core; NaN where the system does not say.
        step: what the synthesis was at when it began.
    """

    clock: float
    own: float
    core: float
    step: str

    @classmethod
    def between(cls, before: Pause, after: Pause) -> Pause:
        return cls(after.clock - before.clock - _TICK_MS, after.own - before.own, after.core - before.core, before.step)


class Pulse:
    """The ticks of the event loop during a run, and the pauses between them."""

    def __init__(self, run: Any) -> None:
        self.pauses: list[Pause] = []
        self._run = run
        self._last: Pause | None = None
        self._timer = qt.QTimer()
        self._timer.setTimerType(qt.Qt.PreciseTimer)
        self._timer.setInterval(_TICK_MS)
        self._timer.connect("timeout()", self._tick)

    def start(self) -> None:
        self.pauses, self._last = [], None
        self._timer.start()

    def stop(self) -> None:
        self._timer.stop()

    def _tick(self) -> None:
        now = Pause(1e3 * time.monotonic(), 1e3 * time.thread_time(), _waited_for_a_core_ms(), self._run.step.value)
        if self._last is not None:
            self.pauses.append(Pause.between(self._last, now))
        self._last = now


def _waited_for_a_core_ms() -> float:
    """How long the GUI thread has been ready to run and had no core."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e6
    except OSError:
        return np.nan


def serve_until(done: Callable[[], bool]) -> None:
    """Runs Slicer's own event loop until something is so."""
    loop, timer = qt.QEventLoop(), qt.QTimer()
    timer.connect("timeout()", lambda: done() and loop.quit())
    timer.start(_POLL_MS)
    loop.exec_()
    timer.stop()


def settle() -> None:
    end = time.monotonic() + 1e-3 * _SETTLE_MS
    serve_until(lambda: time.monotonic() > end)


def measure(exam: Path, runs: int, samples: int) -> list[tuple[float, list[Pause]]]:
    """Synthesizes an exam several times, each with a seed of its own.

    Returns:
        Seconds and pauses of every run.
    """
    slicer.util.selectModule("CEKWorld")
    widget: Any = slicer.util.getModuleWidget("CEKWorld")
    parameters, run = widget.parameters, widget.panel.run
    parameters.inputNode = slicer.util.loadVolume(str(exam))
    parameters.preset, parameters.times = type(parameters.preset).LIST, _TIMES
    parameters.samples = samples
    failures: list[str] = []
    run.failed.connect(failures.append)
    pulse, measured = Pulse(run), []
    for seed in range(runs):
        parameters.seed = seed
        settle()
        pulse.start()
        begun = time.monotonic()
        qt.QTimer.singleShot(2 * _TICK_MS, widget.ui.applyButton.click)
        serve_until(lambda: run.is_running)
        serve_until(lambda: not run.is_running)
        pulse.stop()
        assert not failures, failures
        measured.append((time.monotonic() - begun, pulse.pauses))
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(prog="slicer_bench.py", description=__doc__)
    parser.add_argument("--exam", type=Path, default=FILE, help="volume to synthesize (default: the sample)")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--samples", type=int, default=1)
    arguments = parser.parse_args()
    print(f"longest pause of Slicer's event loop by the clock, ms (bar {BAR_MS:g} ms)")
    for number, (seconds, pauses) in enumerate(measure(arguments.exam, arguments.runs, arguments.samples), 1):
        longest, misses = max(pauses), sum(pause.clock > BAR_MS for pause in pauses)
        figures = f"{longest.clock:6.1f} ({longest.own:.0f} own work, {longest.core:.0f} without a core)"
        over = f"; {misses} over the bar" if misses else ""
        print(f"  run {number:2d} of {seconds:5.1f} s {figures} while {longest.step}{over}", flush=True)


try:
    main()
except BaseException as error:  # Slicer would go on with an open window
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    slicer.util.exit(1)
else:
    slicer.util.exit(0)
