"""From Apply to a series in the scene: model, exam, key times, phases, further samples; one step after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from slicer.i18n import tr as _

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.protocol import Acquisition, Anatomy, Injection
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.gui.frame_reading import FrameReader
from CEKWorldLib.gui.gradual_copy import GradualCopy, Target, no_room
from CEKWorldLib.gui.sample_store import SampleStore
from CEKWorldLib.gui.signals import Signal
from CEKWorldLib.gui.timers import MakeTimer
from CEKWorldLib.scene.provenance import Provenance
from CEKWorldLib.scene.scene_session import SceneSession
from CEKWorldLib.worker.client import WorkerClient
from CEKWorldLib.worker.interface import Voxels, WorkerError
from CEKWorldLib.worker.messages import Geometry, Opened, Prepared, Progress, Synthesized

_BRIGHTEST = 2.0  # white is at twice the source's window: enhancing breast and liver stay inside
_PATIENCE_MS = 5000  # for a cancel to be heard, between two sampler steps on a slow CPU


class Step(Enum):
    """What a run is doing."""

    IDLE = "idle"
    OPENING = "opening"
    PREPARING = "preparing"
    SYNTHESIZING = "synthesizing"
    READING = "reading"
    SAMPLING = "sampling"


@dataclass(frozen=True)
class Request:
    """What the user asks for.

    Attributes:
        name: of the exam, as its node is called.
        volume: pre-contrast, voxels of any type; they are copied within the first rounds of the event loop.
        times_s: key times.
        injection: the virtual one.
        anatomy: the body region, where the user has named it.
        acquisition: sequence settings, where the header tells.
        seed: of the first sample; further ones take the numbers after it.
        samples: how many; more than one tells how sure the curves are.
        first_slice: the slice the user looks at, which is made first; None takes the middle.
        source: a DICOM file of the series the volume was loaded from; None where it was not DICOM.
        is_current: whether the volume is still as it was; asked once it is copied.
    """

    name: str
    volume: Volume
    times_s: tuple[float, ...]
    injection: Injection
    anatomy: Anatomy | None = None
    acquisition: Acquisition = Acquisition()
    seed: int = 0
    samples: int = 1
    first_slice: int | None = None
    source: Path | None = None
    is_current: Callable[[], bool] = lambda: True


class SynthesisRun:
    """Drives a worker for a scene session; never waits.

    Args:
        session: what shows the series.
        make_timer: of the application.
        shown_time: gives the time the slider stands at.

    Attributes:
        step: what it is doing.
        request: the latest; None before the first.
        store: the samples, as soon as there are all of them, else None.
        metadata: what the worker says of the finished series.
        changed: emitted with each new ``Step``.
        progressed: emitted with the worker's ``Progress``.
        opened: emitted when the exam is in the scene.
        glanced: emitted when a time the user looks at has come.
        collected: emitted when the phases of the first sample are in the scene, or those that could be read.
        noticed, failed: emitted with a sentence for the user.
    """

    def __init__(self, session: SceneSession, make_timer: MakeTimer, shown_time: Callable[[], float]) -> None:
        self.step = Step.IDLE
        self.request: Request | None = None
        self.store: SampleStore | None = None
        self.metadata: dict[str, Any] = {}
        self.changed, self.progressed, self.opened, self.glanced = Signal(), Signal(), Signal(), Signal()
        self.collected, self.noticed, self.failed = Signal(), Signal(), Signal()
        self._session = session
        self._shown_time = shown_time
        self._copy = GradualCopy(make_timer)  # of the exam first, then of frames
        self._impatience = make_timer(self._restart)
        self._next_round = make_timer(lambda: self._next_step())
        self._next_step: Callable[[], None] = self._copy_exam
        self._client: WorkerClient | None = None
        self._reader: FrameReader | None = None
        self._sampled: SampleStore | None = None  # being filled
        self._seeds: list[int] = []
        self._sample = 0
        self._is_synthesizing = False
        self._token = object()  # of the run; answers to an earlier one are not for this one

    @property
    def is_running(self) -> bool:
        return self.step is not Step.IDLE

    def start(self, client: WorkerClient, request: Request) -> None:
        """Begins; a run that is under way is forgotten, and its synthesis stopped by the worker.

        Raises:
            CEKWorldError: more phases than there is memory for; nothing was begun.
        """
        # Of the frames at injection and arrival, which the session keeps beside the phases, one counts as the source.
        frames = {0.0, request.injection.arrival_s, *request.times_s}
        self._session.check_room(request.volume.shape, len(frames) - 1)
        self.forget()
        self._client, self.request, self._token = client, request, object()
        further = list(range(request.seed + 1, request.seed + request.samples))
        # In the end the first once more, from the worker's cache: times between the phases are read from the latest.
        self._seeds = [request.seed, *further, *([request.seed] if further else [])]
        self._to(Step.OPENING)
        self._later(self._copy_exam)  # while the worker loads the model

    def cancel(self) -> None:
        """Stops; what is shown stays."""
        if self._client is None or not self.is_running:
            return
        if self.step not in (Step.SYNTHESIZING, Step.READING, Step.SAMPLING):
            self.forget()
        elif self._is_synthesizing:
            self._impatience.start(_PATIENCE_MS)
            self._client.cancel()
        else:  # frames are being read
            if self._reader is not None:
                self._reader.stop()
            self._ended(_stopped())

    @property
    def can_glance(self) -> bool:
        """Whether the worker holds the exam and is not busy with another sample of it."""
        return self._reader is not None and self._sample == 0

    def glance(self, time_s: float) -> None:
        """Has the worker make the volume of a time exactly, if it can."""
        if self._reader is not None and self.can_glance:
            self._reader.glance(time_s)

    def forget(self) -> None:
        """Lets go of run and samples, as when the scene is closed."""
        self._token = object()
        self._impatience.stop()
        self._next_round.stop()
        self._copy.stop()
        if self._client is not None and self.is_running:
            self._client.cancel()
        if self._reader is not None:
            self._reader.stop()
            self._reader = None
        for store in (self.store, self._sampled):
            if store is not None:
                store.close()
        self.store = self._sampled = None
        self._sample = 0
        self._to(Step.IDLE)

    # The steps

    def _copy_exam(self) -> None:
        """Copies the volume for the panel and for the worker, and touches the memory that previews need."""
        client, request = self._present
        shape = request.volume.shape
        try:
            name, file = client.exam_file(shape)
        except CEKWorldError as error:
            self._ended(error)
            return
        own, *scratch = (np.empty(shape, np.float32) for _n in range(3))

        def copied() -> None:
            if not request.is_current():
                self._ended(CEKWorldError(_("The volume was changed while it was read; press Apply again.")))
                return
            self.request = replace(request, volume=request.volume.like(own))
            self._scratch, self._file = scratch, name
            self._then(client.opened, self._model_opened)

        targets: list[Target] = [own, file, *scratch]
        self._copy.start(request.volume.voxels, targets, copied, lambda error: self._ended(no_room(error)))

    def _model_opened(self, opened: Opened) -> None:
        client, request = self._present
        self._model = opened
        self._to(Step.PREPARING)
        volume = request.volume
        geometry = Geometry(volume.shape, volume.spacing, volume.origin, volume.direction)
        voxels = Voxels(volume.voxels, geometry, request.acquisition, self._file)
        self._then(client.prepare(voxels, request.anatomy), self._exam_taken)

    def _exam_taken(self, prepared: Prepared) -> None:
        client, request = self._present
        for warning in prepared.warnings:
            self.noticed.emit(warning)
        provenance = Provenance(self._model.model, self._model.model_sha256, request.seed)
        arrival_s = request.injection.arrival_s
        self._session.open_exam(request.name, request.volume, provenance, arrival_s, _BRIGHTEST, self._scratch)
        self.metadata = {}
        self._reader = FrameReader(client, self._copy, self._room, self._take_phase, self._take_glance)
        self._reader.collected.connect(self._phases_taken)
        self._reader.failed.connect(self._ended)
        if request.samples > 1:
            self._sampled = SampleStore(self._all_times, request.volume.shape)
        self._later(self._exam_shown)

    def _exam_shown(self) -> None:
        self.opened.emit()
        self._later(self._next_sample)

    def _next_sample(self) -> None:
        client, request = self._present
        seed = self._seeds.pop(0)
        is_first, is_last = self._sample == 0, self._sample == request.samples
        if self._sampled is not None and not is_last:
            try:
                self._sampled.begin()
            except OSError as error:
                self._ended(no_room(error))
                return
        self._to(Step.SYNTHESIZING if is_first else Step.SAMPLING)
        token = self._token
        future = client.synthesize(
            request.times_s,
            request.injection,
            seed,
            steps=self._model.sample_steps if request.samples > 1 else None,
            first_slice=request.first_slice,
            on_progress=lambda progress: self._progress(token, progress),
        )
        self._is_synthesizing = True
        self._then(future, self._finish if is_last else self._synthesized)

    def _progress(self, token: object, progress: Progress) -> None:
        if token is self._token:
            self.progressed.emit(progress)
            self.glance(self._shown_time())

    def _synthesized(self, reply: Synthesized) -> None:
        self._impatience.stop()
        if self._sample == 0:
            self.metadata = reply.metadata
            self._to(Step.READING)
        if self._reader is not None:
            self._reader.collect(self._all_times if self._sampled is not None else self._synthetic_times)

    def _phases_taken(self) -> None:
        is_first = self._sample == 0
        if is_first:
            self.collected.emit()
        if not self._seeds:
            self._to(Step.IDLE)
            return
        self._sample += 1
        self._next_sample()

    def _finish(self, reply: Synthesized) -> None:
        """All samples are there, and the worker has the first once more."""
        self._impatience.stop()
        self._sample = 0
        self._all_sampled()

    def _all_sampled(self) -> None:
        self.store, self._sampled = self._sampled, None
        self._to(Step.IDLE)

    # What arrives

    def _room(self, time_s: float) -> list[Target]:
        """Where a phase goes: of the first sample into the session, and of all samples there are into the store."""
        _client, request = self._present
        is_shown = self._sample == 0 and time_s in self._synthetic_times
        room: list[Target] = [np.empty(request.volume.shape, np.float32)] if is_shown else []
        return room if self._sampled is None else [*room, self._sampled.room(time_s)]

    def _take_phase(self, time_s: float, copies: Sequence[Any]) -> None:
        if self._sample == 0 and time_s in self._synthetic_times:
            self._session.put_frame(time_s, copies[0])

    def _take_glance(self, time_s: float, voxels: np.ndarray, complete: bool) -> None:
        if self._session.is_open:
            self._session.put_glance(time_s, voxels, partial=not complete)
            self.glanced.emit()

    def _ended(self, error: CEKWorldError) -> None:
        """A step failed or was stopped. Samples that are not whole are given up, phases that are shown stay."""
        self._impatience.stop()
        if not (isinstance(error, WorkerError) and error.kind == "cancelled"):
            self.failed.emit(str(error))
        _client, request = self._present
        if self._sample == request.samples:  # only times between the phases are not to be had
            self._all_sampled()
            return
        if self._sampled is not None:
            self._sampled.close()
            self._sampled = None
        if self._sample == 0:
            if self.step is Step.READING:
                self.collected.emit()
            self._to(Step.IDLE)
            return
        self._seeds, self._sample = [request.seed], request.samples
        self._next_sample()

    def _then(self, future: Future, step: Callable[[Any], None]) -> None:
        token = self._token

        def go_on(done: Future) -> None:
            if token is not self._token:
                return
            self._is_synthesizing = False
            try:
                result = done.result()
            except CancelledError:  # it was still waiting, as for a worker that is being started again
                self._ended(_stopped())
                return
            except CEKWorldError as error:
                self._ended(error)
                return
            step(result)

        future.add_done_callback(go_on)

    def _later(self, step: Callable[[], None]) -> None:
        """Does a step in the next round of the event loop, so that no round has all that a step before it began."""
        self._next_step = step
        self._next_round.start(1)  # ms; a timer of 0 may still fire in this round

    def _restart(self) -> None:
        if self._client is not None:
            self._client.restart()

    @property
    def _all_times(self) -> list[float]:
        """With those at which the session shows the source itself, injection and arrival: curves begin there."""
        _client, request = self._present
        return sorted({0.0, request.injection.arrival_s, *request.times_s})

    @property
    def _synthetic_times(self) -> list[float]:
        """Without those."""
        _client, request = self._present
        return [time_s for time_s in request.times_s if time_s not in (0.0, request.injection.arrival_s)]

    @property
    def _present(self) -> tuple[WorkerClient, Request]:
        assert self._client is not None and self.request is not None
        return self._client, self.request

    def _to(self, step: Step) -> None:
        if step is not self.step:
            self.step = step
            self.changed.emit(step)


def _stopped() -> WorkerError:
    return WorkerError("cancelled", _("The synthesis was stopped."))
