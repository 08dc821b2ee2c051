"""The options by which commands name a time series."""

from __future__ import annotations

import argparse
from pathlib import Path

from CEKWorldLib.cli.options import number


def add_series_options(parser: argparse.ArgumentParser) -> None:
    """Adds SERIES, --times, --injection and --series."""
    parser.add_argument(
        "input", type=Path, metavar="SERIES", help="DICOM folder, .seq.nrrd, MultiVolume NRRD or 4-D NIfTI"
    )
    parser.add_argument(
        "--times", metavar="TIMES",
        help="seconds after injection start of all phases: 0:360:15, 0,60,120 or a text or CSV file",
    )  # fmt: skip
    parser.add_argument(
        "--injection", type=number(-3600.0, 3600.0, "s"), metavar="S",
        help="start of the injection, seconds after the first phase",
    )  # fmt: skip
    parser.add_argument(
        "--series", metavar="SERIES", help="series of a DICOM folder: number or start of its UID; several as 5,6,7"
    )
