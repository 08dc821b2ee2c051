"""``cekworld bench``: how fast synthesis and scrolling are on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from CEKWorldLib.cli.options import ManualFormatter
from CEKWorldLib.cli.staging import check_file

_DESCRIPTION = """\
Measures on this machine: synthesis of a sample-sized exam (24 slices of 256x256, 16
times), time to the first slice, three orthogonal slices and the whole volume at any time,
decoding of one slice, interpolation against exact synthesis, and peak memory; all maps
of a series of 16 phases of 64 slices of 256x256, and its export as DICOM.
"""

_EPILOG = """\
examples:
  cekworld bench
  cekworld bench --model compact --device cuda --json bench.json
"""


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "bench",
        help="measure speed and memory on this machine",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=ManualFormatter,
    )
    parser.add_argument("--model", default="compact", metavar="NAME", help="name or folder (default compact)")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu or cuda")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures, one number per row under summary")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Hands over to the evaluation room."""
    if args.json:
        check_file(args.json)
    from CEKWorldLib.evaluation.bench import run as bench

    bench(model=args.model, device=args.device, json_path=args.json)
