"""What a session shows at any time, on a model whose enhancement has a closed form."""

from __future__ import annotations

import numpy as np
import pytest
from closed_form_model import ROUNDING, TIMES, ClosedFormModel, expected_enhancement, made, phantom

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.exam import Exam
from CEKWorldLib.exam.protocol import Injection
from CEKWorldLib.synthesis.session import Session

pytestmark = pytest.mark.usefixtures("one_thread")


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


def test_no_signal_falls_below_zero(session):
    for t in (24.0, 60.0, 240.0):
        assert session.frame(t).min() > -0.01 * ROUNDING
        assert session.exact(t, 1).min() > -0.01 * ROUNDING


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
