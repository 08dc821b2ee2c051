"""The viewer's requests, each from its call to its answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.worker.interface import Frame, Voxels
from CEKWorldLib.worker.messages import (
    CurveReady,
    FrameReady,
    Prepare,
    Prepared,
    Progress,
    ReadCurve,
    ReadFrame,
    Request,
    Synthesize,
    Synthesized,
)
from CEKWorldLib.worker.shared_exam import SharedExam
from CEKWorldLib.worker.shared_folder import SharedFolder


@dataclass
class Holdings:
    """What the client has that outlives a worker.

    Attributes:
        folder: shared with the worker.
        slots: frames of an exam that stay readable.
        exam: the exam the worker holds, or is to hold again.
        finished: the last finished synthesis of that exam.
        run_read: number of the synthesis that frames are read from now.
        unsent: file for an exam that is still being written.
    """

    folder: SharedFolder
    slots: int
    exam: SharedExam | None = None
    finished: Synthesize | None = None
    run_read: int = 0
    unsent: str | None = None

    def present_exam(self) -> SharedExam:
        if self.exam is None:
            raise CEKWorldError("There is no exam yet; prepare one first.")
        return self.exam


class Job(ABC):
    """A request that waits for its turn, is sent, and answered or not.

    Attributes:
        future: what the viewer holds.
        id: of the request, once it is sent.
    """

    def __init__(self, holdings: Holdings) -> None:
        self.holdings = holdings
        self.future: Future = Future()
        self.id: int | None = None

    @abstractmethod
    def request(self, id: int) -> Request:
        """Makes the request, when its turn has come."""

    def finish(self, reply: Any) -> Any:
        """Turns the worker's reply into what the viewer gets."""
        return reply

    def abandon(self) -> None:
        """Takes back what ``request`` did, where no reply comes."""
        return

    def progress(self, event: Progress) -> None:
        """Takes note of how far it is."""
        return

    def error(self) -> BaseException | None:
        """What the finished job failed with; None where it succeeded or nobody waits for it."""
        return None if self.future.cancelled() else self.future.exception()

    def succeed(self, reply: Any) -> None:
        try:
            result = self.finish(reply)
        except CEKWorldError as error:
            self.fail(error)
            return
        if not self.future.cancelled():
            self.future.set_result(result)

    def fail(self, error: Exception) -> None:
        """Ends a job that was sent."""
        self.abandon()
        self.refuse(error)

    def refuse(self, error: BaseException) -> None:
        """Ends a job without a result, unless the viewer has lost interest."""
        if not self.future.cancelled():
            self.future.set_exception(error)


class PrepareJob(Job):
    """Gives the worker an exam; ``request_of`` lacks the id, and the file of voxels that are given with it."""

    def __init__(self, holdings: Holdings, request_of: Prepare, voxels: Voxels | None) -> None:
        super().__init__(holdings)
        self._request = request_of
        self._voxels = voxels

    def request(self, id: int) -> Prepare:
        self._request = replace(self._request, id=id)
        if self._voxels is not None:
            self._request = replace(self._request, voxels_file=self._file(f"exam-{id}.f32", self._voxels))
            self._voxels = None
        return self._request

    def _file(self, name: str, voxels: Voxels) -> str:
        """The file the voxels are in; they are written to one of this name where they are in none yet."""
        if voxels.file is None:
            self.holdings.folder.write(name, voxels.values.astype(np.float32, copy=False))
            return name
        if voxels.file == self.holdings.unsent:
            self.holdings.unsent = None
        return voxels.file

    def finish(self, reply: Prepared) -> Prepared:
        held = self.holdings
        if held.exam is not None:
            held.exam.discard()
        # First, for the worker has let go of the one before even if there is no room for this one's frames.
        held.exam, held.finished, held.run_read = None, None, 0
        held.exam = SharedExam.create(held.folder, self._request, reply, held.slots)
        return reply

    def abandon(self) -> None:
        if self._request.voxels_file is not None:
            self.holdings.folder.discard(self._request.voxels_file)


class SynthesizeJob(Job):
    """Has key times synthesized; ``request_of`` lacks the id alone."""

    def __init__(
        self, holdings: Holdings, request_of: Synthesize, on_progress: Callable[[Progress], None] | None
    ) -> None:
        super().__init__(holdings)
        self._request = request_of
        self._on_progress = on_progress

    def request(self, id: int) -> Synthesize:
        return replace(self._request, id=id)

    def progress(self, event: Progress) -> None:
        self.holdings.run_read = event.run
        if self._on_progress:
            self._on_progress(event)

    def finish(self, reply: Synthesized) -> Synthesized:
        self.holdings.run_read, self.holdings.finished = reply.run, self._request
        return reply


class FrameJob(Job):
    """Has the volume at a time written to a slot."""

    def __init__(self, holdings: Holdings, t_s: float, partial: bool, extrapolate: bool, keep: bool) -> None:
        super().__init__(holdings)
        self._t_s, self._partial, self._extrapolate, self._keep = t_s, partial, extrapolate, keep

    def request(self, id: int) -> ReadFrame:
        self._exam = self.holdings.present_exam()
        self._slot = self._exam.reserve()
        return ReadFrame(id, self._t_s, self._exam.frames_file, self._slot, self._partial, self._extrapolate)

    def finish(self, reply: FrameReady) -> Frame:
        frame = self._exam.frame(self._t_s, self._slot, reply.run, reply.slices_ready)
        key = (reply.run, self._t_s, self._extrapolate) if frame.complete else None
        self._exam.slots.put(self._slot, key, self._keep)
        return frame

    def abandon(self) -> None:
        self._exam.slots.give_back(self._slot)


class CurveJob(Job):
    """Has the mean signal in a mask read."""

    def __init__(
        self, holdings: Holdings, inside: np.ndarray, times_s: tuple[float, ...], exact: bool, extrapolate: bool
    ) -> None:
        super().__init__(holdings)
        self._inside, self._times_s, self._exact, self._extrapolate = inside, times_s, exact, extrapolate

    def request(self, id: int) -> ReadCurve:
        shape = self.holdings.present_exam().shape
        if self._inside.shape != shape:
            raise CEKWorldError(f"The mask is {self._inside.shape}, the volume {shape}; draw it on this volume.")
        self._name = f"mask-{id}.u8"
        self.holdings.folder.write(self._name, self._inside)
        return ReadCurve(id, self._name, self._times_s, self._exact, self._extrapolate)

    def finish(self, reply: CurveReady) -> CurveReady:
        self.abandon()
        return reply

    def abandon(self) -> None:
        self.holdings.folder.discard(self._name)
