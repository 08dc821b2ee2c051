"""When the phases of an exam were acquired, in seconds after the injection, and who says so.

Two clocks are kept apart. DICOM and clinical tables mostly count from the first phase; the model counts from the start
of the injection. What links them is in the header, in the table, or stated once for a whole archive; without it the
exam is rejected. The model never sees a time that somebody guessed without a word.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.found_series import FoundSeries
from CEKWorldLib.exam.phase_times import PhaseTimes
from CEKWorldLib.exam.times_file import read_times

TIMES_FILES = ("times.csv", "times.txt")  # of an exam, in its folder: seconds after the injection
_KEYS = ("patient_id", "exam", "id")
_SINCE_INJECTION, _SINCE_FIRST, _INJECTION, _SERIES = "times_s", "acquisition_times", "injection_s", "series"
_INJECTION_TAG = "ContrastBolusStartTime"  # notes on times that name it say why it cannot be used
_MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class TableRow:
    """What the table says of one exam; None or "" where it says nothing.

    Attributes:
        times_s: seconds after the injection, of each phase.
        acquisition_times: seconds from the first phase, as in MAMA-MIA's clinical table.
        injection_s: start of the injection in seconds from the first phase.
        series: which DICOM series.
    """

    times_s: tuple[float, ...] | None = None
    acquisition_times: tuple[float, ...] | None = None
    injection_s: float | None = None
    series: str = ""


@dataclass(frozen=True)
class TimingRules:
    """What holds for every exam that does not say otherwise itself.

    Attributes:
        injection_s: start of the injection, seconds from the first phase.
        first_post_s: the second phase is taken to begin this long after the injection. For archives with one
            pre-contrast phase whose headers do not tell the injection, as Duke and MAMA-MIA.
    """

    injection_s: float | None = None
    first_post_s: float | None = None


def read_table(path: Path) -> dict[str, TableRow]:
    """Reads a CSV table of exams, by the lower case of their name.

    A column ``patient_id`` (or ``exam``, ``id``) names the exam, and any of ``times_s``, ``acquisition_times`` (lists
    such as ``[0, 140, 230]`` or ``0 140 230``), ``injection_s`` and ``series`` say something of it.

    Raises:
        CEKWorldError: unreadable, without these columns, a cell that is no number, or rows that contradict each other.
    """
    try:
        if path.stat().st_size > _MAX_BYTES or path.suffix.lower() in (".xlsx", ".xls"):
            raise CEKWorldError(f"{path.name} is no CSV table; save its sheet as CSV (UTF-8) and give that.")
        with path.open(newline="", encoding="utf-8-sig") as file:
            delimiter = max(",;\t", key=file.readline().count)
            file.seek(0)
            rows = list(csv.DictReader(file, delimiter=delimiter))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CEKWorldError(f"{path.name} cannot be read as a CSV table; save it as CSV (UTF-8).") from error
    titles = set(rows[0]) if rows else set()
    key = next((name for name in _KEYS if name in titles), None)
    known = {_SINCE_INJECTION, _SINCE_FIRST, _INJECTION, _SERIES} & titles
    if key is None or not known:
        raise CEKWorldError(
            f"{path.name} needs a column patient_id and one of {_SINCE_INJECTION}, {_SINCE_FIRST}, {_INJECTION}, "
            f"{_SERIES}."
        )
    table: dict[str, TableRow] = {}
    for line, cells in enumerate(rows, 2):
        row = _row(cells, path.name, line)
        # A table of lesions may name an exam in several rows; a patient's exams are told apart by study or file name.
        if table.setdefault(str(cells[key]).strip().lower(), row) != row:
            raise CEKWorldError(f"{path.name}, line {line}: the exam is in the table already, with other values.")
    return table


def timed(found: FoundSeries, path: Path, row: TableRow, rules: TimingRules) -> PhaseTimes:
    """The times of a found series after injection, each with its source.

    The table comes first, then a times file in the exam's folder, then the headers; for the injection the table, the
    headers, and last the rules for the whole archive.

    Raises:
        CEKWorldError: nobody says when the phases or the injection were, or what they say does not fit.
    """
    name = "The exam"  # what is said of it goes into the report, where the name of a folder may be that of a patient
    if row.times_s is not None:
        times = found.times.settled(row.times_s, None, name)
        return replace(times, sources=("table times_s",) * len(row.times_s), zero_source="table times_s")
    beside = [path.parent / file if path.is_file() else path / file for file in TIMES_FILES]
    if file := next(filter(Path.is_file, beside), None):
        times = found.times.settled(read_times(file), None, name)
        return replace(times, sources=(file.name,) * len(times.times_s), zero_source=file.name)
    times = found.times
    if row.acquisition_times is not None:
        given = times.settled(row.acquisition_times, None, name)  # one for each phase, and rising
        times = replace(given, sources=("table acquisition_times",) * len(given.times_s), zero_source="")
    if row.injection_s is not None:
        return replace(times.settled(None, row.injection_s, name), zero_source="table injection_s")
    times = times.settled(None, None, name)
    return times if times.zero_source else _by_rule(times, rules)


def _by_rule(times: PhaseTimes, rules: TimingRules) -> PhaseTimes:
    if rules.injection_s is not None:
        source = f"stated for all: injection {rules.injection_s:g} s after the first phase"
        return replace(times.settled(None, rules.injection_s, "The exam"), zero_source=source)
    if rules.first_post_s is not None:
        # An injection before the pre-contrast phase began would be none.
        injection = max(0.0, float(times.times_s[1]) - rules.first_post_s)
        source = f"assumed for all: second phase {rules.first_post_s:g} s after the injection"
        return replace(times.settled(None, injection, "The exam"), zero_source=source)
    unusable = [note for note in times.notes if _INJECTION_TAG in note] or ["Nothing says when the injection began."]
    raise CEKWorldError(
        f"{' '.join(unusable)} Give the injection in a table, or for all exams with --injection or --first-post."
    )


def _row(row: Mapping[str, str | None], name: str, line: int) -> TableRow:
    def numbers(title: str) -> tuple[float, ...] | None:
        text = (row.get(title) or "").strip()
        if not text or text.lower() in ("nan", "none"):
            return None
        try:
            parsed = json.loads(text if text.startswith("[") else f"[{','.join(text.replace(',', ' ').split())}]")
            values = tuple(float(value) for value in parsed)
        except (ValueError, TypeError) as error:
            raise CEKWorldError(f"{name}, line {line}: {title} holds words where seconds belong.") from error
        if not values or not np.isfinite(values).all():
            raise CEKWorldError(f"{name}, line {line}: {title} holds no numbers.")
        return values

    injection = numbers(_INJECTION)
    if injection and len(injection) > 1:
        raise CEKWorldError(f"{name}, line {line}: {_INJECTION} holds several numbers; write 12.5 with a point.")
    return TableRow(
        numbers(_SINCE_INJECTION), numbers(_SINCE_FIRST), injection[0] if injection else None,
        (row.get(_SERIES) or "").strip(),
    )  # fmt: skip
