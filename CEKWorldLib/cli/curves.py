"""``cekworld curves``: curve statistics and maps of a contrast series, acquired or synthesized."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from CEKWorldLib.cli.kinetic_options import add_definition_options, add_region_options, add_sample_option
from CEKWorldLib.cli.options import ManualFormatter, number
from CEKWorldLib.cli.series_options import add_series_options
from CEKWorldLib.cli.staging import staged_folder
from CEKWorldLib.errors import CEKWorldError

_DESCRIPTION = """\
Measures time-intensity curves of regions of a contrast series, acquired or synthesized,
and writes to DIR:

  curves.png, curves.svg  enhancement over time with t_e, t_l and the band of a plateau
  curves.csv              signal and percent enhancement of each region over time
  statistics.csv          a row per region: type, SER, slopes, times, areas, shares of types
  voxels.csv              the same for every voxel of the regions
  kinetics.json           all of it, with the settings
  maps/                   with --maps: a volume of each statistic, and the types' colours;
                          with --sample also its mean, its sd, and each type's share

SERIES is a DICOM folder, a .seq.nrrd, a MultiVolume NRRD or a 4-D NIfTI file; "cekworld
phases" lists its times.
"""

_EPILOG = """\
definitions:
  The delayed phase compares the sample at t_l with the one at t_e, or with the early peak
  (--reference peak): up by more than 10 % persistent, down by more washout, else plateau.
  Ten per cent of what, changes the answer: of the signal (the default, as breast
  workstations do) or of the enhancement. Every file and plot names the one chosen.

regions:
  --roi takes a mask on the series' own grid (NRRD or NIfTI; Slicer: export the segment
  as a labelmap with the volume as reference); each label is a region. The curve is that
  of all its voxels (mean), of its hottest 3x3 window in the slice (hottest), or of its
  largest cluster of the most suspicious type (worst).

examples:
  cekworld curves dicom_folder --roi lesion.nrrd --output out
  cekworld curves series.seq.nrrd --roi lesion.nrrd --roi muscle.nrrd --tissue muscle \\
      --mode hottest --definition enhancement --reference peak --output out
  cekworld curves dynamic.nii.gz --times times.csv --maps --output out
  cekworld curves out/phases.seq.nrrd --sample out/samples --roi lesion.nrrd --output curves
      the samples of "cekworld synthesize --samples 8": a band on the curve, shares of types
"""

FILES = ("curves.png", "curves.svg", "curves.csv", "statistics.csv", "voxels.csv", "kinetics.json", "maps")


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "curves",
        help="measure curves and maps of a contrast series",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=ManualFormatter,
    )
    add_series_options(parser)
    add_sample_option(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="new folder for the results")
    parser.add_argument("--overwrite", action="store_true", help="replace earlier results in DIR")
    parser.add_argument("--maps", action="store_true", help="write the maps of all statistics")
    parser.add_argument("--cursor", type=number(-3600.0, 3600.0, "s"), metavar="S", help="time to mark on the plot")
    add_region_options(parser, required=False)
    add_definition_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Measures and writes everything, or nothing."""
    if not args.roi and not args.maps:
        raise CEKWorldError("Nothing to measure; name a region with --roi, or ask for --maps.")
    from CEKWorldLib.kinetics.maps import MAP_NAMES

    maps = (f"maps/{name}{of}.nrrd" for name in MAP_NAMES for of in ("", "_mean", "_sd"))
    own_names = (*FILES, *maps, "maps/share_*.nrrd", "maps/curve_type_*.ctbl")
    with staged_folder(args.output, args.overwrite, own_names) as staging:
        from CEKWorldLib.cli.curve_results import measure

        table, notes = measure(args, staging)
        written = ", ".join(name for name in FILES if (staging / name).exists())
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(table)
    print(f"\nWritten to {args.output}: {written}")
