"""What a viewer sees of the worker: the client's interface, its results, and what a transport has to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.protocol import Acquisition, Anatomy, Injection
from CEKWorldLib.worker.messages import CurveReady, FailureKind, Geometry, Prepared, Progress, Synthesized

CONNECTION_LOST = 75
"""Exit code of a worker process whose remote host is gone; ``EX_TEMPFAIL`` of sysexits.h."""


class WorkerError(CEKWorldError):
    """A request the worker could not do.

    Attributes:
        kind: as in ``messages.Failed``, or ``died`` when the worker ended before it answered.
        need_bytes, free_bytes: of memory, where it ran out and they are known.
    """

    def __init__(
        self, kind: FailureKind, message: str, need_bytes: int | None = None, free_bytes: int | None = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.need_bytes = need_bytes
        self.free_bytes = free_bytes


@dataclass(frozen=True)
class Status:
    """How the worker is.

    Attributes:
        state: ``starting``; ``ready``; ``restarting`` after it died; ``failed``, it is not started again; ``closed``.
        message: a sentence for the user where something went wrong, else empty.
    """

    state: Literal["starting", "ready", "restarting", "failed", "closed"]
    message: str = ""


@dataclass(frozen=True)
class Voxels:
    """A pre-contrast volume that is in the viewer's memory, such as a node of a scene.

    Attributes:
        values: float32 (slices, rows, columns).
        geometry: its place in the patient.
        acquisition: sequence settings, where the viewer knows them.
        file: that holds them already, one of ``WorkerClient.exam_file``; else they are written to one.
    """

    values: np.ndarray
    geometry: Geometry
    acquisition: Acquisition = Acquisition()
    file: str | None = None


@dataclass(frozen=True)
class Frame:
    """The volume at a time.

    Attributes:
        t_s: seconds after injection start.
        voxels: float32 in the exam's shape, read-only, mapped from the slot. It stays as it is while it is the frame
            delivered last, or was asked for with ``keep``; copy what has to last longer.
        slot: where it lies; the same slot is the same memory for as long as the exam is the same.
        run: number of the synthesis it was read from; grows with every change of times, injection, seed or steps.
        slices_ready: slices that are synthesized; the others show the source.
        complete: whether those are all.
    """

    t_s: float
    voxels: np.ndarray
    slot: int
    run: int
    slices_ready: int
    complete: bool


class SynthesisClient(Protocol):
    """Everything a viewer asks of the model. No call blocks: each gives a future.

    A request that a newer one of its kind replaced before it was sent has its future cancelled. Failures are
    ``WorkerError``, or ``CEKWorldError`` where the request did not reach the worker. Futures complete in the thread
    that drives the transport, which is the only one that may call the client.
    """

    def prepare(
        self, source: Path | Voxels, anatomy: Anatomy | None = None, series: str | int | None = None
    ) -> Future[Prepared]:
        """Takes an exam: a NRRD, NIfTI or DICOM path (``series`` chooses within a DICOM folder), or voxels."""
        ...

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
        """Synthesizes key times, slices nearest to ``first_slice`` first. Stops one that is running.

        With the same settings as before it goes on where that one stopped: to have other slices first, ask again
        with another ``first_slice``.
        """
        ...

    def frame(self, t_s: float, partial: bool = False, extrapolate: bool = False, keep: bool = False) -> Future[Frame]:
        """The volume at a time; at once, whatever the worker is doing, where it was delivered whole before.

        Args:
            t_s: seconds after injection start.
            partial: show the source in slices that are not synthesized yet, instead of failing.
            extrapolate: past the last key time hold its frame, instead of failing.
            keep: keep it until the next synthesis or exam.
        """
        ...

    def curve(
        self, mask: np.ndarray, times_s: Sequence[float], exact: bool = False, extrapolate: bool = False
    ) -> Future[CurveReady]:
        """Mean signal where ``mask``, of the exam's shape, is not zero."""
        ...

    def cancel(self) -> None:
        """Stops the synthesis at the next sampler step; its future fails with kind ``cancelled``."""
        ...

    def close(self) -> None:
        """Ends the worker and removes the shared folder."""
        ...


class Transport(Protocol):
    """A worker process, or a connection to one. One transport is started once; a restart takes a new one.

    All calls and callbacks happen in one thread; callbacks never come out of ``start``, ``write`` or ``kill``.

    Attributes:
        on_line: is called with every line of the worker's output, without its line break.
        on_exit: is called once, after the last line, with the exit code (negative: the signal), None if unknown.
    """

    on_line: Callable[[str], None]
    on_exit: Callable[[int | None], None]

    def start(self) -> None:
        """Starts the worker; lines written before it runs are kept for it."""
        ...

    def write(self, line: str) -> None:
        """Sends a line, given without its line break; does nothing once the worker has ended."""
        ...

    def kill(self) -> None:
        """Ends the worker at once."""
        ...
