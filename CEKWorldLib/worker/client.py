"""The client a viewer holds: sends requests, answers known frames at once, and brings a dead worker back."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.protocol import Anatomy, Injection
from CEKWorldLib.worker.interface import CONNECTION_LOST, Frame, Status, SynthesisClient, Transport, Voxels, WorkerError
from CEKWorldLib.worker.jobs import CurveJob, FrameJob, Holdings, Job, PrepareJob, SynthesizeJob
from CEKWorldLib.worker.lanes import Lane
from CEKWorldLib.worker.messages import (
    PROTOCOL,
    Cancel,
    CurveReady,
    Failed,
    Hello,
    Open,
    Opened,
    Prepare,
    Prepared,
    Progress,
    ProtocolError,
    Quit,
    Reply,
    Request,
    Synthesize,
    Synthesized,
    decode,
    encode,
)
from CEKWorldLib.worker.shared_folder import SharedFolder
from CEKWorldLib.worker.volume_file import VolumeFile

# A worker that dies so often before it is ready will not get ready: PyTorch is missing, or memory for the model.
_ATTEMPTS = 3


@dataclass(frozen=True)
class Settings:
    """How the worker is opened.

    Attributes:
        model: name or folder.
        device: ``auto``, ``cpu`` or ``cuda``.
        cache: folder in which finished series outlive the viewer; None keeps them until it closes.
        memory_limit_bytes: for latents and key frames; None takes the session's default.
        slots: frames that stay readable; kept ones need two more than there are of them.
        temporary: where the shared folder is made; None takes the system's temporary folder.
    """

    model: str = "compact"
    device: str = "auto"
    cache: Path | None = None
    memory_limit_bytes: int | None = None
    slots: int = 4
    temporary: Path | None = None


class WorkerClient(SynthesisClient):
    """Drives one worker process; see ``interface.SynthesisClient`` for what its calls mean.

    When the worker dies, the requests it was working on fail, it is started again and given the exam and the last
    finished series, which it finds in its disk cache; requests that were waiting then go on. Frames that were
    delivered whole are answered all the while.

    Args:
        connect: makes a transport, one for every start of the worker.
        settings: model, device, slots.
        on_status: told of every change, from start to close.

    Attributes:
        opened: the model, once it is loaded.
        status: how the worker is.
    """

    def __init__(
        self,
        connect: Callable[[], Transport],
        settings: Settings | None = None,
        on_status: Callable[[Status], None] = lambda status: None,
    ) -> None:
        self.settings = settings or Settings()
        self.opened: Future[Opened] = Future()
        self._connect = connect
        self._on_status = on_status
        self._held = Holdings(SharedFolder.create(self.settings.temporary), self.settings.slots)
        self._ids = itertools.count(1)
        self._exams, self._series, self._frames, self._curves = self._lanes = Lane(), Lane(), Lane(), Lane()
        self._run = 0  # number of the latest synthesis
        self._run_settings: tuple | None = None  # what it was asked for with
        self._attempts = 0  # starts since the worker was last ready
        self._recovering: set[int] = set()  # requests that must be answered before it is
        self._start(Status("starting"))

    def exam_file(self, shape: tuple[int, ...]) -> tuple[str, VolumeFile]:
        """A file for an exam's voxels, to be filled bit by bit where one go takes too long; an earlier one that was
        not given to ``prepare`` is removed.

        Args:
            shape: of the exam.

        Returns:
            Its name, for ``Voxels``, and the file.

        Raises:
            OutOfMemory: the disk is full.
        """
        held = self._held
        if held.unsent is not None:
            held.folder.discard(held.unsent)
        held.unsent = f"exam-{next(self._ids)}.f32"
        return held.unsent, held.folder.create_exam(held.unsent, shape)

    def prepare(
        self, source: Path | Voxels, anatomy: Anatomy | None = None, series: str | int | None = None
    ) -> Future[Prepared]:
        if isinstance(source, Voxels):
            request = Prepare(0, geometry=source.geometry, acquisition=source.acquisition, anatomy=anatomy)
        else:
            request = Prepare(0, path=str(Path(source).absolute()), series=series, anatomy=anatomy)
        self.cancel()
        self._frames.drop_waiting()
        self._curves.drop_waiting()
        self._run_settings = None
        return self._submit(
            self._exams, PrepareJob(self._held, request, source if isinstance(source, Voxels) else None)
        )

    def synthesize(
        self,
        times_s: Sequence[float],
        injection: Injection | None = None,
        seed: int = 0,
        steps: int | None = None,
        first_slice: int | None = None,
        extrapolate: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Future[Synthesized]:
        settings = (tuple(float(t) for t in times_s), injection or Injection(), seed, steps)
        if settings != self._run_settings:
            self._run, self._run_settings = self._run + 1, settings
            if self._held.exam is not None:
                self._held.exam.slots.release()
        self.cancel()
        request = Synthesize(0, self._run, *settings, first_slice, extrapolate)
        return self._submit(self._series, SynthesizeJob(self._held, request, on_progress))

    def frame(self, t_s: float, partial: bool = False, extrapolate: bool = False, keep: bool = False) -> Future[Frame]:
        exam = None if self._exams.busy else self._held.exam
        known = exam and exam.known_frame(self._held.run_read, t_s, extrapolate, keep)
        if not known:
            return self._submit(self._frames, FrameJob(self._held, t_s, partial, extrapolate, keep))
        self._frames.drop_waiting()
        if self._frames.running is not None:
            self._frames.running.future.cancel()  # or it would be shown after this newer one
        at_once: Future[Frame] = Future()
        at_once.set_result(known)
        return at_once

    def curve(
        self, mask: np.ndarray, times_s: Sequence[float], exact: bool = False, extrapolate: bool = False
    ) -> Future[CurveReady]:
        inside = (np.asarray(mask) != 0).astype(np.uint8)
        times = tuple(float(t) for t in times_s)
        return self._submit(self._curves, CurveJob(self._held, inside, times, exact, extrapolate))

    def cancel(self) -> None:
        self._series.drop_waiting()
        running = self._series.running
        if running is not None and running.id is not None:
            self._write(Cancel(running.id))

    def restart(self) -> None:
        """Kills the worker, as when it does not answer a cancel; it comes back as after any other death."""
        self._transport.kill()

    def close(self) -> None:
        if self.status.state == "closed":
            return
        is_gone = self.status.state == "failed"
        self._tell(Status("closed"))
        self._fail_all(WorkerError("cancelled", "The viewer was closed."))
        if is_gone:
            self._leave_nothing()
        else:
            self._write(Quit())

    # Sending

    def _submit(self, lane: Lane, job: Job) -> Future:
        if self.status.state in ("failed", "closed"):
            job.refuse(WorkerError("died", self.status.message or "The viewer was closed."))
        else:
            lane.put(job)
            self._pump()
        return job.future

    def _pump(self) -> None:
        """Sends what may be sent: nothing before the worker is ready, nothing else before the exam is there."""
        for lane in self._lanes:
            if self.status.state != "ready" or (lane is not self._exams and self._exams.busy):
                return
            job = lane.next()
            if job is not None:
                self._send(lane, job)

    def _send(self, lane: Lane, job: Job) -> None:
        job.id = next(self._ids)
        try:
            request = job.request(job.id)
        except CEKWorldError as error:
            lane.running = None
            job.refuse(error)
        else:
            self._write(request)

    def _write(self, message: Request) -> None:
        self._transport.write(encode(message))

    # Receiving

    def _received(self, transport: Transport, line: str) -> None:
        if transport is not self._transport or self.status.state in ("failed", "closed"):
            return
        try:
            event = decode(line)
        except ProtocolError as error:
            self._give_up(WorkerError("protocol", str(error)))
            return
        if isinstance(event, Hello):
            self._greet(event)
        elif isinstance(event, Failed) and event.id is None:
            self._give_up(_error(event))
        elif event.id in self._recovering:
            self._recovered(event)
        elif lane := next((lane for lane in self._lanes if lane.running and lane.running.id == event.id), None):
            self._answered(lane, event)

    def _answered(self, lane: Lane, event: Progress | Reply) -> None:
        job = lane.running
        assert job is not None
        if isinstance(event, Progress):
            job.progress(event)
            return
        lane.running = None
        if isinstance(event, Failed):
            job.fail(_error(event))
        else:
            job.succeed(event)
        if lane is self._exams and (error := job.error()) and not self._exams.waiting:
            for other in (self._series, self._frames, self._curves):
                other.fail_waiting(error)  # it was meant for this exam, not for the one before
        self._pump()

    # Start, death and recovery

    def _start(self, status: Status) -> None:
        transport = self._transport = self._connect()
        transport.on_line = lambda line: self._received(transport, line)
        transport.on_exit = lambda code: self._exited(transport, code)
        self._recovering.clear()
        self._tell(status)
        transport.start()

    def _greet(self, hello: Hello) -> None:
        """Opens the model, and gives a worker that was started again what the one before it had."""
        if hello.protocol != PROTOCOL:
            message = (
                f"The worker is CEKWorld {hello.software}, which this viewer cannot talk to; update the older one."
            )
            self._give_up(WorkerError("protocol", message))
            return
        held = self._held
        again = [held.exam.request if held.exam else None, held.finished]
        requests = [self._opening(), *(replace(request, id=next(self._ids)) for request in again if request)]
        self._recovering = {request.id for request in requests}
        for request in requests:
            self._write(request)

    def _opening(self) -> Open:
        folder, settings = self._held.folder.path, self.settings
        cache = (settings.cache or folder / "cache").absolute()
        return Open(
            next(self._ids), str(folder), settings.model, settings.device, str(cache), settings.memory_limit_bytes
        )

    def _recovered(self, event: Progress | Reply) -> None:
        if isinstance(event, Progress):
            return
        if isinstance(event, Failed):
            self._give_up(_error(event))
            return
        self._recovering.discard(event.id)
        if isinstance(event, Opened) and not self.opened.done():
            self.opened.set_result(event)
        if not self._recovering:
            self._attempts = 0
            self._tell(Status("ready"))
            self._pump()

    def _exited(self, transport: Transport, code: int | None) -> None:
        if transport is not self._transport:
            return
        if self.status.state in ("failed", "closed"):
            self._leave_nothing()
            return
        reason = f"The synthesis process ended unexpectedly ({_how(code)})."
        self._attempts += 1
        if self._attempts >= _ATTEMPTS:
            message = f"{reason} It was started {_ATTEMPTS} times in vain; see its output for the cause."
            self._give_up(WorkerError("died", message))
            self._leave_nothing()  # a transport that has ended tells no further end
            return
        # First, so that what a viewer asks for on hearing of the failures waits for the next worker.
        self._start(Status("restarting", f"{reason} It is being started again; what is shown stays."))
        for lane in self._lanes:
            lane.fail_running(WorkerError("died", f"{reason} It is being started again; repeat what you asked for."))

    def _leave_nothing(self) -> None:
        self._held.exam = None  # Windows does not remove files that are mapped
        self._held.folder.remove()

    def _give_up(self, error: WorkerError) -> None:
        self._tell(Status("failed", str(error)))
        self._fail_all(error)
        self._transport.kill()

    def _fail_all(self, error: WorkerError) -> None:
        if not self.opened.done():
            self.opened.set_exception(error)
        for lane in self._lanes:
            lane.fail_running(error)
            lane.fail_waiting(error)

    def _tell(self, status: Status) -> None:
        self.status = status
        self._on_status(status)


def _error(failed: Failed) -> WorkerError:
    return WorkerError(failed.kind, failed.message, failed.need_bytes, failed.free_bytes)


def _how(code: int | None) -> str:
    if code is None or code == CONNECTION_LOST:
        return "connection lost"
    return f"signal {-code}" if code < 0 else f"exit code {code}"
