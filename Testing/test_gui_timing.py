"""Slider, playback and the worker's frames, with a clock that the tests turn."""

from __future__ import annotations

import errno
import itertools
from concurrent.futures import Future

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import fake_qt.desktop  # noqa: F401  (before the panel's own imports of qt)

from CEKWorldLib.gui import gradual_copy
from CEKWorldLib.gui.coalescing import Coalescer
from CEKWorldLib.gui.drawing_turns import DrawingTurns
from CEKWorldLib.gui.frame_reading import FrameReader
from CEKWorldLib.gui.gradual_copy import GradualCopy
from CEKWorldLib.gui.playback import Playback, next_phase, previous_phase
from CEKWorldLib.gui.sample_store import SampleStore
from CEKWorldLib.gui.scrubbing import Scrubber
from CEKWorldLib.gui.signals import Signal
from CEKWorldLib.gui.time_text import clock_text, list_text
from CEKWorldLib.gui.time_ticks import positions
from CEKWorldLib.scene.series_view import Shown
from CEKWorldLib.synthesis.times import parse_times
from CEKWorldLib.worker.interface import Frame, WorkerError
from CEKWorldLib.worker.volume_file import VolumeFile


class Clock:
    """Time that passes when told to, and the timers that run by it."""

    def __init__(self) -> None:
        self.now_ms = 0.0
        self.timers: list[TurnedTimer] = []

    def timer(self, call, repeating: bool = False) -> TurnedTimer:
        self.timers.append(TurnedTimer(self, call, repeating))
        return self.timers[-1]

    def pass_ms(self, milliseconds: float) -> None:
        end = self.now_ms + milliseconds
        while due := [timer for timer in self.timers if timer.is_running and timer.due <= end]:
            first = min(due, key=lambda timer: timer.due)
            self.now_ms = max(self.now_ms, first.due)
            first.fire()
        self.now_ms = end


class TurnedTimer:
    def __init__(self, clock: Clock, call, repeating: bool) -> None:
        self.clock, self.call, self.repeating = clock, call, repeating
        self.due, self.interval, self.is_running = 0.0, 0.0, False

    def start(self, milliseconds: int) -> None:
        self.interval, self.due, self.is_running = milliseconds, self.clock.now_ms + milliseconds, True

    def stop(self) -> None:
        self.is_running = False

    def fire(self) -> None:
        self.is_running = self.repeating
        self.due += self.interval
        self.call()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_signal_calls_its_receivers_in_order_and_none_after_they_are_let_go():
    heard: list = []
    signal = Signal()
    signal.connect(lambda value: heard.append(("first", value)))
    signal.connect(lambda value: heard.append(("second", value)))
    signal.emit(3)
    assert heard == [("first", 3), ("second", 3)]
    signal.disconnect_all()
    signal.emit(4)
    assert len(heard) == 2


def test_of_many_requests_the_first_is_done_at_once_and_then_only_the_latest(clock):
    done: list[int] = []
    coalescer: Coalescer[int] = Coalescer(clock.timer, done.append, 30)
    for value in range(50):
        coalescer.put(value)
        clock.pass_ms(1)
    clock.pass_ms(100)
    assert done[0] == 0 and done[-1] == 49
    assert len(done) == 3  # 50 ms of moves, one every 30 ms


def test_a_request_that_fails_does_not_hold_up_the_next(clock):
    done: list[int] = []

    def act(value: int) -> None:
        if value == 1:
            raise ValueError
        done.append(value)

    coalescer: Coalescer[int] = Coalescer(clock.timer, act, 30)
    with pytest.raises(ValueError):
        coalescer.put(1)
    coalescer.put(2)
    clock.pass_ms(30)
    assert done == [2]


def shown(time_s: float, exact: bool) -> Shown:
    return Shown(time_s, exact, False, f"t={time_s}")


def test_the_slider_asks_the_worker_only_for_a_preview_that_is_left_standing(clock):
    asked: list[float] = []
    scrubber = Scrubber(clock.timer, lambda t: shown(t, exact=t % 10 == 0))
    scrubber.rested.connect(asked.append)
    for step in range(20):
        scrubber.move(50.5 + step)
        clock.pass_ms(10)
    assert asked == []
    clock.pass_ms(200)
    assert asked == [69.5]
    scrubber.move(70.0)
    clock.pass_ms(200)
    assert asked == [69.5]  # an exact time has nothing to be asked for


def test_a_stopped_slider_shows_and_asks_nothing_more(clock):
    seen: list[float] = []
    scrubber = Scrubber(clock.timer, lambda t: seen.append(t) or shown(t, False))
    scrubber.rested.connect(lambda t: pytest.fail("asked for a frame of a series that is gone"))
    scrubber.move(1.5)
    scrubber.move(2.5)
    scrubber.stop()
    clock.pass_ms(1000)
    assert seen == [1.5]


