"""How long the panel keeps the GUI thread during a synthesis: ``python Testing/panel_bench.py``.

The whole panel on the small desktop of ``fake_qt``, its worker in a process of its own with the closed-form model. Each
round of the event loop is timed, the click on Apply among them. CPU time, all threads of the panel's process together,
is the fairer figure on a machine with other work; views, which Slicer draws, are not in it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import fake_qt.desktop
import numpy as np
import pytest
from fake_qt import event_loop
from panel_exam import ARRIVAL_S, TIMES

from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.gui.choices import Preset
from CEKWorldLib.gui.qprocess_transport import QProcessTransport
from CEKWorldLib.scene.geometry import set_geometry
from CEKWorldLib.scene.images import image_of

BAR_MS = 50.0
SHAPES = ((24, 256, 256), (160, 320, 320))
_WORKER = Path(__file__).with_name("closed_form_worker.py")
_APPLY, _CLOSE = "apply", "scene close"


class Rounds:
    """Rounds of the event loop by what the run was doing when they began.

    Attributes:
        longest: (wall ms, CPU ms) of the round that took most CPU time.
    """

    def __init__(self) -> None:
        self.longest: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))

    def time(self, step: str, act: Any) -> None:
        begun, used = time.perf_counter(), time.process_time()
        act()
        took = 1e3 * (time.perf_counter() - begun), 1e3 * (time.process_time() - used)
        self.longest[step] = max(self.longest[step], took, key=lambda round: round[1])


def measure(shape: tuple[int, int, int], samples: int) -> dict[str, tuple[float, float]]:
    """Drives an exam through the panel.

    Args:
        shape: (slices, rows, columns).
        samples: of the synthesis.

    Returns:
        Wall and CPU ms of the longest round of every step.
    """
    rounds = Rounds()
    with pytest.MonkeyPatch.context() as patch:
        desktop = fake_qt.desktop.Desktop(patch)
        connect = lambda: QProcessTransport(sys.executable, [str(_WORKER)])  # noqa: E731
        patch.setattr("CEKWorldLib.gui.qprocess_transport.QProcessTransport", connect)
        desktop.load_module()
        parameters = desktop.parameters
        parameters.inputNode = _exam(desktop.scene, shape)
        parameters.preset, parameters.times, parameters.arrival = Preset.LIST, TIMES, ARRIVAL_S
        parameters.samples = samples
        run = desktop.panel.run
        rounds.time(_APPLY, desktop.ui.applyButton.click)
        while run.is_running:
            rounds.time(run.step.value, event_loop.process_events)
            time.sleep(0.001)
        assert desktop.errors == [] and desktop.panel.session.is_open, desktop.ui.progressLabel.text
        rounds.time(_CLOSE, lambda: desktop.scene.Clear(0))
        desktop.close()
    return dict(rounds.longest)


def _exam(scene: Any, shape: tuple[int, int, int]) -> Any:
    """A volume node of integers, as scanners write them: a bright block in dark air."""
    rng = np.random.default_rng(0)
    voxels = rng.integers(0, 8, shape, np.int16)
    inner = tuple(slice(side // 4, 3 * side // 4) for side in shape)
    voxels[inner] += rng.integers(300, 500, voxels[inner].shape, np.int16)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "T1")
    node.SetAndObserveImageData(image_of(voxels))
    set_geometry(node, Volume(voxels))
    return node


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument(
        "--shape", type=int, nargs=3, action="append", metavar=("SLICES", "ROWS", "COLUMNS"),
        help="exam to measure; may be repeated (default 24 256 256 and 160 320 320)",
    )  # fmt: skip
    arguments = parser.parse_args()
    print(f"longest round of the event loop, wall / CPU ms (bar {BAR_MS:g} ms), {arguments.samples} samples")
    for shape in arguments.shape or SHAPES:
        print("x".join(map(str, shape)))
        for step, (wall, used) in measure(tuple(shape), arguments.samples).items():
            missed = used > BAR_MS and step != _CLOSE
            print(f"  {step:<16}{wall:8.1f} / {used:5.1f}{'  misses' if missed else ''}", flush=True)


if __name__ == "__main__":
    main()
