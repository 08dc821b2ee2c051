"""From the page's settings to a synthesized series: asks the worker, shows how far it is, can be stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.exam import Exam
from CEKWorldLib.exam.protocol import ANATOMIES, Anatomy, Injection
from CEKWorldLib.scene.provenance import Provenance
from CEKWorldLib.synthesis.times import default_times, parse_times
from CEKWorldLib.web.page_state import Page
from CEKWorldLib.web.sample_frames import SampleFrames
from CEKWorldLib.worker.interface import Status, SynthesisClient, Voxels, WorkerError
from CEKWorldLib.worker.messages import Geometry, Opened, Progress

_MOST_SAMPLES = 16
_HIGHEST_SEED = 2**31 - 1  # as on the command line


class OpenClient(SynthesisClient, Protocol):
    """A client that says which model it has loaded."""

    opened: Future[Opened]
    status: Status


Read = Callable[[float], Awaitable[np.ndarray]]
"""Gives the voxels at a time; they stay as they are until the next are read."""
Watch = Callable[[SynthesisClient, SampleFrames, Provenance], AbstractAsyncContextManager[Read]]


class Synthesis:
    """Synthesizes the open exam.

    Args:
        page: has the settings, and shows progress.
        connect: makes the client of a worker, told whom to report its status to.
        folder: for frames.
        on_sample: told of every finished sample, with how it was made.
        watch: the context in which the first sample is made, read and told of, given its client, frames and how they
            are made; it gives what reads them, as it may read some itself.
        check_room: raises where so many phases, beside the source, of a shape are too many to be shown.

    Attributes:
        frames: of the latest synthesis; None before.
    """

    def __init__(
        self,
        page: Page,
        connect: Callable[[Callable[[Status], None]], OpenClient],
        folder: Path,
        on_sample: Callable[[SampleFrames, Provenance], None],
        watch: Watch,
        check_room: Callable[[tuple[int, ...], int], None],
    ) -> None:
        self.frames: SampleFrames | None = None
        self._page = page
        self._connect = connect
        self._folder = folder
        self._on_sample, self._watch, self._check_room = on_sample, watch, check_room
        self._client: OpenClient | None = None
        self._exam: Exam | None = None
        self._prepared: asyncio.Future | None = None
        self._runs = 0
        self._task: asyncio.Task | None = None

    def take(self, exam: Exam | None) -> None:
        """Takes the exam to synthesize from, and has the worker prepare it; None: there is none."""
        self.cancel()
        self._forget_frames()
        self._exam, self._prepared = exam, None
        self._page.set(can_synthesize=exam is not None, samples_ready=0)
        if exam is not None:
            self._prepare(exam)

    def start(self, first_slice: int | None = None) -> None:
        """Begins to synthesize, slices nearest to ``first_slice`` first."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._guarded(first_slice))

    def cancel(self) -> None:
        """Stops a synthesis that runs; samples that are complete stay."""
        if self._task is not None:
            self._task.cancel()
        if self._client is not None:
            self._client.cancel()

    def close(self) -> None:
        self.cancel()
        if self._client is not None:
            self._client.close()

    def _prepare(self, exam: Exam) -> tuple[OpenClient, asyncio.Future]:
        """Has the worker prepare an exam, a new one where the last was given up."""
        client = self._client
        if client is not None and client.status.state == "failed":
            client.close()
            client = None
        if client is None:
            client = self._client = self._connect(self._report)
        pre = exam.pre
        geometry = Geometry(pre.shape, pre.spacing, pre.origin, pre.direction)
        source = Voxels(pre.voxels, geometry, exam.acquisition)
        prepared = self._prepared = asyncio.ensure_future(asyncio.wrap_future(client.prepare(source, exam.anatomy)))
        prepared.add_done_callback(_seen)
        return client, prepared

    def _prepared_by(self, exam: Exam) -> tuple[OpenClient, asyncio.Future]:
        """The client and what it prepares; once more where that failed, as a worker may have died over it."""
        client, prepared = self._client, self._prepared
        if client is None or prepared is None or client.status.state == "failed" or _failed(prepared):
            return self._prepare(exam)
        return client, prepared

    async def _guarded(self, first_slice: int | None) -> None:
        self._page.set(busy=True, error="", progress_percent=0.0, progress_text="starting")
        try:
            await self._run(first_slice)
        except asyncio.CancelledError:
            self._page.set(progress_text="cancelled")
        except WorkerError as error:
            if error.kind != "cancelled":
                self._page.fail(error)
        except CEKWorldError as error:
            self._page.fail(error)
        except Exception as error:  # else a task nobody waits for would end without a word
            self._page.fail(
                CEKWorldError(
                    f"The synthesis failed in a way that it should not ({type(error).__name__}). Start it again; if it "
                    "fails again, report it with the log."
                )
            )
            raise
        finally:
            self._page.set(busy=False)

    async def _run(self, first_slice: int | None) -> None:
        exam = self._exam
        if exam is None:
            raise CEKWorldError("There is nothing to synthesize from; open a pre-contrast volume first.")
        page = self._page
        injection = Injection(arrival_s=_number(page.get("arrival_s"), "The bolus arrival"))
        times, first_seed = self._times(injection.arrival_s), _whole(page.get("seed"), "The seed", 0, _HIGHEST_SEED)
        count = _whole(page.get("samples"), "The number of samples", 1, _MOST_SAMPLES)
        shown = tuple(sorted({0.0, injection.arrival_s, *times}))
        self._check_room(exam.pre.shape, len(shown) - 1)
        client, prepared = self._prepared_by(exam)
        await asyncio.shield(prepared)
        # Shielded, as is what was prepared: cancelling this synthesis must not take them from the next one.
        opened = await asyncio.shield(asyncio.wrap_future(client.opened))
        page.set(model=f"{opened.model} · {opened.device}")
        self._runs += 1
        frames = SampleFrames(self._folder, self._runs, shown, exam.pre.voxels, injection.arrival_s)
        steps = opened.sample_steps if count > 1 else None
        provenance = Provenance(opened.model, opened.model_sha256, first_seed)
        for n in range(count):
            seed = first_seed + n

            def report(progress: Progress, n: int = n) -> None:
                self._show_progress(progress, n, count)

            made = client.synthesize(times, injection, seed, steps, first_slice, on_progress=report)
            watch: AbstractAsyncContextManager[Read]
            watch = self._watch(client, frames, provenance) if n == 0 else nullcontext(partial(read_frame, client))
            async with watch as read:
                await asyncio.wrap_future(made)
                await self._collect(read, frames)
                if n == 0:  # until then, those of the synthesis on screen stay
                    self._forget_frames()
                    self.frames = frames
                page.set(samples_ready=n + 1)
                self._on_sample(frames, provenance)

    async def _collect(self, read: Read, frames: SampleFrames) -> None:
        with frames.new_sample() as sample:
            for n, t in frames.missing:
                sample[n] = await read(t)

    def _times(self, arrival_s: float) -> tuple[float, ...]:
        preset = self._page.get("preset")
        if preset in ANATOMIES:
            return default_times(arrival_s, cast(Anatomy, preset))
        return parse_times(str(self._page.get("times_text")))

    def _show_progress(self, progress: Progress, sample: int, samples: int) -> None:
        share = (sample + progress.done / max(progress.total, 1)) / samples
        left = progress.remaining_s + (samples - sample - 1) * (progress.elapsed_s + progress.remaining_s)
        part = f"sample {sample + 1} of {samples} · " if samples > 1 else ""
        text = f"{part}slice {progress.done} of {progress.total} · {_clock(left)} left"
        self._page.set(progress_percent=100 * share, progress_text=text)

    def _report(self, status: Status) -> None:
        words = {"starting": "model is loading", "ready": "", "closed": ""}
        self._page.set(worker=words.get(status.state, status.message))

    def _forget_frames(self) -> None:
        if self.frames is not None:
            self.frames.discard()
            self.frames = None


async def read_frame(client: SynthesisClient, time_s: float) -> np.ndarray:
    """The voxels at a time, all slices of which are synthesized; a ``Read`` of a client."""
    return (await asyncio.wrap_future(client.frame(time_s))).voxels


def _seen(future: asyncio.Future) -> None:
    """Whoever synthesizes is told of an exam that was refused; nobody else needs to be."""
    if not future.cancelled():
        future.exception()


def _failed(future: asyncio.Future) -> bool:
    return future.done() and (future.cancelled() or future.exception() is not None)


def _number(value: object, what: str) -> float:
    """A number as the page's field has it, which may be text or empty.

    Raises:
        CEKWorldError: it is none.
    """
    try:
        return float(str(value))
    except ValueError:
        raise CEKWorldError(f"{what} is not a number; correct it and synthesize again.") from None


def _whole(value: object, what: str, lowest: int, highest: int) -> int:
    """A whole number as the page's field has it.

    Raises:
        CEKWorldError: it is none, or out of its bounds.
    """
    number = _number(value, what)
    if not (number.is_integer() and lowest <= number <= highest):
        raise CEKWorldError(f"{what} must be a whole number from {lowest} to {highest}; correct it.")
    return int(number)


def _clock(seconds: float) -> str:
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02d}"
