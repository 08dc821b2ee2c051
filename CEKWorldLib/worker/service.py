"""Does what requests ask, with a session per exam and synthesis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.checks import check_volume, contrast_warnings, protocol_warnings
from CEKWorldLib.exam.exam import Exam
from CEKWorldLib.exam.grid import slice_axis
from CEKWorldLib.exam.protocol import Acquisition
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.models.bundle import load_model
from CEKWorldLib.models.world import WorldModel
from CEKWorldLib.synthesis.batching import choose_device
from CEKWorldLib.synthesis.session import Session
from CEKWorldLib.worker import messages
from CEKWorldLib.worker.cancelling import cancellable, watch
from CEKWorldLib.worker.failures import failed
from CEKWorldLib.worker.messages import (
    CurveReady,
    FrameReady,
    Geometry,
    Open,
    Opened,
    Prepare,
    Prepared,
    ReadCurve,
    ReadFrame,
    Reply,
    Synthesize,
    Synthesized,
)
from CEKWorldLib.worker.shared_folder import SharedFolder

_IN_MEMORY = "The volume"  # what messages call an exam that came from the viewer's memory


@dataclass(frozen=True)
class _Opened:
    """The model with its settings."""

    request: Open
    folder: SharedFolder
    model: WorldModel
    device: str

    def session(self, seed: int, steps: int | None) -> Session:
        limit = self.request.memory_limit_bytes
        settings: dict[str, Any] = {} if limit is None else {"memory_limit_bytes": limit}
        cache = Path(self.request.cache)
        return Session(self.model, self.request.device, steps, seed, disk_cache=cache, **settings)


@dataclass(frozen=True)
class _Run:
    """A synthesis that can be read from."""

    number: int
    session: Session


class Service:
    """Answers requests. One thread opens, prepares and synthesizes; another may read frames and curves meanwhile.

    Args:
        send: sends progress.
    """

    def __init__(self, send: Callable[[messages.Progress], None]) -> None:
        self._send = send
        self._opened: _Opened | None = None
        self._exam: Exam | None = None
        self._latest: _Run | None = None  # goes on when it is asked for again
        self._readable: _Run | None = None  # has slices; until a new run has, the one before stays
        self._frames: tuple[str, np.ndarray] = ("", np.empty(0))  # of the reading thread alone

    def answer(self, request: Any, is_cancelled: Callable[[], bool]) -> Reply:
        """Does what a request asks; a failure is an answer too."""
        try:
            with cancellable(is_cancelled):
                match request:
                    case Open():
                        return self._open(request)
                    case Prepare():
                        return self._prepare(request)
                    case Synthesize():
                        return self._synthesize(request, is_cancelled)
                    case ReadFrame():
                        return self._read_frame(request)
                    case ReadCurve():
                        return self._read_curve(request)
            raise messages.ProtocolError(f"The worker does not know requests of type {type(request).__name__}.")
        except Exception as error:
            return failed(request.id, error, self._device)

    def close(self) -> None:
        """Has nobody to take leave of: what the sessions hold ends with the process."""

    @property
    def _device(self) -> str:
        if self._latest is not None:
            return self._latest.session.device
        return "cpu" if self._opened is None else self._opened.device

    def _open(self, request: Open) -> Opened:
        model = load_model(request.model)
        watch(model)
        device = choose_device(request.device).type
        self._opened = _Opened(request, SharedFolder(Path(request.folder)), model, device)
        return Opened(request.id, model.name, model.sha256, model.time_range_s, model.sample_steps, device)

    def _prepare(self, request: Prepare) -> Prepared:
        exam = self._given_exam(request) if request.path is None else self._read_exam(request)
        self._exam, self._latest, self._readable = exam, None, None
        pre = exam.pre
        geometry = Geometry(pre.shape, pre.spacing, pre.origin, pre.direction)
        return Prepared(request.id, geometry, slice_axis(pre), exam.warnings)

    def _read_exam(self, request: Prepare) -> Exam:
        from CEKWorldLib.exam.reading import read_exam  # pydicom takes a second, and a viewer's voxels need none of it

        assert request.path is not None
        return read_exam(request.path, request.anatomy, request.series)

    def _given_exam(self, request: Prepare) -> Exam:
        """An exam of voxels in the shared folder; they pass the checks that a file would."""
        geometry = request.geometry
        if geometry is None or request.voxels_file is None:
            raise messages.ProtocolError("An exam needs a path, or voxels with their geometry.")
        voxels = self._model.folder.read(request.voxels_file, np.float32, geometry.shape)
        volume = Volume(voxels, geometry.spacing, geometry.origin, geometry.direction)
        check_volume(volume, _IN_MEMORY)
        acquisition = request.acquisition or Acquisition()
        warnings = protocol_warnings(acquisition) + contrast_warnings(volume)
        return Exam(volume, acquisition, request.anatomy, warnings=warnings)

    def _synthesize(self, request: Synthesize, is_cancelled: Callable[[], bool]) -> Synthesized:
        run = self._run(request)

        def report(progress) -> None:
            self._readable = run
            self._send(messages.Progress(request.id, run.number, **vars(progress)))

        session = run.session
        session.synthesize(request.times_s, request.first_slice, report, is_cancelled, request.extrapolate)
        self._readable = run
        return Synthesized(request.id, run.number, session.device, session.metadata())

    def _run(self, request: Synthesize) -> _Run:
        """The run that was begun with this number, or a new one."""
        if self._latest is None or self._latest.number != request.run:
            if self._exam is None:
                raise CEKWorldError("There is no exam yet; prepare one first.")
            session = self._model.session(request.seed, request.steps)
            session.prepare(self._exam, request.injection)
            self._latest = _Run(request.run, session)
        return self._latest

    def _read_frame(self, request: ReadFrame) -> FrameReady:
        run = self._present_run
        session = run.session
        ready = session.ready_slices
        out = self._slots(request.file, session.exam.pre.shape)[request.slot]
        session.frame(request.t_s, out, request.partial, request.extrapolate)
        return FrameReady(request.id, run.number, int(ready.sum()))

    def _read_curve(self, request: ReadCurve) -> CurveReady:
        run = self._present_run
        mask = self._model.folder.read(request.mask_file, np.uint8, run.session.exam.pre.shape)
        signal = run.session.curve(mask, request.times_s, request.exact, request.extrapolate)
        return CurveReady(request.id, run.number, tuple(signal.tolist()))

    def _slots(self, file: str, shape: tuple[int, ...]) -> np.ndarray:
        """The frames file, mapped once per exam: touching its pages anew would take longer than filling them."""
        if self._frames[0] != file:
            self._frames = file, self._model.folder.open_frames(file, shape)
        return self._frames[1]

    @property
    def _model(self) -> _Opened:
        if self._opened is None:
            raise messages.ProtocolError("No model is open yet.")
        return self._opened

    @property
    def _present_run(self) -> _Run:
        if self._readable is None:
            raise CEKWorldError("Nothing is synthesized yet; synthesize the exam first.")
        return self._readable
