"""Times of phases in a text or CSV file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from CEKWorldLib.errors import CEKWorldError

_MAX_BYTES = 1 << 20  # a thousand phases need 10 kB
_NAMES = ("time_s", "t_s", "time", "times", "t", "seconds", "time (s)", "time [s]")


def read_times(path: Path | str) -> np.ndarray:
    """Reads seconds after injection start.

    One time per line or several, separated by commas, semicolons, tabs or blanks; ``#`` begins a comment. In a table
    with a header line, the column called "time" (or "time_s", "t", "seconds") is taken.

    Returns:
        (T,) float64, in the file's order.

    Raises:
        CEKWorldError: unreadable, not text, no numbers, or a table whose time column is not clear.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise CEKWorldError(f"{path.name} is too large for a list of times; give a text file with one per line.")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CEKWorldError(f"{path.name} cannot be opened ({error.strerror}); check its path.") from error
    except UnicodeDecodeError as error:
        raise CEKWorldError(f"{path.name} is not a text file; give the times in seconds, one per line.") from error
    rows = [row for line in text.splitlines() if any(row := _cells(line.partition("#")[0]))]
    if rows and not any(map(_is_number, rows[0])):
        rows = _time_column(rows, path.name)
    cells = [cell for row in rows for cell in row if cell]
    if not cells:
        raise CEKWorldError(f"{path.name} holds no times; give the times in seconds, one per line.")
    if not all(map(_is_number, cells)):
        raise CEKWorldError(f"{path.name} holds words where times belong; give the times in seconds, one per line.")
    return np.array(cells, float)


def _cells(line: str) -> list[str]:
    delimiter = next((mark for mark in ";,\t" if mark in line), None)
    return [cell.strip().strip('"') for cell in line.split(delimiter)]


def _time_column(rows: list[list[str]], name: str) -> list[list[str]]:
    columns = [index for index, title in enumerate(rows[0]) if title.lower() in _NAMES]
    # More cells than titles are decimal commas: of "0,5" the column would keep the 0.
    if len(columns) != 1 or not all(columns[0] < len(row) <= len(rows[0]) for row in rows[1:]):
        raise CEKWorldError(f"{name} has no single column called time; call the column of seconds 'time_s'.")
    return [[row[columns[0]]] for row in rows[1:]]


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
