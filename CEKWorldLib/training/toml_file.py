"""Settings that are shipped by name, or come in a user's own file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from CEKWorldLib.errors import CEKWorldError


def read_toml(what: str, name_or_file: str | Path, shipped: Path) -> tuple[Path, dict[str, Any]]:
    """Reads a shipped file by its name, or any file by its path.

    Args:
        what: the file is, for the error.
        name_or_file: name of a shipped one without ``.toml``; else a path.
        shipped: folder of the shipped ones.

    Returns:
        The file that was read, and its values.

    Raises:
        CEKWorldError: there is no such file, or it is not TOML; the names of the shipped ones are told.
    """
    path = shipped / f"{name_or_file}.toml"
    path = path if path.is_file() else Path(name_or_file)
    try:
        return path, tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        known = ", ".join(sorted(p.stem for p in shipped.glob("*.toml")))
        raise CEKWorldError(f"Cannot read the {what} {path}: {error}. Shipped ones: {known}.") from error


def whole_numbers(where: str, **entries: tuple[object, int]) -> None:
    """Checks entries that count something.

    Args:
        where: they stand, for the error.
        entries: each entry's value, and the least it may be.

    Raises:
        CEKWorldError: one is no whole number, or less.
    """
    for name, (value, least) in entries.items():
        if type(value) is not int or value < least:
            raise CEKWorldError(f"{where}: {name} = {value!r} is no whole number from {least} on.")
