"""``cekworld send``: DICOM files go to an archive."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from CEKWorldLib.cli.options import ManualFormatter
from CEKWorldLib.cli.staging import check_file
from CEKWorldLib.errors import CEKWorldError

_DESCRIPTION = """\
Sends every DICOM file of FOLDER to an archive, by DICOMweb (STOW-RS) or by C-STORE, and
says what the archive accepted. Connections that fail are tried again. Sending a folder
twice is harmless: objects keep their UIDs.
"""

_EPILOG = """\
credentials:
  Taken from the environment, CEKWORLD_ARCHIVE_TOKEN, or CEKWORLD_ARCHIVE_USER and
  CEKWORLD_ARCHIVE_PASSWORD; else from the system's keyring, service cekworld:HOST, where
  the Python package keyring is installed. They are never sent over a network in the clear.

certificates:
  Of an archive whose certificate comes from the hospital's own authority: name a file with
  the authority's certificate (PEM) in the environment, as REQUESTS_CA_BUNDLE.

examples:
  cekworld send export --to https://archive.example.org/dicom-web
  cekworld send export --to dicom://ORTHANC@192.0.2.7:4242 --list accepted.csv
"""


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "send",
        help="send DICOM files to an archive",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=ManualFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="an export, searched with its subfolders")
    parser.add_argument(
        "--to", required=True, metavar="ADDRESS", help="https://HOST/dicom-web or dicom://AE_TITLE@HOST:PORT"
    )
    parser.add_argument("--list", type=Path, metavar="FILE", help="write a CSV of every file and its outcome")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Sends, lists, and fails where anything was not accepted."""
    if args.list:
        check_file(args.list)
    from CEKWorldLib.cli.series_input import progress_bar
    from CEKWorldLib.dicom.archive import send, write_list

    with progress_bar() as show:
        sent = send(args.folder, args.to, progress=partial(show, "sending"))
    if args.list:
        write_list(sent, args.list)
    refused = [entry for entry in sent if not entry.accepted]
    print(f"{len(sent) - len(refused)} of {len(sent)} files accepted.")
    if refused:
        raise CEKWorldError(
            f"{len(refused)} file(s) not accepted, the first is {refused[0].file}: {refused[0].refusal}. Send again, "
            "or ask the archive's administrator."
        )