def playback(clock: Clock, **settings) -> tuple[Playback, list[float]]:
    times: list[float] = []
    player = Playback(clock.timer, lambda: clock.now_ms / 1000, times.append)
    player.range_s = (0.0, 100.0)
    for name, value in settings.items():
        setattr(player, name, value)
    return player, times


def test_playback_keeps_its_speed_however_late_the_ticks_come(clock):
    player, times = playback(clock, speed=10.0, loop=False)
    player.play(5.0)
    clock.now_ms += 1900  # the GUI was busy
    clock.pass_ms(100)
    assert times[-1] == pytest.approx(25.0, abs=0.6)


def test_playback_ends_at_the_last_time_or_begins_again(clock):
    player, times = playback(clock, speed=100.0, loop=False)
    player.play(0.0)
    clock.pass_ms(2000)
    assert times[-1] == 100.0 and not player.is_playing
    player.loop = True
    player.play(100.0)  # from the end: from the beginning
    clock.pass_ms(1500)
    assert player.is_playing and 0 <= times[-1] <= 100 and max(times) <= 100


def test_without_a_series_nothing_plays(clock):
    player, times = playback(clock, range_s=(0.0, 0.0))
    player.play(0.0)
    assert not player.is_playing and times == []


def test_phases_before_and_after_a_time():
    times = (0.0, 30.0, 90.0)
    assert next_phase(times, 30.0) == 90.0 and next_phase(times, 31.0) == 90.0
    assert previous_phase(times, 30.0) == 0.0 and previous_phase(times, 31.0) == 30.0
    assert next_phase(times, 90.0) == 90.0 and previous_phase(times, 0.0) == 0.0


@pytest.mark.parametrize(
    ("time_s", "text"), [(0, "0:00"), (93.4, "1:33"), (599.6, "10:00"), (-10, "-0:10"), (-0.2, "0:00")]
)
def test_times_as_a_reader_writes_them(time_s, text):
    assert clock_text(time_s) == text


def test_a_list_of_times_is_written_as_it_is_read():
    times = (0.0, 26.5, 480.0)
    assert parse_times(list_text(times)) == times


def test_marks_stand_in_order_from_edge_to_edge_of_the_slider():
    marks = positions((0.0, 50.0, 100.0, 700.0), 0.0, 100.0)
    assert len(marks) == 3 and marks == sorted(marks)
    assert marks[1] - marks[0] == marks[2] - marks[1]
    assert positions((0.0,), 0.0, 0.0) == []


def room(time_s: float) -> list[np.ndarray]:
    return [np.empty((2, 2, 2), np.float32)]


