"""The session a viewer holds, on a model whose enhancement has a closed form."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from closed_form_model import ClosedFormModel, expected_enhancement, phantom, uptake
from tiny_model import tiny_model

from CEKWorldLib.errors import Cancelled, CEKWorldError
from CEKWorldLib.exam.exam import Exam
from CEKWorldLib.exam.protocol import Injection
from CEKWorldLib.synthesis.noise import CORRELATION_MM, noise_field
from CEKWorldLib.synthesis.session import Session

TIMES = (0.0, 24.0, 30.0, 45.0, 90.0, 240.0, 400.0)
ROUNDING = 1.0  # float16 latents and key frames, in a signal of 500


def made(exam: Exam | None = None, times=TIMES, model: ClosedFormModel | None = None, **settings) -> Session:
    session = Session(model or ClosedFormModel(), device="cpu", **settings)
    session.prepare(exam or phantom(), Injection(arrival_s=20.0))
    session.synthesize(times)
    return session


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """On small images two threads mostly wait for each other, for seconds where the cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def session() -> Session:
    return made()


def box(session: Session) -> tuple:
    return (slice(None), session._prepared.rows, session._prepared.columns)


# Frames


def test_key_frames_are_source_plus_enhancement(session):
    for t in TIMES[1:]:
        enhancement = session.frame(t) - session.exam.pre.voxels
        assert np.abs(enhancement - expected_enhancement(session, t))[box(session)].max() < ROUNDING


def test_source_is_untouched_up_to_arrival_and_outside_the_body(session):
    for t in (0.0, 10.0, 20.0):
        np.testing.assert_array_equal(session.frame(t), session.exam.pre.voxels)
    outside = np.ones(session.exam.pre.shape, bool)
    outside[box(session)] = False
    assert outside.mean() > 0.2
    np.testing.assert_array_equal(session.frame(90.0)[outside], session.exam.pre.voxels[outside])


def test_frames_between_key_times_lie_between_them(session):
    before, between, after = session.frame(45.0), session.frame(60.0), session.frame(90.0)
    assert np.all(between >= np.minimum(before, after) - 1e-2)
    assert np.all(between <= np.maximum(before, after) + 1e-2)


def test_a_frame_is_written_where_the_viewer_asks(session):
    out = np.empty(session.exam.pre.shape, np.float32)
    assert session.frame(60.0, out=out) is out
    np.testing.assert_array_equal(out, session.frame(60.0))


@pytest.mark.parametrize("t", [10.0, 22.0, 45.0, 60.0, 399.0])
def test_slices_along_every_axis_are_cut_from_the_frame(session, t):
    frame = session.frame(t)
    for axis, indices in enumerate(((0, 3), (0, 128, 255), (0, 100, 255))):
        for index in indices:
            np.testing.assert_allclose(session.slice(t, index, axis), frame.take(index, axis), atol=1e-3)


def _turned(direction: tuple[float, ...], shape=(5, 60, 48), spacing=(1.5, 0.9, 3.0)) -> Exam:
    return phantom(*shape, spacing=spacing, direction=direction, origin=(-31.0, 12.5, 400.0))


GEOMETRIES = {
    "axial": (1.0, 0, 0, 0, 1, 0, 0, 0, 1),
    "head to feet": (1.0, 0, 0, 0, 1, 0, 0, 0, -1),
    "flipped rows and columns": (-1.0, 0, 0, 0, -1, 0, 0, 0, 1),
    "sagittal": (0.0, 0, 1, 1, 0, 0, 0, -1, 0),
    "coronal": (1.0, 0, 0, 0, 0, 1, 0, -1, 0),
    "transposed": (0.0, 1, 0, 1, 0, 0, 0, 0, -1),
}


@pytest.mark.parametrize("direction", GEOMETRIES.values(), ids=GEOMETRIES)
def test_any_orientation_comes_back_to_its_own_grid(direction):
    session = made(_turned(direction))
    enhancement = session.frame(90.0) - session.exam.pre.voxels
    truth = expected_enhancement(session, 90.0)
    assert np.abs(enhancement - truth)[box(session)].max() < ROUNDING
    assert truth.max() > 200


@pytest.mark.parametrize(("shape", "spacing"), [((48, 5, 60), (1.0, 5.0, 1.0)), ((48, 60, 5), (5.0, 1.0, 1.0))])
def test_slices_may_lie_along_any_array_axis(shape, spacing):
    thin = phantom(5, 48, 60)
    axis = shape.index(5)
    voxels = np.ascontiguousarray(np.moveaxis(thin.pre.voxels, 0, axis))
    session = made(Exam(type(thin.pre)(voxels, spacing=spacing)))
    assert session._prepared.grid.slice_axis == axis
    frame = session.frame(90.0)
    assert frame.shape == shape
    assert np.corrcoef((frame - voxels).ravel(), expected_enhancement(session, 90.0).ravel())[0, 1] > 0.99
    for a in range(3):
        np.testing.assert_allclose(session.slice(90.0, 2, a), frame.take(2, a), atol=1e-3)


