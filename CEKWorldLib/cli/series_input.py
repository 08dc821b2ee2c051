"""Reads the time series that `series_options` name, and shows that it works."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tqdm import tqdm

from CEKWorldLib.exam.found_series import Progress
from CEKWorldLib.exam.series_reading import read_series
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.exam.times_file import read_times
from CEKWorldLib.synthesis.times import listed_times


def given_times(args: argparse.Namespace) -> np.ndarray | None:
    """The times of --times, from the file it names or from its list; None without the option.

    Raises:
        CEKWorldError: they cannot be read.
    """
    if args.times is None:
        return None
    return read_times(args.times) if Path(args.times).is_file() else np.array(listed_times(args.times))


def series_of(args: argparse.Namespace) -> TimeSeries:
    """Reads the series that the options name, with a progress bar.

    Raises:
        CEKWorldError: as `read_series`.
    """
    times_s = given_times(args)
    with progress_bar() as progress:
        return read_series(args.input, times_s, args.injection, args.series, progress)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Shows the step, what is done of it and the time left, on a terminal only, for steps of over a second."""
    with tqdm(unit="image", disable=None, leave=False, delay=1, file=sys.stderr) as bar:

        def show(step: str, done: int, whole: int) -> None:
            bar.set_description(step, refresh=False)
            bar.total = whole
            bar.update(done - bar.n)

        yield show
