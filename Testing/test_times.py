"""Key times: the default grid and what a user may write."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.protocol import ANATOMIES
from CEKWorldLib.synthesis.interpolation import TimeBase
from CEKWorldLib.synthesis.times import checked_times, default_times, parse_times


@pytest.mark.parametrize("anatomy", [*ANATOMIES, None])
@pytest.mark.parametrize("arrival", [0.0, 10.0, 25.5, 40.0])
def test_default_times_are_sixteen_from_pre_contrast_to_ten_minutes_at_most(arrival, anatomy):
    times = default_times(arrival, anatomy)
    assert len(times) == 16
    assert times[0] == 0.0
    assert np.all(np.diff(times) > 0)
    assert times[1] > arrival
    assert 360 <= times[-1] <= 600


def test_default_times_are_dense_early_and_sparse_late():
    times = np.array(default_times(20.0, "breast"))
    assert np.diff(times[1:]).max() == np.diff(times)[-1]
    assert np.sum(times < 20.0 + 90.0) >= 11


def test_default_times_follow_arrival_through_the_first_pass():
    early, late = np.array(default_times(10.0)), np.array(default_times(30.0))
    np.testing.assert_allclose(late[1:12] - early[1:12], 20.0, atol=1e-9)


def test_a_late_arrival_keeps_four_minutes_of_wash_out():
    assert default_times(400.0, "abdomen")[-1] == 640.0


def test_default_times_resolve_a_bolus_with_wash_out():
    """Gamma-variate first pass on a bi-exponential wash-out, the shape of a malignant lesion's curve."""
    arrival = 20.0

    def curve(t):
        since = np.maximum(t - arrival, 0.0)
        first_pass = (since / 12.0) ** 3 * np.exp(3 - since / 4.0)
        tissue = (1 - np.exp(-since / 15.0)) * (0.6 * np.exp(-since / 120.0) + 0.4 * np.exp(-since / 2000.0))
        return 0.15 * first_pass + tissue

    seconds = np.arange(0.0, 361.0)
    truth = curve(seconds)

    def error(times):
        base = TimeBase.of(arrival, tuple(times))
        values = torch.tensor(curve(np.array(base.nodes_s)))
        read = base.evaluate(torch.stack([values, base.slopes(values)], 1), seconds).numpy()
        return np.abs(read - truth).max() / truth.max()

    assert error(default_times(arrival)) < 0.05
    assert error(np.linspace(0.0, 480.0, 16)) > 0.1


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("0:360:15", tuple(range(0, 361, 15))),
        ("0:100:30", (0, 30, 60, 90)),
        ("0:1:0.1", tuple(n / 10 for n in range(11))),
        ("5:5:1", (5,)),
        ("0,30,90", (0, 30, 90)),
        ("90, 0, 30, 30", (0, 30, 90)),
        ("12.5", (12.5,)),
    ],
)
def test_times_are_read(text, times):
    assert parse_times(text) == pytest.approx(times)


@pytest.mark.parametrize(
    "text", ["", "a", "0:360", "0:360:0", "0:360:-1", "9:1:1", "0:1:2:3", "0,nan", "0,inf", "0:inf:1"]
)
def test_unreadable_times_are_refused(text):
    with pytest.raises(CEKWorldError):
        parse_times(text)


def test_more_times_than_anybody_wants_are_refused():
    with pytest.raises(CEKWorldError, match="at most 1000"):
        parse_times("0:600:0.001")


def test_no_times_are_refused():
    with pytest.raises(CEKWorldError):
        checked_times([])