class PlayedClient:
    """Frames that come when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, bool]] = []
        self.future: Future[Frame] | None = None

    def frame(self, t_s, partial=False, extrapolate=False, keep=False):
        self.asked.append((t_s, partial))
        self.future = Future()
        return self.future

    def answer(self, shared: np.ndarray) -> None:
        self.future.set_result(Frame(self.asked[-1][0], shared, 0, 1, 4, True))


def test_a_glance_goes_before_the_phases_and_only_the_latest_counts():
    client, phases, glances, ends = PlayedClient(), [], [], []
    reader = FrameReader(
        client,
        GradualCopy(Clock().timer),
        room,
        lambda t, v: phases.append(t),
        lambda t, v, complete: glances.append(t),
    )
    reader.collected.connect(lambda: ends.append(True))
    reader.collect((30.0, 60.0))
    for time_s in (71.0, 72.0, 73.0):
        reader.glance(time_s)
    for _answer in range(3):
        client.answer(np.zeros((2, 2, 2), np.float32))
    assert client.asked == [(30.0, False), (73.0, True), (60.0, False)]
    assert (phases, glances, ends) == ([30.0, 60.0], [73.0], [True])


def test_frames_are_copied_out_of_the_slot_they_came_in():
    client, taken = PlayedClient(), []
    reader = FrameReader(client, GradualCopy(Clock().timer), room, lambda t, v: taken.extend(v), lambda *_: None)
    slot = np.ones((2, 2, 2), np.float32)
    reader.collect((30.0,))
    client.answer(slot)
    slot[:] = 7
    assert np.all(taken[0] == 1)


@pytest.fixture
def slow_copies(monkeypatch):
    """Every slice takes 6 ms, as where memory is short: two slices fill a round of the event loop."""
    moments = itertools.count()
    monkeypatch.setattr(gradual_copy, "perf_counter", lambda: 0.006 * next(moments))


def test_a_frame_whose_copy_takes_long_is_copied_in_rounds_and_the_next_is_not_asked_for_before(slow_copies, tmp_path):
    """The slot is written to once the next frame is asked for."""
    (tmp_path / "copy").write_bytes(bytes(8 + 4 * 60))
    copies = [np.empty((10, 2, 3), np.float32), VolumeFile(tmp_path / "copy", 8, (10, 2, 3))]
    client, clock, taken = PlayedClient(), Clock(), []
    reader = FrameReader(
        client, GradualCopy(clock.timer), lambda t: copies, lambda t, v: taken.append(v), lambda *_: None
    )
    reader.collect((30.0, 60.0))
    slot = np.arange(60, dtype=np.float32).reshape(10, 2, 3)
    client.answer(slot)
    rounds = 1
    while not taken:
        assert len(client.asked) == 1
        clock.timers[0].fire()
        rounds += 1
    assert rounds > 4 and client.asked[-1] == (60.0, False)
    np.testing.assert_array_equal(taken[0][0], slot)
    np.testing.assert_array_equal(np.fromfile(tmp_path / "copy", np.float32, offset=8).reshape(slot.shape), slot)


def test_a_copy_under_way_is_forgotten_with_the_run(slow_copies):
    client, clock = PlayedClient(), Clock()
    reader = FrameReader(client, GradualCopy(clock.timer), room, lambda t, v: pytest.fail("taken"), lambda *_: None)
    reader.collect((30.0,))
    client.answer(np.zeros((40, 2, 2), np.float32))
    reader.stop()
    clock.pass_ms(100.0)


def test_a_full_disk_ends_the_collection_with_a_sentence():
    class FullFile:
        def __setitem__(self, index, plane):
            raise OSError(errno.ENOSPC, "No space left on device")

    client, failures, fail = PlayedClient(), [], lambda *_: pytest.fail("taken")
    reader = FrameReader(client, GradualCopy(Clock().timer), lambda t: [FullFile()], fail, fail)
    reader.failed.connect(failures.append)
    reader.collect((30.0, 60.0))
    client.answer(np.zeros((2, 2, 2), np.float32))
    assert "No space left" in str(failures[0]) and "fewer samples" in str(failures[0])
    assert client.asked == [(30.0, False)]


def test_a_phase_that_fails_ends_the_collection_and_a_glance_that_fails_does_not():
    client, failures, phases = PlayedClient(), [], []
    reader = FrameReader(client, GradualCopy(Clock().timer), room, lambda t, v: phases.append(t), lambda *_: None)
    reader.failed.connect(failures.append)
    reader.collect((30.0, 60.0))
    reader.glance(45.0)
    client.answer(np.zeros((2, 2, 2), np.float32))
    client.future.set_exception(WorkerError("input", "not ready"))
    assert failures == [] and client.asked[-1] == (60.0, False)
    client.future.set_exception(WorkerError("died", "The worker died."))
    assert [str(error) for error in failures] == ["The worker died."]


def test_a_frame_that_arrives_after_the_end_is_not_taken():
    client = PlayedClient()
    fail = lambda *_: pytest.fail("taken")  # noqa: E731
    reader = FrameReader(client, GradualCopy(Clock().timer), room, fail, fail)
    reader.collect((30.0,))
    reader.stop()
    client.answer(np.zeros((2, 2, 2), np.float32))


def test_samples_give_the_spread_of_the_enhancement_and_leave_no_files(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    store = SampleStore((0.0, 60.0), (1, 2, 2))
    values = np.array([[10.0, 12.0, 17.0], [100.0, 100.0, 100.0]])
    for sample in range(3):
        store.begin()
        store.room(0.0)[0] = np.full((2, 2), 100.0, np.float32)
        late = np.full((2, 2), values[0, sample], np.float32)
        late[0, 0] = values[1, sample]
        store.room(60.0)[0] = late
    told: list[tuple[int, int]] = []
    spread = store.enhancement_spread(lambda done, total: told.append((done, total)))
    assert spread[0, 0, 0] == 0 and spread[0, 1, 1] == pytest.approx(np.std(values[0], ddof=1), rel=1e-6)
    assert store.voxels(60.0)[0, 1, 1] == 10.0 and told == [(0, 2), (1, 2)]
    store.close()
    assert list(tmp_path.iterdir()) == []


class HeldView:
    """Counts as Slicer's views do."""

    def __init__(self) -> None:
        self.held = 0

    def pauseRender(self) -> int:
        self.held += 1
        return self.held

    def resumeRender(self) -> int:
        assert self.held > 0
        self.held -= 1
        return self.held


def test_views_are_held_while_something_changes_and_let_go_one_per_round():
    clock, views = Clock(), [HeldView() for _ in range(3)]
    turns = DrawingTurns(lambda: views, clock.timer)
    with turns.change():
        assert [view.held for view in views] == [1, 1, 1]
        with turns.change():
            pass
    left = []
    (timer,) = clock.timers
    while timer.is_running:
        timer.fire()
        left.append(sum(view.held for view in views))
    assert left == [2, 1, 0]


def test_views_are_let_go_after_a_failure_too_and_at_once_when_the_panel_is_closed():
    clock, views = Clock(), [HeldView() for _ in range(3)]
    turns = DrawingTurns(lambda: views, clock.timer)
    with pytest.raises(OSError), turns.change():
        raise OSError
    clock.pass_ms(1)
    assert not any(view.held for view in views)
    with turns.change():
        pass
    turns.close()
    assert not any(view.held for view in views) and not clock.timers[0].is_running
