"""The options by which commands name regions of a series and the definitions they are judged by."""

from __future__ import annotations

import argparse
from pathlib import Path

from CEKWorldLib.cli.options import number
from CEKWorldLib.kinetics.settings import DEFINITIONS, MODES, REFERENCES, Settings


def add_region_options(parser: argparse.ArgumentParser, required: bool) -> None:
    """Adds --roi, --mode and --tissue."""
    regions = parser.add_argument_group("regions")
    regions.add_argument(
        "--roi", type=Path, action="append", required=required, metavar="MASK", help="region; may be repeated"
    )
    regions.add_argument("--mode", choices=MODES, default="mean", help="voxels a curve is made of (default mean)")
    regions.add_argument("--tissue", metavar="NAME", help="region that is the reference tissue")


def add_sample_option(parser: argparse.ArgumentParser) -> None:
    """Adds --sample."""
    parser.add_argument(
        "--sample", type=Path, action="append", metavar="SERIES",
        help="another sample of the series, such as another seed, or a folder of them; may be repeated",
    )  # fmt: skip


def add_definition_options(parser: argparse.ArgumentParser) -> None:
    """Adds what makes up ``Settings``."""
    seconds, percent = number(0.0, 3600.0, "s"), number(0.0, 1000.0, "%")
    rules = parser.add_argument_group("definitions")
    rules.add_argument("--definition", choices=DEFINITIONS, default="signal", help="what 10 %% are of (default signal)")
    rules.add_argument("--reference", choices=REFERENCES, default="t_e", help="what t_l is compared with (default t_e)")
    rules.add_argument("--t-e", type=seconds, default=Settings.t_e_s, metavar="S", help="initial sample (default 90 s)")
    rules.add_argument("--t-l", type=seconds, metavar="S", help="delayed sample (default the last of 240 to 480 s)")
    rules.add_argument(
        "--gate", type=percent, default=Settings.gate_percent, metavar="PERCENT",
        help="least initial enhancement of a type in maps (default 50 %%)",
    )  # fmt: skip
    rules.add_argument("--arrival", type=seconds, metavar="S", help="bolus arrival (default: found on each curve)")
    rules.add_argument(
        "--noise", type=number(0.0, 1e9, ""), metavar="SD",
        help="noise of one sample (default: in maps that of the air, in regions not used)",
    )  # fmt: skip
