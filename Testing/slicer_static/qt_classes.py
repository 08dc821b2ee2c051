"""What widget classes have, by the names that ``read_headers.py`` found in their source."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path


@cache
def _classes() -> dict[str, dict]:
    return json.loads((Path(__file__).parent / "qt_names.json").read_text())["classes"]


def is_known(name: str) -> bool:
    return name in _classes()


def _ancestry(name: str | None) -> Iterator[dict]:
    while name in _classes():
        yield _classes()[name]
        name = _classes()[name]["base"]


def _has(name: str, what: str, member: str) -> bool:
    return any(member in ancestor[what] for ancestor in _ancestry(name))


def has_property(name: str, member: str) -> bool:
    return _has(name, "properties", member)


def has_function(name: str, member: str) -> bool:
    """Whether PythonQt finds a function (slot, signal) of that name, or ``member_``, which stands for a keyword."""
    return _has(name, "functions", member) or _has(name, "functions", member.removesuffix("_"))


def has_signal(name: str, signature: str) -> bool:
    return _has(name, "signals", signature)


def is_signal_of_any(signature: str) -> bool:
    return any(has_signal(name, signature) for name in _classes())
