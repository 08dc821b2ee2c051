"""A real worker process with a tiny model: what it computes, and how it ends, dies and comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from closed_form_model import phantom
from tiny_model import tiny_model
from worker_host import Department
from worker_viewer import INJECTION, PATIENCE_S, TIMES, Viewer, at_host

from CEKWorldLib.exam.reading import read_exam
from CEKWorldLib.models.bundle import load_model, save_model
from CEKWorldLib.synthesis.session import Session
from CEKWorldLib.worker import process
from CEKWorldLib.worker.asyncio_transport import COMMAND
from CEKWorldLib.worker.command import NICENESS_VARIABLE
from CEKWorldLib.worker.interface import Voxels, WorkerError
from CEKWorldLib.worker.messages import Cancel, Geometry, Open, encode
from CEKWorldLib.worker.shared_folder import SharedFolder

ROOT = Path(__file__).resolve().parents[1]
SLICES = 4


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(tiny_model(steps=2), folder, {"description": "for tests"}, "A model for tests.")
    return folder


@pytest.fixture(scope="module")
def exam_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("exam") / "native.nrrd"
    sitk.WriteImage(phantom(SLICES, 64, 64, spacing=(3.0, 3.0, 5.0)).pre.to_image(), str(path))
    return path


@pytest.fixture(scope="module")
def viewer(tmp_path_factory, model, exam_file):
    """One worker for all tests of this module, with its exam synthesized at ``TIMES``."""
    viewer = Viewer(tmp_path_factory.mktemp("temporary"), model)
    viewer.prepare(exam_file)
    viewer.synthesize()
    yield viewer
    viewer.close()
    assert list(viewer.temporary.iterdir()) == []


@pytest.fixture(scope="module")
def session(model, exam_file) -> Session:
    """What the worker should compute, computed here."""
    session = Session(load_model(model), "cpu")
    session.prepare(read_exam(exam_file), INJECTION)
    session.synthesize(TIMES)
    return session


def test_the_exam_comes_back_with_its_geometry(viewer, exam_file):
    prepared = viewer.prepare(exam_file)
    assert prepared.geometry == Geometry((SLICES, 64, 64), (3.0, 3.0, 5.0)) and prepared.slice_axis == 0
    viewer.synthesize()


def test_the_model_says_what_it_is(viewer, session):
    opened = viewer.client.opened.result(timeout=0)
    assert (opened.model_sha256, opened.time_range_s) == (session.model.sha256, (0.0, 600.0))


@pytest.mark.parametrize("t", [0.0, 30.0, 47.5, 120.0])
def test_a_frame_in_the_mapped_file_is_the_frame_of_a_session(viewer, session, t):
    frame = viewer.frame(t)
    assert frame.complete and isinstance(_root(frame.voxels), np.memmap)
    np.testing.assert_allclose(frame.voxels, session.frame(t), atol=0.05)


def _root(array: np.ndarray) -> np.ndarray:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def test_a_curve_is_the_curve_of_a_session(viewer, session):
    mask = np.zeros((SLICES, 64, 64), bool)
    mask[1:3, 28:36, 28:36] = True
    curve = viewer.get(lambda: viewer.client.curve(mask, (0.0, 45.0, 90.0)))
    np.testing.assert_allclose(curve.signal, session.curve(mask, (0.0, 45.0, 90.0)), rtol=1e-4)


def test_the_metadata_says_that_it_is_synthetic(viewer):
    metadata = viewer.synthesize().metadata
    assert metadata["synthetic"] is True and metadata["times_s"] == list(TIMES)


def test_the_slice_on_screen_comes_first_and_its_neighbours_next(viewer):
    seen = []
    viewer.synthesize(seed=1, first_slice=2, on_progress=seen.append)
    order = [k for progress in seen for k in progress.slices]
    assert order[0] == 2 and set(order[1:3]) == {1, 3} and sorted(order) == list(range(SLICES))
    assert [p.done for p in seen] == sorted(p.done for p in seen) and seen[-1].done == seen[-1].total == SLICES


def test_of_a_burst_of_frames_the_latest_always_arrives(viewer):
    viewer.synthesize()
    times = [31.0 + n / 10 for n in range(50)]
    frames = viewer.all(lambda: [viewer.client.frame(t) for t in times])
    answered = [frame.t_s for frame in frames if frame is not None]
    assert answered == [times[0], times[-1]]


def test_a_cancelled_synthesis_keeps_its_slices_and_goes_on_from_there(viewer):
    times, seen = tuple(range(0, 130, 10)), []

    def stop(progress) -> None:
        seen.append(progress)
        viewer.client.cancel()

    with pytest.raises(WorkerError) as caught:
        viewer.synthesize(times, on_progress=stop)
    assert caught.value.kind == "cancelled" and seen[-1].done < SLICES
    partial = viewer.frame(100.0, partial=True)
    assert partial.slices_ready == seen[-1].done and not partial.complete
    more = []
    viewer.synthesize(times, on_progress=more.append)
    assert more[0].done == seen[-1].done + 1 and viewer.frame(100.0).complete


def test_frames_can_be_read_while_others_are_made(viewer):
    times, read = tuple(range(0, 140, 10)), []

    def look(progress) -> None:
        if not read:
            read.append(viewer.client.frame(60.0, partial=True))

    viewer.synthesize(times, on_progress=look)
    assert read[0].done() and 1 <= read[0].result(timeout=0).slices_ready <= SLICES


def test_a_bad_file_is_named_and_leaves_the_exam_as_it_was(viewer, tmp_path):
    viewer.synthesize()
    bad = tmp_path / "broken.nrrd"
    bad.write_bytes(b"NRRD0004\n")
    with pytest.raises(WorkerError, match=r"broken\.nrrd") as caught:
        viewer.prepare(bad)
    assert caught.value.kind == "input" and viewer.frame(77.0).complete


def test_voxels_from_memory_give_what_their_file_gives(viewer, session, exam_file):
    volume = read_exam(exam_file).pre
    viewer.prepare(Voxels(volume.voxels, Geometry(volume.shape, volume.spacing, volume.origin, volume.direction)))
    viewer.synthesize()
    np.testing.assert_allclose(viewer.frame(47.5).voxels, session.frame(47.5), atol=0.05)


def test_through_another_host_frames_are_those_of_a_worker_here_bit_for_bit(viewer, model, exam_file, tmp_path):
    prepared = viewer.prepare(exam_file)
    viewer.synthesize()
    with Department(tmp_path / "host", models=(str(model),), device="cpu") as department:
        reader = Viewer(tmp_path / "reader", model, at_host(department.url))
        assert reader.prepare(exam_file).geometry == prepared.geometry
        assert reader.opened().model_sha256 == viewer.opened().model_sha256
        reader.synthesize()
        for t in (0.0, 47.5, 120.0):
            np.testing.assert_array_equal(reader.frame(t).voxels, viewer.frame(t).voxels)
        reader.close()


def test_a_killed_worker_comes_back_with_all_that_was_made(viewer, session):
    viewer.synthesize()
    shown = viewer.frame(52.0)
    before = shown.voxels.copy()
    os.kill(viewer.transports[-1].pid, signal.SIGKILL)
    processes = viewer.ended()
    assert viewer.client.status.state == "restarting" and "signal 9" in viewer.client.status.message
    assert len(viewer.transports) == processes
    assert viewer.frame(52.0).slot == shown.slot  # at once, without a worker
    seen = []
    again = viewer.frame(53.0)
    assert viewer.client.status.state == "ready" and again.run == shown.run and again.complete
    np.testing.assert_allclose(again.voxels, session.frame(53.0), atol=0.05)
    np.testing.assert_array_equal(shown.voxels, before)
    viewer.synthesize(on_progress=seen.append)
    assert [p.slices for p in seen] in ([], [tuple(range(SLICES))])  # from the cache, not slice by slice


def test_the_worker_ends_when_its_viewer_does_even_while_it_starts(tmp_path):
    folder = SharedFolder.create(tmp_path)
    process = subprocess.Popen(COMMAND, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert b"Hello" in process.stdout.readline()
    process.stdin.write(encode(Open(1, str(folder.path), "compact", "cpu", str(folder.file("cache")))).encode() + b"\n")
    begun = time.monotonic()
    process.stdin.close()
    assert process.wait(PATIENCE_S) == 0 and time.monotonic() - begun < 5
    process.stdout.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "nice"), reason="this system has no niceness")
def test_the_model_gives_way_to_the_viewer_where_that_asks_for_it():
    environment = {**os.environ, NICENESS_VARIABLE: "7"}
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as worker:
        end = time.monotonic() + PATIENCE_S
        while (niceness := os.getpriority(os.PRIO_PROCESS, worker.pid)) == os.nice(0) and time.monotonic() < end:
            time.sleep(0.05)
        worker.stdin.close()
    assert niceness == min(os.nice(0) + 7, 19)


@pytest.mark.skipif(not hasattr(os, "nice"), reason="this system has no niceness")
def test_a_niceness_that_is_no_number_ends_the_worker_with_one_sentence():
    environment = {**os.environ, NICENESS_VARIABLE: "high"}
    worker = subprocess.run(COMMAND, stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=PATIENCE_S)
    assert b"is 'high'; give a whole number" in worker.stdout and b"Traceback" not in worker.stderr


def test_a_cancel_of_what_is_answered_at_that_moment_does_not_end_the_worker():
    class Answered(dict):
        def __contains__(self, key: object) -> bool:
            return self.pop(key, None) is not None

    one = process._Process(None, None, None)  # type: ignore[arg-type]
    one._cancels = Answered({3: threading.Event()})
    one._sort(Cancel(3))
    one._sort(Cancel(4))


def test_what_libraries_print_does_not_reach_the_protocol():
    code = (
        "import os; from CEKWorldLib.worker import process; own = process._take_over_stdout(); "
        "print('stray'); os.system('echo stray'); os.write(own, b'protocol\\n')"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "protocol\n" and result.stderr.count("stray") == 2
