"""A worker process without PyTorch, whose frames have a closed form: ``python numpy_worker.py``.

It is the real process with its threads and streams; only who answers is replaced, so it starts in half a second.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from CEKWorldLib.errors import Cancelled, CEKWorldError
from CEKWorldLib.worker import process
from CEKWorldLib.worker.messages import (
    CurveReady,
    Failed,
    FrameReady,
    Geometry,
    Open,
    Opened,
    Prepare,
    Prepared,
    Progress,
    ReadCurve,
    ReadFrame,
    Synthesize,
    Synthesized,
)
from CEKWorldLib.worker.shared_folder import SharedFolder

COMMAND = (sys.executable, __file__)
STEP_S = 0.02  # per slice
SLOW, DEADLY = 1_000_000, 13
"""Seeds with which the second slice of a synthesis takes 20 s, or kills the process."""


def signal(voxels: np.ndarray, t_s: float, seed: int) -> np.ndarray:
    """What a voxel shows at a time."""
    return voxels * np.float32(1 + 0.5 * (1 - np.exp(-t_s / 30)) + seed * 1e-3)


class NumpyService:
    def __init__(self, send) -> None:
        self._send = send
        self._run = self._seed = 0

    def answer(self, request, is_cancelled):
        try:
            return getattr(self, f"_{type(request).__name__.lower()}")(request, is_cancelled)
        except Cancelled as error:
            return Failed(request.id, "cancelled", str(error))
        except CEKWorldError as error:
            return Failed(request.id, "input", str(error))

    def close(self) -> None:
        pass

    def _open(self, request: Open, _) -> Opened:
        self._opened, self._folder = request, SharedFolder(Path(request.folder))
        return Opened(request.id, request.model, "5" * 64, (0.0, 600.0), 1, request.device)

    def _prepare(self, request: Prepare, _) -> Prepared:
        geometry = request.geometry
        if request.path is None:
            voxels = self._folder.read(request.voxels_file, np.float32, geometry.shape)
        else:
            from CEKWorldLib.exam.reading import read_exam

            pre = read_exam(request.path, request.anatomy, request.series).pre
            voxels = pre.voxels
            geometry = Geometry(pre.shape, pre.spacing, pre.origin, pre.direction)
        if not voxels.any():
            raise CEKWorldError("The volume is constant.")
        self._prepared, self._voxels = request, voxels
        return Prepared(request.id, geometry, 0, ("a warning of the worker",))

    def _synthesize(self, request: Synthesize, is_cancelled) -> Synthesized:
        slices, begun = len(self._voxels), time.monotonic()
        cached = Path(self._opened.cache) / f"{request.seed}-{request.times_s}"
        was_cached = cached.exists()
        for k in range(0 if was_cached else slices):
            for _ in range(1 + 1000 * (request.seed == SLOW and k > 0)):
                time.sleep(STEP_S)
                if is_cancelled():
                    raise Cancelled("Stopped.")
            if request.seed == DEADLY and k == 1:
                os._exit(9)
            self._run, self._seed = request.run, request.seed
            self._send(Progress(request.id, request.run, k + 1, slices, (k,), time.monotonic() - begun, 0.0))
        self._run, self._seed = request.run, request.seed
        cached.parent.mkdir(parents=True, exist_ok=True)
        cached.touch()
        # What this process was told, for tests of what leaves the reader's machine.
        told = json.loads(json.dumps({"open": asdict(self._opened), "prepare": asdict(self._prepared)}))
        return Synthesized(request.id, request.run, "cpu", {"was_cached": was_cached, "pid": os.getpid(), **told})

    def _readframe(self, request: ReadFrame, _) -> FrameReady:
        if not self._run:
            raise CEKWorldError("Nothing is synthesized yet; synthesize the exam first.")
        slots = self._folder.open_frames(request.file, self._voxels.shape)
        slots[request.slot] = signal(self._voxels, request.t_s, self._seed)
        return FrameReady(request.id, self._run, len(self._voxels))

    def _readcurve(self, request: ReadCurve, _) -> CurveReady:
        inside = self._folder.read(request.mask_file, np.uint8, self._voxels.shape) > 0
        curve = tuple(float(signal(self._voxels, t, self._seed)[inside].mean()) for t in request.times_s)
        return CurveReady(request.id, self._run, curve)


if __name__ == "__main__":
    process.main(NumpyService)
