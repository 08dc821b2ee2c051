"""The client against a worker that the test plays: order, latest wins, known frames, death and recovery."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from played_worker import SHAPE, TIMES, Play

from CEKWorldLib.errors import CEKWorldError, OutOfMemory
from CEKWorldLib.exam.protocol import Injection
from CEKWorldLib.worker.interface import Voxels, WorkerError
from CEKWorldLib.worker.messages import (
    PROTOCOL,
    Cancel,
    CurveReady,
    Failed,
    Geometry,
    Hello,
    Open,
    Prepare,
    Prepared,
    Progress,
    Quit,
    ReadCurve,
    ReadFrame,
    Synthesize,
    Synthesized,
)
from CEKWorldLib.worker.shared_folder import SharedFolder
from CEKWorldLib.worker.slots import Slots


@pytest.fixture
def play(tmp_path) -> Play:
    play = Play(tmp_path)
    play.open()
    play.prepare()
    play.synthesize()
    return play


# Requests


def test_nothing_is_sent_before_the_model_is_open_and_nothing_else_before_the_exam(tmp_path):
    play = Play(tmp_path)
    play.client.prepare(Path("pre.nrrd"))
    synthesis = play.client.synthesize(TIMES)
    assert play.worker.sent == []
    play.open()
    assert [type(m) for m in play.worker.sent] == [Open, Prepare]
    assert Path(play.worker.last(Prepare).path).is_absolute()
    play.worker.say(Prepared(play.worker.last(Prepare).id, Geometry(SHAPE), 0))
    assert play.worker.last(Synthesize).times_s == TIMES and not synthesis.done()


def test_of_many_frames_the_first_and_the_latest_are_read(play):
    futures = [play.client.frame(t) for t in (30.0, 31.0, 32.0, 33.0)]
    play.give_frame(1)
    play.give_frame(2)
    assert play.worker.count(ReadFrame) == 2 and play.worker.last(ReadFrame).t_s == 33.0
    assert [f.cancelled() for f in futures] == [False, True, True, False]
    assert futures[3].result(timeout=0).voxels.shape == SHAPE and (futures[3].result(timeout=0).voxels == 2).all()


def test_a_frame_that_was_delivered_is_there_at_once_and_read_only(play):
    play.client.frame(30.0)
    play.give_frame(7)
    sent = len(play.worker.sent)
    frame = play.client.frame(30.0).result(timeout=0)
    assert len(play.worker.sent) == sent and (frame.voxels == 7).all() and frame.complete
    with pytest.raises(ValueError):
        frame.voxels[0] = 0


def test_a_known_frame_is_not_overtaken_by_one_that_was_asked_for_before(play):
    play.client.frame(30.0)
    play.give_frame(7)
    slow, waiting = play.client.frame(31.0), play.client.frame(32.0)
    assert play.client.frame(30.0).done()
    play.give_frame(8)
    assert slow.cancelled() and waiting.cancelled()
    assert (play.client.frame(31.0).result(timeout=0).voxels == 8).all()


def test_a_frame_with_slices_missing_is_read_again(play):
    first = play.client.frame(30.0, partial=True)
    play.give_frame(7, ready=2)
    assert not first.result(timeout=0).complete and first.result(timeout=0).slices_ready == 2
    assert not play.client.frame(30.0).done()


def test_the_frame_on_screen_is_never_written_to(play):
    shown = play.client.frame(30.0)
    play.give_frame(30)
    for t in range(100, 120):
        newer = play.client.frame(float(t))
        assert play.worker.last(ReadFrame).slot != shown.result(timeout=0).slot
        play.give_frame(t)
        assert (newer.result(timeout=0).voxels == t).all()
        shown = newer


def test_kept_frames_stay_until_the_next_synthesis(play):
    kept = play.client.frame(30.0, keep=True)
    play.give_frame(30)
    for t in range(100, 110):
        play.client.frame(float(t))
        play.give_frame(t)
    assert (kept.result(timeout=0).voxels == 30).all() and play.client.frame(30.0).done()
    play.synthesize(seed=2)
    for t in range(100, 110):
        play.client.frame(float(t))
        play.give_frame(t)
    assert not (kept.result(timeout=0).voxels == 30).all()


def test_slots_that_are_all_kept_are_refused_with_a_sentence():
    slots = Slots(3)
    for n in range(2):
        slots.put(slots.reserve(), n, keep=True)
    slots.put(slots.reserve(), 2)
    with pytest.raises(CEKWorldError, match="more slots"):
        slots.reserve()


def test_the_same_settings_go_on_with_the_same_run_and_others_begin_a_new_one(play):
    runs = []
    for settings in ({}, {"first_slice": 2}, {"seed": 1}, {"injection": Injection(arrival_s=30.0)}):
        play.synthesize(**settings)
        runs.append(play.worker.last(Synthesize).run)
    assert runs == [1, 1, 2, 3]


def test_a_new_synthesis_stops_the_one_that_runs_and_waits_for_it(play):
    first = play.client.synthesize(TIMES, seed=1)
    running = play.worker.last(Synthesize)
    play.client.synthesize(TIMES, seed=2)
    assert play.worker.sent[-1] == Cancel(running.id)
    play.worker.say(Failed(running.id, "cancelled", "Stopped."))
    assert first.exception(timeout=0).kind == "cancelled" and play.worker.last(Synthesize).seed == 2


def test_progress_reaches_the_viewer(play):
    seen = []
    play.client.synthesize(TIMES, seed=1, on_progress=seen.append)
    request = play.worker.last(Synthesize)
    play.worker.say(Progress(request.id, request.run, 1, 3, (1,), 0.1, 0.2))
    assert [p.slices for p in seen] == [(1,)]


def test_a_mask_goes_through_the_folder_and_leaves_it(play):
    mask = np.zeros(SHAPE, bool)
    mask[1, 2, 3] = True
    curve = play.client.curve(mask, TIMES)
    request = play.worker.last(ReadCurve)
    folder = SharedFolder(Path(play.worker.last(Open).folder))
    assert np.array_equal(folder.read(request.mask_file, np.uint8, SHAPE), mask)
    play.worker.say(CurveReady(request.id, 1, (1.0, 2.0, 3.0)))
    assert curve.result(timeout=0).signal == (1.0, 2.0, 3.0) and not folder.file(request.mask_file).exists()
    assert "volume" in str(play.client.curve(mask[:2], TIMES).exception(timeout=0))


def test_voxels_of_the_viewer_go_through_the_folder(play):
    values = np.arange(60, dtype=np.int16).reshape(SHAPE)
    play.client.prepare(Voxels(values, Geometry(SHAPE)))
    request = play.worker.last(Prepare)
    folder = SharedFolder(Path(play.worker.last(Open).folder))
    np.testing.assert_array_equal(folder.read(request.voxels_file, np.float32, SHAPE), values)
    play.worker.say(Failed(request.id, "input", "The volume is constant."))
    assert not folder.file(request.voxels_file).exists()


def test_voxels_that_the_viewer_has_written_itself_are_not_written_again(play):
    given_up, _room = play.client.exam_file(SHAPE)
    name, room = play.client.exam_file(SHAPE)
    folder = SharedFolder(Path(play.worker.last(Open).folder))
    assert not folder.file(given_up).exists()
    values = np.arange(60, dtype=np.int16).reshape(SHAPE)
    for index, plane in enumerate(values):
        room[index] = plane
    play.client.prepare(Voxels(values, Geometry(SHAPE), file=name))
    assert play.worker.last(Prepare).voxels_file == name
    play.client.exam_file(SHAPE)
    np.testing.assert_array_equal(folder.read(name, np.float32, SHAPE), values)  # the worker may still be reading it


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system reserves no space in files")
def test_a_disk_that_fills_up_refuses_the_frame_and_gives_its_slot_back(play, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    for _again in range(6):
        assert "No space left" in str(play.client.frame(30.0).exception(timeout=0))
    monkeypatch.undo()
    frame = play.client.frame(30.0)
    play.give_frame(7)
    assert (frame.result(timeout=0).voxels == 7).all()


def test_an_exam_that_is_refused_takes_what_waited_for_it_along(play):
    exam, synthesis = play.client.prepare(Path("bad.nrrd")), play.client.synthesize(TIMES)
    play.worker.say(Failed(play.worker.last(Prepare).id, "input", "bad.nrrd is an empty file."))
    assert str(exam.exception(timeout=0)) == str(synthesis.exception(timeout=0)) == "bad.nrrd is an empty file."
    assert play.worker.count(Synthesize) == 1


def test_an_exam_whose_frames_find_no_room_is_not_shown_in_the_place_of_the_one_before(play, monkeypatch):
    """The worker has the new exam, so frames of it would be taken for those of the exam on screen."""

    def full(*_arguments):
        raise OutOfMemory("The temporary folder is full.")

    folder = SharedFolder(Path(play.worker.last(Open).folder))
    on_screen = play.client.frame(30.0)
    play.give_frame(7)
    with monkeypatch.context() as patch:
        patch.setattr(SharedFolder, "create_frames", full)
        refused = play.client.prepare(Voxels(np.ones(SHAPE, np.float32), Geometry(SHAPE)))
        play.worker.say(Prepared(play.worker.last(Prepare).id, Geometry(SHAPE), 0))
    assert isinstance(refused.exception(timeout=0), OutOfMemory)
    play.synthesize()
    assert "no exam" in str(play.client.frame(60.0).exception(timeout=0))
    assert (on_screen.result(timeout=0).voxels == 7).all() and list(folder.path.iterdir()) == []
    assert play.prepare().result(timeout=0).geometry.shape == SHAPE


def test_frames_that_do_not_fit_on_the_disk_are_refused_with_need_and_free(tmp_path):
    folder = SharedFolder.create(tmp_path)
    with pytest.raises(OutOfMemory, match="TMPDIR") as caught:
        folder.create_frames("frames", (10**6, 10**4, 10**4), 4)
    assert caught.value.need_bytes == 16 * 10**14 and 0 < caught.value.free_bytes < 16 * 10**14
    assert list(folder.path.iterdir()) == []


def test_a_folder_of_other_origin_is_never_taken_for_the_shared_one(tmp_path):
    with pytest.raises(CEKWorldError, match="begin with"):
        SharedFolder(tmp_path / "documents")


# Death and recovery


def test_after_a_death_the_next_worker_gets_exam_and_finished_series_before_what_waits(play):
    play.client.frame(30.0)
    play.give_frame(7)
    lost, waiting = play.client.frame(40.0), play.client.frame(50.0)
    play.worker.on_exit(-9)
    assert lost.exception(timeout=0).kind == "died" and "signal 9" in str(lost.exception(timeout=0))
    assert play.client.status.state == "restarting" and "what is shown stays" in play.client.status.message
    assert (play.client.frame(30.0).result(timeout=0).voxels == 7).all()
    assert waiting.cancelled()  # the known frame came after it
    waiting = play.client.frame(60.0)
    play.open()
    assert [type(m) for m in play.worker.sent] == [Open, Prepare, Synthesize]
    assert play.worker.last(Synthesize).run == 1
    play.worker.say(Prepared(play.worker.last(Prepare).id, Geometry(SHAPE), 0))
    request = play.worker.last(Synthesize)
    play.worker.say(Synthesized(request.id, request.run, "cpu"))
    play.give_frame(8)
    assert play.client.status.state == "ready" and (waiting.result(timeout=0).voxels == 8).all()
    assert (play.client.frame(30.0).result(timeout=0).voxels == 7).all()


def test_what_is_asked_for_on_hearing_of_a_death_waits_for_the_next_worker(play):
    again: list = []
    lost = play.client.frame(30.0)
    lost.add_done_callback(lambda done: again.append(play.client.frame(60.0)))
    dead = play.worker
    dead.on_exit(-9)
    assert dead.count(ReadFrame) == 1 and not again[0].done()
    play.open()
    play.worker.say(Prepared(play.worker.last(Prepare).id, Geometry(SHAPE), 0))
    finished = play.worker.last(Synthesize)
    play.worker.say(Synthesized(finished.id, finished.run, "cpu"))
    play.give_frame(60.0)
    assert again[0].result(timeout=0).t_s == 60.0


def test_lines_of_a_dead_worker_are_not_listened_to(play):
    dead = play.worker
    play.client.frame(40.0)
    dead.on_exit(1)
    dead.say(Hello(1, "0"))
    assert play.worker.sent == [] and len(play.workers) == 2


def test_a_worker_that_never_gets_ready_is_given_up_with_the_reason(tmp_path):
    play = Play(tmp_path)
    exam = play.client.prepare(Path("pre.nrrd"))
    for worker in play.workers:
        worker.on_exit(1)
    assert len(play.workers) == 3 and play.client.status.state == "failed"
    assert "exit code 1" in str(exam.exception(timeout=0)) and exam.exception(timeout=0).kind == "died"
    assert isinstance(play.client.frame(1.0).exception(timeout=0), WorkerError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("event", [Hello(1, "9.9", PROTOCOL + 1), Failed(None, "internal", "No torch.")])
def test_a_worker_that_cannot_be_used_is_ended(tmp_path, event):
    play = Play(tmp_path)
    play.worker.say(event)
    assert play.client.status.state == "failed" and play.worker.is_killed
    assert play.client.opened.exception(timeout=0) is not None


def test_a_model_that_cannot_be_opened_is_reported_once(tmp_path):
    play = Play(tmp_path)
    exam = play.client.prepare(Path("pre.nrrd"))
    play.worker.say(Hello(1, "0"))
    play.worker.say(Failed(play.worker.last(Open).id, "input", "There is no model 'x'."))
    assert str(play.client.opened.exception(timeout=0)) == str(exam.exception(timeout=0)) == "There is no model 'x'."
    play.worker.on_exit(-9)
    assert len(play.workers) == 1 and list(tmp_path.iterdir()) == []


def test_closing_ends_the_worker_and_removes_the_folder(play, tmp_path):
    pending = play.client.frame(30.0)
    play.client.close()
    assert isinstance(play.worker.sent[-1], Quit) and pending.exception(timeout=0).kind == "cancelled"
    play.worker.on_exit(0)
    assert list(tmp_path.iterdir()) == [] and len(play.workers) == 1
    assert play.statuses[-1].state == "closed"
