"""``cekworld phases``: which phases a time series has, at which times, and where the times come from."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from CEKWorldLib.cli.options import ManualFormatter
from CEKWorldLib.cli.series_options import add_series_options
from CEKWorldLib.cli.staging import check_file
from CEKWorldLib.errors import CEKWorldError

SUFFIX = ".seq.nrrd"

_DESCRIPTION = """\
Lists the phases of a time series, acquired or synthesized: time in seconds after the
start of the injection, the header entry each time comes from, and the DICOM series.

SERIES is a DICOM folder (one series with many phases, or one series per phase), a
.seq.nrrd, a MultiVolume NRRD or a 4-D NIfTI file with --times. A time is never
guessed: where the file tells none, the table shows "?" and --times gives them.
"""

_EPILOG = """\
times:
  Without --times they come from the file. In DICOM the first of these that rises from
  phase to phase: TemporalPositionTimeOffset, FrameReferenceDateTime,
  FrameAcquisitionDateTime, AcquisitionDateTime, AcquisitionTime, TriggerTime,
  ContentTime, TemporalPositionIdentifier x TemporalResolution. Others that disagree
  are named.

  A list of --times that begins below zero needs an equals sign: --times=-30,0,60

  Time zero is ContrastBolusStartTime, or what --injection says; where neither is known
  times count from the first phase, and a note says so.

examples:
  cekworld phases dicom_folder
  cekworld phases dicom_folder --series 5,6,7 --injection 60 --output series.seq.nrrd
  cekworld phases dynamic.nii.gz --times times.csv
"""


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "phases",
        help="list the phases and times of a series",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=ManualFormatter,
    )
    add_series_options(parser)
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the series as a .seq.nrrd, for 3D Slicer")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Prints the table and, with --output, writes the sequence."""
    output: Path | None = args.output
    if output and not output.name.lower().endswith(SUFFIX):
        raise CEKWorldError(f"{output.name} does not end in {SUFFIX}; 3D Slicer knows sequences by that ending.")
    if output:
        check_file(output, args.overwrite)
    from CEKWorldLib.cli.phase_table import print_phases, write_phases

    if output is None:
        print_phases(args)
    else:
        write_phases(args, output)
        print(f"\nWritten to {output}", file=sys.stderr)
