"""How soon a move of the time slider is on screen: ``python -m CEKWorldLib.web.bench``."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.export.seq_nrrd import write_sequence
from CEKWorldLib.web.running import RunningViewer, running_browser, running_viewer

SHAPE = (24, 256, 256)
TIMES_S = tuple(float(t) for t in range(0, 101, 10))
TOLERANCE_S = 2.0  # five grey levels of 255; JPEG errs by two
_SCRIPT = Path(__file__).with_name("static") / "bench.js"
_PATIENCE_MS = 10_000
_SIZE = {"width": 1600, "height": 900}


def write_brightening(path: Path, shape: tuple[int, int, int] = SHAPE) -> None:
    """Writes a series whose middle brightens evenly, so that its pixels tell the time: 10 grey values a second.

    Args:
        path: a ``.seq.nrrd``.
        shape: (slices, rows, columns).
    """
    texture = np.random.default_rng(0).uniform(0.0, 1000.0, shape).astype(np.float32)
    frames = []
    for t in TIMES_S:
        frame = texture.copy()
        frame[:, shape[1] // 4 : -shape[1] // 4, shape[2] // 4 : -shape[2] // 4] = 10.0 * t
        frames.append(frame)
    write_sequence(path, Volume(frames[0], (1.0, 1.0, 3.0)), TIMES_S, frames, {"CEKWorld.TimeZero": "given"})


def opened_page(browser: Any, address: str, patience_s: float = 300.0) -> Any:
    """A page of the viewer, its exam open."""
    page = browser.new_page(viewport=_SIZE)
    page.set_default_timeout(1000 * patience_s)
    page.goto(address)
    wait_for_exam(page)
    return page


def wait_for_exam(page: Any) -> None:
    """Waits until the page is connected, its exam open and its views drawn."""
    page.wait_for_selector(".time-slider")
    page.wait_for_function("window.trame.state.get('title') && !window.trame.state.get('opening')")
    page.wait_for_function("document.querySelector('.layout-grid-item canvas')?.dataset.time")


def add_bench(page: Any) -> None:
    """Gives the page ``window.bench``, calibrated."""
    page.evaluate(_SCRIPT.read_text(encoding="utf-8"))
    dark, bright = page.evaluate("([first, last]) => window.bench.calibrate(first, last)", [TIMES_S[0], TIMES_S[-1]])
    if bright - dark < 100:
        raise RuntimeError(f"the views do not follow the slider: grey {dark} at its begin, {bright} at its end")


def single_moves(page: Any, moves: int) -> list[float]:
    """Milliseconds from each of some far moves to its pixels; infinite where they did not come."""
    times = np.random.default_rng(1).permutation(np.linspace(TIMES_S[0], TIMES_S[-1], moves))
    latencies = []
    for t in times.tolist():
        taken = page.evaluate("args => window.bench.single(...args)", [t, TOLERANCE_S, _PATIENCE_MS])
        latencies.append(float("inf") if taken is None else taken)
        page.wait_for_timeout(300)  # the picture is sent again in full quality
    return latencies


def drag(page: Any, moves: int = 120, interval_ms: float = 16.0) -> dict[str, Any]:
    """A drag through all times; see ``bench.js``."""
    return page.evaluate("args => window.bench.drag(...args)", [moves, interval_ms, TOLERANCE_S, _PATIENCE_MS])


def _measure(viewer: RunningViewer, browser: Any, moves: int) -> None:
    page = opened_page(browser, viewer.address)
    (session,) = viewer.processes("CEKWorldLib.web")
    add_bench(page)
    latencies = single_moves(page, moves)
    _print("one move to its pixels", latencies)
    processes = {"session": [session], "browser": _browser_processes()}
    page.wait_for_timeout(2000)  # nothing of the moves is still being drawn
    before = {name: _cpu_s(ones) for name, ones in processes.items()}
    dragged = drag(page)
    cpu = {name: _cpu_s(ones) - before[name] for name, ones in processes.items()}
    lags = [lag for _, lag in dragged["lags"]]
    _print("pictures while dragging, behind the slider", lags)
    print(f"{'pictures a second while dragging':<46} {len(lags) / dragged['seconds']:8.1f}")
    print(f"{'after release, ms until the last value shows':<46} {dragged['settled']:8.0f}")
    for name, seconds in cpu.items():
        print(f"{f'CPU of the {name}, ms per picture':<46} {1000 * seconds / max(len(lags), 1):8.1f}")


def _browser_processes() -> list[psutil.Process]:
    return [one for one in psutil.Process().children(recursive=True) if "chrom" in one.name()]


def _cpu_s(processes: list[psutil.Process]) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in processes if one.is_running())


def _print(what: str, milliseconds: Sequence[float]) -> None:
    median, high = np.percentile(milliseconds, [50, 95])
    print(f"{what:<46} {median:8.0f} ms median {high:8.0f} ms p95")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=40)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "brightening.seq.nrrd"
        write_brightening(path)
        begun = time.perf_counter()
        with running_viewer([str(path)]) as viewer, running_browser() as browser:
            _measure(viewer, browser, arguments.moves)
        print(f"{'whole run':<46} {time.perf_counter() - begun:8.0f} s")


if __name__ == "__main__":
    main()
