"""``cekworld export-results``: regions, curves and maps of a series become DICOM objects in its study."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from CEKWorldLib.cli.kinetic_options import add_definition_options, add_region_options
from CEKWorldLib.cli.options import ManualFormatter
from CEKWorldLib.cli.series_options import add_series_options
from CEKWorldLib.errors import CEKWorldError

_DESCRIPTION = """\
Measures regions of a contrast series, acquired or synthesized, and writes as DICOM, into
the study, frame of reference and geometry of the source:

  regions.dcm      the regions (Segmentation)
  curves.dcm       curves, statistics and classes (Structured Report, TID 1500), which
                   point to the regions; classes in DICOM's own codes
  curve_types.dcm  with --maps: persistent, plateau and washout (Segmentation)
  *.dcm            with --maps: one Parametric Map per statistic, with its unit

Each export becomes a new folder in DIR, whole or not at all. What comes from a synthesized
series is marked: SyntheticData YES, "SYNTHETIC" in the series description, the model and
the checksum of its weights.
"""

_EPILOG = """\
examples:
  cekworld export-results dicom_folder --source dicom_folder --source-series 5 \\
      --roi lesion.nrrd --output export
  cekworld export-results out/phases.seq.nrrd --source pre_folder --roi lesion.nrrd \\
      --maps --output export
  cekworld send export/cekworld-20260131-101500-1a2b3c4d --to https://archive/dicom-web
"""


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "export-results",
        help="write regions, curves and maps as DICOM objects",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=ManualFormatter,
    )
    add_series_options(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the new folder goes")
    parser.add_argument(
        "--source", type=Path, required=True, metavar="DICOM_DIR", help="DICOM images the objects refer to"
    )
    parser.add_argument(
        "--source-series", metavar="SERIES", help="which series of DICOM_DIR: its number, or the start of its UID"
    )
    parser.add_argument("--maps", action="store_true", help="write the maps of all statistics as well")
    parser.add_argument(
        "--anonymize",
        action="store_true",
        help="new patient, study and UIDs, no dates and no free text; regions get numbers",
    )
    add_region_options(parser, required=True)
    add_definition_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Measures and exports, and prints where to."""
    if args.output.resolve().is_relative_to(args.source.resolve()):
        raise CEKWorldError("--output lies in the folder of the source, which is left as it is; name another one.")
    from CEKWorldLib.cli.kinetic_input import map_settings, maps_of, regions_of, settings_of
    from CEKWorldLib.cli.series_input import progress_bar, series_of
    from CEKWorldLib.dicom.anonymize import anonymized, anonymous_regions
    from CEKWorldLib.dicom.marking import Provenance
    from CEKWorldLib.dicom.results import export_results
    from CEKWorldLib.dicom.source import read_source

    series, settings = series_of(args), settings_of(args)
    source = read_source(args.source, args.source_series)
    results = regions_of(args, series, settings)
    if args.anonymize:
        source, results = anonymized(source), anonymous_regions(results)
    maps = maps_of(series, map_settings(settings, series)) if args.maps else {}
    provenance = Provenance.of(series.made_by) if series.synthetic else None
    with progress_bar() as show:
        report = partial(show, "writing DICOM")
        folder = export_results(source, series.grid, results, maps, args.output, provenance, report)
    for note in series.notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"{'SYNTHETIC' if series.synthetic else 'ACQUIRED'}. Written to {folder}")
