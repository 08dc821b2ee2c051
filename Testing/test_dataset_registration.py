"""Registration: undoes a known displacement, and takes no contrast away."""

from __future__ import annotations

import numpy as np
import pytest
from contrast_phantom import SPACING_MM, breathing, displaced, phantom

from CEKWorldLib.dataset.registration import register

MOVED_MM = 6.0


@pytest.fixture(scope="module")
def exam():
    return phantom()


@pytest.fixture(scope="module")
def moved_and_back(exam):
    frames, _, body = exam
    moved = displaced(frames[1], breathing(body.shape, MOVED_MM))
    return moved, *register(frames[0], moved, body, SPACING_MM)


def test_a_known_displacement_is_undone_to_a_third_of_its_error(exam, moved_and_back):
    frames, _, body = exam
    moved, back, _ = moved_and_back
    before, after = (np.abs(frame - frames[1])[body].mean() for frame in (moved, back))
    assert after < before / 3


def test_the_report_says_how_far_and_how_much_more_alike(moved_and_back):
    alignment = moved_and_back[2]
    assert alignment.kept == "B-spline"
    assert alignment.similarity_after > alignment.similarity_before + 0.1
    assert 0.6 * MOVED_MM < alignment.largest_mm < 2.0 * MOVED_MM


def test_a_lesion_keeps_its_enhancement_within_a_twentieth(exam, moved_and_back):
    frames, lesion, _ = exam
    _, back, _ = moved_and_back
    true, found = ((frame - frames[0])[lesion].mean() for frame in (frames[1], back))
    assert abs(found / true - 1) < 0.05


@pytest.mark.parametrize("phase", [1, 3])
def test_contrast_alone_is_not_taken_for_motion(exam, phase):
    """Nobody moved: arrival and washout leave the lesion as bright and as large as it is."""
    frames, lesion, body = exam
    back, alignment = register(frames[0], frames[phase], body, SPACING_MM)
    true, found = ((frame - frames[0])[lesion].sum() for frame in (frames[phase], back))
    assert abs(found / true - 1) < 0.02
    assert alignment.largest_mm < 0.5


def test_thin_exams_are_registered_slice_by_slice(exam):
    frames, lesion, body = exam
    k = slice(6, 8)
    shift = np.zeros((3, 2, *body.shape[1:]))
    shift[1:] = 3.0
    moved = displaced(frames[1][k], shift)
    back, alignment = register(frames[0][k], moved, body[k], SPACING_MM)
    before, after = (np.abs(frame - frames[1][k])[body[k]].mean() for frame in (moved, back))
    assert after < before / 3 and alignment.kept != "none"


def test_what_the_phase_does_not_show_has_no_enhancement(exam):
    frames, _, body = exam
    shift = np.zeros((3, *body.shape))
    shift[2] = 8.0
    moved = displaced(frames[0], shift)
    moved[..., -4:] = 0  # four columns are outside of what was measured
    back, _ = register(frames[0], moved, body, SPACING_MM)
    assert np.array_equal(back[..., 0], frames[0][..., 0])


def test_registration_gives_the_same_twice(exam, moved_and_back):
    frames, _, body = exam
    moved, back, alignment = moved_and_back
    again, same = register(frames[0], moved, body, SPACING_MM)
    np.testing.assert_allclose(again, back, atol=1.0)
    assert same.kept == alignment.kept
