"""``cekworld report``: curves, pictures and definitions of a contrast series on one page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from CEKWorldLib.cli.kinetic_options import add_definition_options, add_region_options, add_sample_option
from CEKWorldLib.cli.options import ManualFormatter
from CEKWorldLib.cli.series_options import add_series_options
from CEKWorldLib.cli.staging import check_file
from CEKWorldLib.errors import CEKWorldError

_DESCRIPTION = """\
Measures regions of a contrast series, acquired or synthesized, and writes one HTML page
to read, print (or save as PDF from the browser) and file: pictures, curves, statistics,
definitions and the values of the curves. It says SYNTHETIC or ACQUIRED at the top and on
every picture.

The page needs no other file, loads nothing and runs no script. It names no patient
unless --title does; images may still show a face.
"""

_EPILOG = """\
examples:
  cekworld report dicom_folder --roi lesion.nrrd --output report.html
  cekworld report out/phases.seq.nrrd --roi lesion.nrrd --roi muscle.nrrd \\
      --tissue muscle --palette colour-blind --output report.html
  cekworld report out/phases.seq.nrrd --sample out/samples --roi lesion.nrrd --output report.html
"""


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "report",
        help="write curves, pictures and definitions as one page",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=ManualFormatter,
    )
    add_series_options(parser)
    add_sample_option(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="HTML file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE")
    parser.add_argument("--title", metavar="TEXT", help="a line of your own at the top, such as a study number")
    parser.add_argument(
        "--palette", choices=("standard", "colour-blind"), default="standard",
        help="colours of the curve types (default standard: blue, green, red)",
    )  # fmt: skip
    add_region_options(parser, required=True)
    add_definition_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Measures and writes the page, or nothing."""
    output: Path = args.output
    if output.suffix.lower() not in (".html", ".htm"):
        raise CEKWorldError(f"{output.name} does not end in .html, by which browsers know a page; rename it.")
    check_file(output, args.overwrite)
    from CEKWorldLib.cli.kinetic_input import regions_of, settings_of
    from CEKWorldLib.cli.sample_input import spread_of, with_samples
    from CEKWorldLib.cli.series_input import series_of
    from CEKWorldLib.export.report import write_report

    series = series_of(args)
    results = with_samples(regions_of(args, series, settings_of(args)), args, series)
    facts = {"Title": args.title} if args.title else {}
    spread = spread_of(args, series, ("percent_enhancement",))
    write_report(output, series, results, facts, args.palette, spread)
    for note in series.notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"{'SYNTHETIC' if series.synthetic else 'ACQUIRED'}. Written to {output}")
