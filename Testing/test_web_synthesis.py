"""A synthesis of the viewer with a worker that is told how to fail: what is shown, kept and asked for again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.exam import Exam
from CEKWorldLib.exam.protocol import Acquisition
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.worker.interface import Status, WorkerError

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("trame_slicer", reason="trame-slicer is not installed")

from CEKWorldLib.web.exam_opening import OpenedExam
from CEKWorldLib.web.live_frames import LiveFrames
from CEKWorldLib.web.page_state import PageState
from CEKWorldLib.web.region_control import RegionControl
from CEKWorldLib.web.synthesis import Synthesis, read_frame
from CEKWorldLib.web.viewer import Viewer

SHAPE = (2, 4, 4)
PRE = Volume(np.ones(SHAPE, np.float32), (1.0, 1.0, 3.0))
EXAM = Exam(PRE, Acquisition(), None, Path("pre.nrrd"), ())
DIED = WorkerError("died", "The synthesis process ended unexpectedly (signal 9).")


class Shared:
    """In place of a page: its values, without a browser."""

    def __init__(self, **values: Any) -> None:
        self.values = asdict(PageState()) | values

    def set(self, **values: Any) -> None:
        self.values |= values

    def get(self, name: str) -> Any:
        return self.values[name]

    def fail(self, error: Exception) -> None:
        self.set(error=str(error))


def answer(value: Any) -> Future:
    future: Future = Future()
    if isinstance(value, Exception):
        future.set_exception(value)
    else:
        future.set_result(value)
    return future


class Worker:
    """In place of a client: answers at once, with an error where it is given one."""

    def __init__(self, told: list[str], prepared: object = None, frame: Exception | None = None) -> None:
        self.status = Status("ready")
        self.opened = answer(SimpleNamespace(model="m", model_sha256="5" * 64, device="cpu", sample_steps=4))
        self._told, self._prepared, self._frame = told, prepared, frame

    def prepare(self, *_: object) -> Future:
        self._told.append("prepare")
        prepared, self._prepared = self._prepared, None
        return answer(prepared)

    def synthesize(self, *_: object, **__: object) -> Future:
        self._told.append("synthesize")
        return answer(None)

    def frame(self, t_s: float) -> Future:
        self._told.append("frame")
        return answer(self._frame or SimpleNamespace(voxels=np.full(SHAPE, t_s, np.float32)))

    def cancel(self) -> None:
        pass

    def close(self) -> None:
        self._told.append("close")


def synthesis(folder: Path, told: list[str], *workers: Worker, room: CEKWorldError | None = None) -> Synthesis:
    """One of phases at 60 and 120 s, that writes down what happens in which order."""
    left = list(workers)

    def check_room(shape: tuple[int, ...], phases: int) -> None:
        assert (shape, phases) == (SHAPE, 3)  # arrival, 60 and 120 s, beside the source
        if room is not None:
            raise room

    @asynccontextmanager
    async def watch(client: Any, *_: object) -> AsyncIterator[Any]:
        try:
            yield partial(read_frame, client)
        except BaseException:
            told.append("restored")
            raise
        told.append("watched")

    page = Shared(preset="list", times_text="60, 120", arrival_s=20.0)
    return Synthesis(
        page,  # type: ignore[arg-type]
        lambda report: left.pop(0),  # type: ignore[arg-type, return-value]
        folder,
        lambda frames, made: told.append("shown"),
        watch,
        check_room,
    )


async def run(one: Synthesis, told: list[str]) -> list[str]:
    """Synthesizes, and gives what happened meanwhile."""
    before = len(told)
    one.start()
    assert one._task is not None
    await one._task
    return told[before:]


def test_a_first_synthesis_is_watched_until_it_is_shown(tmp_path):
    told: list[str] = []

    async def use() -> None:
        one = synthesis(tmp_path, told, Worker(told))
        one.take(EXAM)
        assert await run(one, told) == ["synthesize", "frame", "frame", "shown", "watched"]

    asyncio.run(use())


def test_a_frame_that_cannot_be_read_gives_the_exam_back_as_it_was_opened(tmp_path):
    told: list[str] = []

    async def use() -> None:
        one = synthesis(tmp_path, told, Worker(told, frame=DIED))
        one.take(EXAM)
        assert await run(one, told) == ["synthesize", "frame", "restored"]
        assert one._page.get("error") == str(DIED) and not one._page.get("busy")

    asyncio.run(use())


def test_a_synthesis_that_fails_leaves_the_samples_of_the_one_on_screen(tmp_path):
    told: list[str] = []

    async def use() -> None:
        worker = Worker(told)
        one = synthesis(tmp_path, told, worker)
        one._page.set(samples=2)
        one.take(EXAM)
        await run(one, told)
        shown = one.frames
        assert shown is not None and len(shown.samples) == 2
        worker._frame = DIED
        await run(one, told)
        assert one.frames is shown and len(list(tmp_path.iterdir())) == 2

    asyncio.run(use())


@pytest.mark.parametrize(
    ("setting", "words"),
    [({"seed": "-1"}, "The seed must be"), ({"seed": "1e30"}, "The seed must be"), ({"seed": "1.5"}, "whole number"),
     ({"samples": "50"}, "from 1 to 16"), ({"samples": ""}, "not a number")],
)  # fmt: skip
def test_a_seed_or_number_of_samples_that_is_none_is_named_and_nothing_is_asked_for(tmp_path, setting, words):
    told: list[str] = []

    async def use() -> None:
        one = synthesis(tmp_path, told, Worker(told))
        one.take(EXAM)
        one._page.set(**setting)
        assert await run(one, told) == [] and words in one._page.get("error")

    asyncio.run(use())


def test_the_slider_is_answered_between_the_frames_that_are_collected_and_keeps_its_own_voxels():
    class Slow:
        """A client that answers only who asked last, each time in the same memory."""

        voxels = np.zeros(SHAPE, np.float32)
        asked: Future | None = None

        def frame(self, t_s: float, **_: object) -> Future:
            assert self.asked is None or self.asked.done(), "two readers at once"
            future = self.asked = Future()

            def give() -> None:
                self.voxels[:] = t_s
                future.set_result(SimpleNamespace(voxels=self.voxels, complete=True))

            asyncio.get_running_loop().call_later(0.01, give)
            return future

    async def use() -> None:
        glances: list[tuple[float, np.ndarray]] = []
        scene: Any = SimpleNamespace(put_glance=lambda t, voxels, partial: glances.append((t, voxels)))
        scrubber: Any = SimpleNamespace(fetch=None)
        live = LiveFrames(SimpleNamespace(on_change=lambda *_: None), scene, scrubber)  # type: ignore[arg-type]
        async with live.following(Slow()) as read:  # type: ignore[arg-type]
            glance = asyncio.create_task(scrubber.fetch(50.0))
            collected = [float((await read(t)).max()) for t in (60.0, 120.0, 180.0)]
            assert await glance
        assert collected == [60.0, 120.0, 180.0]
        assert [(t, float(voxels.max())) for t, voxels in glances] == [(50.0, 50.0)]

    asyncio.run(use())


def test_what_could_not_be_prepared_is_prepared_again_by_the_next_synthesis(tmp_path):
    told: list[str] = []

    async def use() -> None:
        one = synthesis(tmp_path, told, Worker(told, prepared=DIED))
        one.take(EXAM)
        await asyncio.sleep(0.01)
        assert (await run(one, told))[:2] == ["prepare", "synthesize"] and one._page.get("error") == ""

    asyncio.run(use())


def test_a_worker_that_was_given_up_is_replaced(tmp_path):
    told: list[str] = []

    async def use() -> None:
        first, second, third = Worker(told), Worker(told), Worker(told)
        one = synthesis(tmp_path, told, first, second, third)
        one.take(EXAM)
        first.status = Status("failed", "in vain")
        assert (await run(one, told))[:3] == ["close", "prepare", "synthesize"]
        assert (await run(one, told))[0] == "synthesize"
        second.status = Status("failed", "in vain")
        one.take(EXAM)
        assert told[-2:] == ["close", "prepare"]

    asyncio.run(use())


def test_phases_beyond_the_memory_for_frames_are_refused_and_leave_those_that_are_there(tmp_path):
    told: list[str] = []

    async def use() -> None:
        one = synthesis(tmp_path, told, Worker(told), room=CEKWorldError("too many phases"))
        one.take(EXAM)
        earlier: Any = SimpleNamespace(discard=lambda: told.append("discarded"))
        one.frames = earlier
        assert await run(one, told) == [] and one.frames is earlier
        assert one._page.get("error") == "too many phases"

    asyncio.run(use())


def opened(exam: Exam | None = EXAM, arrival_s: float | None = None, zero_source: str = "injection") -> OpenedExam:
    series = TimeSeries(PRE.voxels[None], np.zeros(1), PRE, time_sources=("source",), zero_source=zero_source)
    return OpenedExam("pre", Path("pre.nrrd"), series, exam, None, arrival_s, ())


def viewer(one: OpenedExam, shown: list[str]) -> Any:
    """As much of a viewer as shows an exam."""

    def tell(name: str) -> Any:
        return lambda *_, **__: shown.append(name)

    stand_in = SimpleNamespace(
        page=Shared(),
        _opened=one,
        scene=SimpleNamespace(open_series=tell("opened"), show_in_views=tell("views"), series=lambda: one.series),
        synthesis=SimpleNamespace(take=tell("take")),
        views=SimpleNamespace(fit=tell("fit")),
        live=SimpleNamespace(following=lambda client: nullcontext("following")),
        _provenance=None,
        _open_synthesis=tell("synthesis"),
        _begin=tell("begin"),
    )
    stand_in._show_opened = lambda *args, **options: Viewer._show_opened(stand_in, *args, **options)
    return stand_in


@pytest.mark.parametrize("fails", [False, True])
def test_phases_are_not_taken_home_before_all_are_shown_and_what_fails_is_taken_back(fails):
    async def use() -> None:
        shown: list[str] = []
        one = viewer(opened(), shown)
        frames: Any = SimpleNamespace(times_s=(0.0, 60.0))
        with suppress(WorkerError):
            async with Viewer._watch(one, None, frames, None) as making:  # type: ignore[arg-type]
                assert (making, one.page.get("live"), shown) == ("following", True, ["synthesis", "begin"])
                with pytest.raises(CEKWorldError, match="still being made"):
                    Viewer._series(one)
                if fails:
                    raise DIED
        assert not one.page.get("live") and Viewer._series(one)[1] is None
        assert shown[2:] == (["opened", "views", "begin"] if fails else [])

    asyncio.run(use())


def test_an_exam_that_states_no_arrival_or_anatomy_is_not_given_those_of_the_one_before():
    one = viewer(opened(), [])
    one.page.set(arrival_s=27.5, preset="liver")
    Viewer._show(one, opened())
    assert (one.page.get("arrival_s"), one.page.get("preset")) == (PageState().arrival_s, PageState().preset)
    Viewer._show(one, opened(Exam(PRE, Acquisition(), "liver", Path("pre.nrrd"), ()), 31.04))
    assert (one.page.get("arrival_s"), one.page.get("preset")) == (31.0, "liver")


@pytest.mark.parametrize(("zero_source", "expected"), [("", False), ("ContrastBolusStartTime", True)])
def test_the_page_knows_what_the_times_count_from(zero_source, expected):
    one = viewer(opened(), [])
    Viewer._show(one, opened(None, zero_source=zero_source))
    assert one.page.get("from_injection") is expected


def test_a_curve_that_cannot_be_measured_is_said_and_the_next_one_is_measured():
    measured: list[int] = []

    def measure() -> None:
        measured.append(0)
        if len(measured) == 1:
            raise ValueError("odd voxels")

    async def use() -> None:
        changed = asyncio.Event()
        control: Any = SimpleNamespace(
            _changed=changed, _scene=SimpleNamespace(is_open=True), _page=Shared(), _measure=measure, results=[1]
        )
        following = asyncio.create_task(RegionControl._follow(control))
        changed.set()
        await asyncio.sleep(0.05)
        assert "odd voxels" in control._page.get("error") and control.results == []
        changed.set()
        await asyncio.sleep(0.2)
        assert len(measured) == 2 and not following.done()
        following.cancel()

    asyncio.run(use())


def test_regions_of_another_exam_leave_no_results_to_export():
    control: Any = MagicMock(results=[1], drawn=[1], _boxes=[])
    RegionControl.reset(control)
    assert (control.results, control.drawn) == ([], [])
    control.measure.assert_called_once()
