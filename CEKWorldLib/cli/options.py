"""Option types and help layout the subcommands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable


class ManualFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of descriptions and examples, and leaves room for option names."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=88)


def number(lowest: float, highest: float, unit: str) -> Callable[[str], float]:
    """A type for finite numbers within a range."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None
        if not lowest <= value <= highest:
            raise argparse.ArgumentTypeError(f"{text} is outside {lowest:g} to {highest:g} {unit}".rstrip())
        return value

    return convert


def whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    """A type for integers within a range."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number") from None
        if not lowest <= value <= highest:
            raise argparse.ArgumentTypeError(f"{text} is outside {lowest} to {highest}")
        return value

    return convert
