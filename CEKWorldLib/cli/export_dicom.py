"""``cekworld export-dicom``: synthesized phases become DICOM images in the study they were made from."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from CEKWorldLib.cli.options import ManualFormatter
from CEKWorldLib.errors import CEKWorldError

_DESCRIPTION = """\
Writes the phases of a synthesis as DICOM MR images: one series per phase, in the study,
frame of reference and geometry of the source.

SERIES is the phases.seq.nrrd that "cekworld synthesize" wrote. Each export becomes a new
folder in DIR, whole or not at all; exporting twice gives two folders with different UIDs.

Every image is marked: SyntheticData YES, ImageType DERIVED\\SECONDARY, "SYNTHETIC" in the
series description, and the model, the checksum of its weights, seed and time in
DerivationDescription. docs/dicom.md lists all that is written.
"""

_EPILOG = """\
source:
  --source names the DICOM folder the synthesis started from; patient and study are taken
  from there, and nothing in it is changed. Without it the phases become a study of their
  own, whose name and description say that the source was not DICOM.

examples:
  cekworld export-dicom out/phases.seq.nrrd --source dicom_folder --output export
  cekworld export-dicom out/phases.seq.nrrd --source dicom_folder --anonymize --output export
  cekworld send export/cekworld-20260131-101500-1a2b3c4d --to https://archive/dicom-web
"""


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "export-dicom",
        help="write a synthesis as DICOM images",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=ManualFormatter,
    )
    parser.add_argument("series", type=Path, metavar="SERIES", help="phases.seq.nrrd of a synthesis")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the new folder goes")
    parser.add_argument("--source", type=Path, metavar="DICOM_DIR", help="DICOM folder of the pre-contrast series")
    parser.add_argument(
        "--source-series", metavar="SERIES", help="which series of DICOM_DIR: its number, or the start of its UID"
    )
    parser.add_argument(
        "--anonymize", action="store_true", help="new patient, study and UIDs, no dates and no free text"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Exports, and prints where to and what was noticed."""
    if args.source_series and not args.source:
        raise CEKWorldError("--source-series names a series of the source; give its folder with --source as well.")
    if args.source and args.output.resolve().is_relative_to(args.source.resolve()):
        raise CEKWorldError("--output lies in the folder of the source, which is left as it is; name another one.")
    from CEKWorldLib.cli.series_input import progress_bar
    from CEKWorldLib.dicom.anonymize import anonymized
    from CEKWorldLib.dicom.marking import Provenance
    from CEKWorldLib.dicom.phases import export_phases
    from CEKWorldLib.dicom.source import new_study, read_source
    from CEKWorldLib.exam.series_reading import read_series

    with progress_bar() as show:
        series = read_series(args.series, progress=show)
    provenance = Provenance.of(series.made_by)
    source = read_source(args.source, args.source_series) if args.source else new_study(provenance.anatomy)
    if args.anonymize:
        source = anonymized(source)
    with progress_bar() as show:
        exported = export_phases(series, source, provenance, args.output, progress=partial(show, "writing DICOM"))
    for note in exported.notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"{len(exported.series_uids)} SYNTHETIC phases, {exported.files} images. Written to {exported.folder}")