def test_one_slice_is_an_exam():
    session = made(phantom(1))
    assert session.frame(45.0).shape == (1, 256, 256)
    assert session.slice(45.0, 100, axis=1).shape == (1, 256)


def test_an_exam_without_a_time_after_arrival_is_the_source(session):
    resting = made(times=(0.0, 15.0))
    np.testing.assert_array_equal(resting.frame(10.0), session.exam.pre.voxels)
    mask = session.exam.pre.voxels > 300
    assert resting.curve(mask, [0.0, 15.0]) == pytest.approx([session.exam.pre.voxels[mask].mean()] * 2, rel=1e-5)


# Exact synthesis


def test_exact_slices_follow_the_closed_form_between_key_times(session):
    for t in (22.0, 33.0, 130.0):
        enhancement = session.exact(t, 2) - session.exam.pre.voxels[2]
        assert np.abs(enhancement - expected_enhancement(session, t)[2])[box(session)[1:]].max() < ROUNDING
    np.testing.assert_array_equal(session.exact(20.0, 2), session.exam.pre.voxels[2])


def test_exact_and_key_frames_agree_at_key_times(session):
    np.testing.assert_allclose(session.exact(45.0, 1), session.slice(45.0, 1), atol=ROUNDING)


def test_decoded_slices_agree_with_interpolated_ones_for_a_linear_decoder(session):
    np.testing.assert_allclose(session.decoded(60.0, 1), session.slice(60.0, 1), atol=2 * ROUNDING)
    np.testing.assert_array_equal(session.decoded(5.0, 1), session.exam.pre.voxels[1])


def test_exact_slices_need_no_series():
    session = Session(ClosedFormModel(), device="cpu")
    session.prepare(phantom(), Injection(arrival_s=20.0))
    assert session.exact(60.0, 0).max() > phantom().pre.voxels[0].max()


# Curves


def test_curve_is_the_mean_of_the_frames(session):
    mask = np.zeros(session.exam.pre.shape, np.uint8)
    mask[1:3, 90:130, 100:140] = 1
    mask[0, 2, 2] = 1  # in air, outside the body box
    times = [0.0, 20.0, 22.0, 30.0, 77.0, 400.0]
    frames = [session.frame(t)[mask > 0].mean(dtype=np.float64) for t in times]
    assert session.curve(mask, times) == pytest.approx(frames, rel=1e-5)


def test_exact_curve_follows_the_closed_form(session):
    mask = np.zeros(session.exam.pre.shape, bool)
    mask[1:3, 90:130, 100:140] = True
    times = [0.0, 20.0, *np.arange(21.0, 101.0, 2.0)]
    truth = [(session.exam.pre.voxels + expected_enhancement(session, t))[mask].mean() for t in times]
    assert session.curve(mask, times, exact=True) == pytest.approx(truth, rel=1e-3)


def test_curve_of_an_empty_or_foreign_mask_is_refused(session):
    with pytest.raises(CEKWorldError, match="empty"):
        session.curve(np.zeros(session.exam.pre.shape), [0.0])
    with pytest.raises(CEKWorldError, match="mask is"):
        session.curve(np.ones((2, 2, 2)), [0.0])


# Times that are not available


def test_times_outside_the_models_range_are_refused_or_marked(session):
    other = Session(ClosedFormModel(), device="cpu")
    other.prepare(phantom(1), Injection(arrival_s=20.0))
    with pytest.raises(CEKWorldError, match="0 to 600 s"):
        other.synthesize([0.0, 60.0, 700.0])
    other.synthesize([0.0, 60.0, 700.0], extrapolate=True)
    assert other.is_extrapolated(700.0) and not other.is_extrapolated(60.0)
    assert other.metadata()["extrapolated_times_s"] == [700.0]
    assert other.frame(700.0).shape == (1, 256, 256)
    for refused in (lambda: session.exact(601.0, 0), lambda: session.frame(-1.0), lambda: session.frame(700.0)):
        with pytest.raises(CEKWorldError, match="trained"):
            refused()


def test_times_after_the_last_key_time_are_refused_or_held(session):
    with pytest.raises(CEKWorldError, match="last synthesized time, 400 s"):
        session.frame(500.0)
    assert session.is_extrapolated(500.0)
    np.testing.assert_array_equal(session.frame(500.0, extrapolate=True), session.frame(400.0))


def test_a_bolus_after_all_known_times_is_refused():
    with pytest.raises(CEKWorldError, match="arriv"):
        Session(ClosedFormModel(), device="cpu").prepare(phantom(1), Injection(arrival_s=600.0))


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
