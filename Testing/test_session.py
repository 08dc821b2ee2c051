"""How a session synthesizes: order, cancel, noise, memory, devices; on a model whose enhancement has a closed form."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from closed_form_model import ROUNDING, TIMES, ClosedFormModel, made, phantom, uptake
from tiny_model import tiny_model

from CEKWorldLib.errors import Cancelled, CEKWorldError
from CEKWorldLib.exam.exam import Exam
from CEKWorldLib.exam.protocol import Injection
from CEKWorldLib.synthesis.batching import choose_device
from CEKWorldLib.synthesis.noise import CORRELATION_MM, noise_field
from CEKWorldLib.synthesis.session import Session

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def session() -> Session:
    return made()


def test_asking_before_there_is_anything_says_what_to_do():
    session = Session(ClosedFormModel(), device="cpu")
    with pytest.raises(CEKWorldError, match="prepare"):
        session.synthesize([0.0, 30.0])
    session.prepare(phantom(1))
    assert not session.ready_slices.any() and not session.is_complete
    with pytest.raises(CEKWorldError, match="synthesize the exam first"):
        session.frame(30.0)
    with pytest.raises(CEKWorldError, match="slice 9"):
        session.synthesize([0.0, 30.0])
        session.slice(30.0, 9)


# Order, progress, cancel


def test_slices_nearest_the_requested_one_come_first_and_alone():
    session = Session(ClosedFormModel(), device="cpu")
    session.prepare(phantom(7))
    reports = []
    session.synthesize(TIMES, first_slice=2, progress=reports.append)
    order = [k for report in reports for k in report.slices]
    assert reports[0].slices == (2,)
    assert [abs(k - 2) for k in order] == sorted(abs(k - 2) for k in order)
    assert sorted(order) == list(range(7))
    assert reports[-1].done == reports[-1].total == 7
    assert reports[-1].remaining_s == 0 and reports[0].remaining_s > 0


def test_slices_can_be_read_while_others_are_under_way():
    session = Session(ClosedFormModel(), device="cpu")
    session.prepare(phantom(3), Injection(arrival_s=20.0))
    seen = []

    def look(report):
        if report.done == 1:
            assert session.ready_slices.tolist() == [True, False, False]
            seen.append(session.slice(60.0, 0))
            with pytest.raises(CEKWorldError, match="not synthesized yet"):
                session.slice(60.0, 1)
            with pytest.raises(CEKWorldError, match="2 of the slices"):
                session.frame(60.0)
            partial = session.frame(60.0, partial=True)
            np.testing.assert_array_equal(partial[1:], session.exam.pre.voxels[1:])
            np.testing.assert_array_equal(partial[0], seen[0])
            np.testing.assert_allclose(session.slice(60.0, 128, 1, partial=True), partial[:, 128], atol=1e-3)

    session.synthesize(TIMES, first_slice=0, progress=look)
    np.testing.assert_array_equal(seen[0], session.slice(60.0, 0))


@pytest.mark.parametrize("as_event", [True, False])
def test_cancel_keeps_what_is_finished_and_a_second_run_goes_on(as_event):
    model = ClosedFormModel()
    session = Session(model, device="cpu")
    session.prepare(phantom(5), Injection(arrival_s=20.0))
    event = threading.Event()

    def stop_after_two(report):
        if report.done == 2:
            event.set()

    with pytest.raises(Cancelled, match="2 of 5"):
        session.synthesize(TIMES, progress=stop_after_two, cancel=event if as_event else event.is_set)
    assert session.ready_slices.sum() == 2
    finished = int(np.flatnonzero(session.ready_slices)[0])
    assert session.slice(60.0, finished).max() > 500
    before = sum(model.sampled)
    session.synthesize(TIMES)
    assert session.is_complete
    assert sum(model.sampled) - before == 3
    np.testing.assert_array_equal(session.frame(60.0), made(phantom(5)).frame(60.0))


def test_an_exact_slice_can_be_asked_for_during_a_synthesis():
    session = Session(ClosedFormModel(), device="cpu")
    session.prepare(phantom(6), Injection(arrival_s=20.0))
    worker = threading.Thread(target=session.synthesize, args=(TIMES,))
    truth = session.exact(60.0, 5)
    worker.start()
    for _ in range(5):
        np.testing.assert_array_equal(session.exact(60.0, 5), truth)
    worker.join()
    np.testing.assert_array_equal(session.frame(60.0), made(phantom(6)).frame(60.0))


# Determinism and noise


def test_series_do_not_depend_on_batches_or_order(session):
    other = Session(ClosedFormModel(), device="cpu")
    other.prepare(phantom(), Injection(arrival_s=20.0))
    other._engine.batch.slices = 3
    other.synthesize(TIMES, first_slice=3)
    assert max(other.model.sampled) == 3
    np.testing.assert_array_equal(other.frame(60.0), session.frame(60.0))


def test_another_seed_gives_another_sample(session):
    assert np.abs(made(seed=1).frame(60.0) - session.frame(60.0)).max() > 10


def test_noise_has_unit_variance_and_falls_off_through_the_slices():
    field = noise_field(60, (4, 32, 32), CORRELATION_MM / 5, seed=3).flatten(1)
    assert field.std(1).numpy() == pytest.approx(np.ones(60), abs=0.05)
    for lag in (1, 3, 5):
        correlation = (field[lag:] * field[:-lag]).mean()
        assert float(correlation) == pytest.approx(np.exp(-lag / 5), abs=0.03)


def test_noise_of_a_slice_does_not_depend_on_how_many_follow():
    long, short = noise_field(9, (2, 8, 8), 2.0, 5), noise_field(4, (2, 8, 8), 2.0, 5)
    assert torch.equal(long[:4], short)
    assert not torch.equal(long, noise_field(9, (2, 8, 8), 2.0, 6))


# Memory


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_running_out_of_memory_halves_the_batch_and_goes_on(error, session):
    model = ClosedFormModel(largest_batch=4, error=error)
    other = Session(model, device="cpu")
    other.prepare(phantom(), Injection(arrival_s=20.0))
    other._engine.batch.slices = 4
    other.synthesize(TIMES)
    assert max(model.decoded) <= 4
    assert any("smaller batches" in notice for notice in other.notices)
    np.testing.assert_array_equal(other.frame(60.0), session.frame(60.0))


def test_a_device_without_memory_is_left_for_the_cpu(session):
    # PyTorch's "meta" device is the one device beside the CPU that every machine has.
    other = Session(ClosedFormModel(fails_on="meta"), device="meta")
    other.prepare(phantom(), Injection(arrival_s=20.0))
    assert other.device == "meta"
    other.synthesize(TIMES)
    assert other.device == "cpu"
    assert any("on the CPU" in notice for notice in other.notices)
    np.testing.assert_array_equal(other.frame(60.0), session.frame(60.0))


def test_auto_is_the_cpu_where_the_gpu_does_not_compute_and_a_gpu_asked_for_by_name_is_refused(monkeypatch):
    ones = torch.ones

    def of_an_old_gpu(*size, device):
        if torch.device(device).type == "cuda":
            raise RuntimeError("CUDA error: no kernel image is available for execution on the device")
        return ones(*size, device=device)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", of_an_old_gpu)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(CEKWorldError, match="'cuda' here that works"):
        choose_device("cuda")


def test_too_little_memory_for_anything_is_said():
    with pytest.raises(CEKWorldError, match="not enough memory"):
        made(phantom(1), model=ClosedFormModel(largest_batch=0))


def test_other_errors_of_a_model_are_not_taken_for_lack_of_memory():
    with pytest.raises(RuntimeError, match="shape"):
        made(phantom(1), model=ClosedFormModel(largest_batch=0, error=RuntimeError("shape mismatch")))


def test_slices_are_encoded_once():
    model = ClosedFormModel()
    made(phantom(5), model=model)
    assert sum(model.encoded) == 5


def test_key_frames_keep_within_their_memory_and_are_decoded_again(session):
    model = ClosedFormModel()
    one = session._series.frames.nbytes // 4
    limit = session._series.latents.nbytes + 2 * one
    bounded = made(model=model, memory_limit_bytes=limit)
    frames = bounded._series.frames
    assert frames.capacity == 2 and frames.nbytes <= 2 * one
    assert sum(model.decoded) == 2 * 6  # the slices that fit, at the six times after arrival
    np.testing.assert_array_equal(bounded.frame(60.0), session.frame(60.0))
    np.testing.assert_allclose(bounded.slice(60.0, 128, 1), session.slice(60.0, 128, 1), atol=1e-3)
    mask = session.exam.pre.voxels > 300
    assert bounded.curve(mask, [60.0]) == pytest.approx(session.curve(mask, [60.0]))
    before = len(model.decoded)
    bounded.slice(60.0, 3)
    bounded.slice(70.0, 3)
    assert len(model.decoded) - before <= 1


def test_the_slice_not_looked_at_for_longest_makes_room(session):
    model = ClosedFormModel()
    bounded = made(model=model, memory_limit_bytes=session._series.latents.nbytes + session._series.frames.nbytes // 2)
    for k in (0, 3, 0, 1):  # two have room: 1 takes the place of 3
        bounded.slice(60.0, k)
    before = len(model.decoded)
    bounded.slice(60.0, 0)
    assert len(model.decoded) == before
    bounded.slice(60.0, 3)
    assert len(model.decoded) == before + 1


def test_threads_do_not_read_a_slice_that_makes_room_for_another(session):
    limit = session._series.latents.nbytes + 1  # room for one slice
    bounded = made(memory_limit_bytes=limit)
    truth = session.frame(60.0)
    for _ in range(15):
        np.testing.assert_array_equal(bounded.frame(60.0), truth)


def test_the_compact_world_model_runs_in_a_session():
    session = Session(tiny_model(), device="cpu")
    session.prepare(phantom(2), Injection(arrival_s=20.0))
    session.synthesize((0.0, 25.0, 60.0))
    np.testing.assert_array_equal(session.frame(20.0), session.exam.pre.voxels)
    assert np.abs(session.frame(60.0) - session.exam.pre.voxels).max() > 1
    np.testing.assert_allclose(session.exact(25.0, 1), session.slice(25.0, 1), atol=ROUNDING)


# What is said about the result


def test_metadata_says_how_it_was_made(session):
    facts = session.metadata()
    assert facts["synthetic"] is True
    assert facts["model"] == "closed form" and facts["model_sha256"] == "5" * 64
    assert facts["times_s"] == list(TIMES)
    assert facts["injection"]["arrival_s"] == 20.0
    assert uptake(20.0, 20.0) == 0.0


def test_warnings_of_the_exam_become_notices():
    session = Session(ClosedFormModel(), device="cpu")
    session.prepare(Exam(phantom(1).pre, warnings=("looks already contrast-enhanced",)))
    assert session.notices == ["looks already contrast-enhanced"]


@pytest.mark.parametrize(
    "device",
    ["abacus", pytest.param("cuda", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"))],
)
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(CEKWorldError, match="choose"):
        Session(ClosedFormModel(), device=device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_auto_takes_the_gpu():
    assert Session(ClosedFormModel()).device == "cuda"
