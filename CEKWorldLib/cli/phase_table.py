"""The table of a series' phases, and the series as a sequence file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from CEKWorldLib.cli.series_input import given_times, progress_bar, series_of
from CEKWorldLib.exam.image_series import FIRST_PHASE, PREFIX, series_attributes
from CEKWorldLib.exam.phase_times import PhaseTimes, UnknownTimesError
from CEKWorldLib.exam.series_reading import find_series_of, settled_times
from CEKWorldLib.export.curves_csv import NOTICE
from CEKWorldLib.export.seq_nrrd import write_sequence


def print_phases(args: argparse.Namespace) -> None:
    """Prints the table from the headers alone.

    Raises:
        UnknownTimesError: after the table, whose times are "?".
        CEKWorldError: as `read_series`.
    """
    times_s = given_times(args)
    with progress_bar() as progress:
        found = find_series_of(args.input, args.series, progress)
    try:
        times = settled_times(found, args.input, times_s, args.injection)
    except UnknownTimesError as error:
        print(_table(error.times, error.series_numbers))
        raise
    _show(times, found.series_numbers, found.synthetic, found.notes + times.notes)


def write_phases(args: argparse.Namespace, output: Path) -> None:
    """Reads the series whole, prints its table and writes it as a sequence.

    Raises:
        CEKWorldError: as `read_series`, or the file cannot be written.
    """
    series = series_of(args)
    # The type stored suits the brightest phase, so that none of the others is clipped.
    brightest = int(np.nanmax(series.frames, axis=(1, 2, 3)).argmax())
    attributes = series_attributes(series) | ({f"{PREFIX}Notice": NOTICE} if series.synthetic else {})
    write_sequence(output, series.volume(brightest), series.times_s.tolist(), series.frames, attributes)
    times = PhaseTimes(series.times_s, series.time_sources, series.zero_source)
    _show(times, series.series_numbers, series.synthetic, series.notes)


def _show(times: PhaseTimes, series_numbers: tuple[str, ...], synthetic: bool, notes: tuple[str, ...]) -> None:
    print(_table(times, series_numbers))
    print(f"\ntime zero: {times.zero_source or FIRST_PHASE}")
    print(NOTICE if synthetic else "ACQUIRED, or not marked as synthetic.")
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def _table(times: PhaseTimes, series_numbers: tuple[str, ...]) -> str:
    """One row per phase: number, seconds, source, SeriesNumber."""
    width = max(len("source"), *map(len, times.sources))
    rows = [f"{'phase':>5}  {'time s':>9}  {'source':<{width}}  series"]
    numbers = series_numbers or ("-",) * len(times.sources)
    for phase, (seconds, source, number) in enumerate(zip(times.times_s, times.sources, numbers, strict=True), 1):
        shown = f"{seconds:.2f}" if np.isfinite(seconds) else "?"
        rows.append(f"{phase:>5}  {shown:>9}  {source:<{width}}  {number or '-'}")
    return "\n".join(rows)
