"""``cekworld serve-worker``: lends this machine's GPU to viewers on others."""

from __future__ import annotations

import argparse
from pathlib import Path

from CEKWorldLib.cli.extras import needing
from CEKWorldLib.cli.options import ManualFormatter, number, whole_number
from CEKWorldLib.errors import CEKWorldError

_DESCRIPTION = """\
Lends this machine's GPU to viewers on machines without one. Each reader gets a worker
process of his own; it ends, and its files are removed, when his connection does.

Readers send voxels, their geometry and sequence settings; no names, dates or identifiers.
The log says who came and went, not what they looked at.

Without options this machine alone can connect, as through an SSH tunnel. Readers
elsewhere need a token, and their images are encrypted: give a certificate, or put a
proxy that encrypts in front (--plain).
"""

_EPILOG = """\
examples:
  cekworld serve-worker
      for this machine, at ws://127.0.0.1:8471
  export CEKWORLD_WORKER_TOKEN=$(python -c "import secrets; print(secrets.token_urlsafe())")
  cekworld serve-worker --address 0.0.0.0 --certificate host.pem --key host.key
      for the department, at wss://this.host:8471; readers set the same token

environment:
  CEKWORLD_WORKER_TOKEN  what readers have to show; at least 16 characters
"""


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "serve-worker",
        help="lend this machine's GPU to viewers on others",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=ManualFormatter,
    )
    parser.add_argument("--address", default="127.0.0.1", help="to listen at (default: this machine alone)")
    parser.add_argument(
        "--port", type=whole_number(0, 65535), default=8471, metavar="N", help="default: 8471; 0 takes a free one"
    )
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="PEM file for TLS, with its chain")
    parser.add_argument(
        "--key", type=Path, metavar="FILE", help="PEM file; without it, the certificate's holds the key"
    )
    parser.add_argument("--plain", action="store_true", help="do not encrypt: a proxy in front of this host does")
    parser.add_argument(
        "--readers", type=whole_number(1, 256), default=4, metavar="N", help="served at a time (default: 4)"
    )
    parser.add_argument(
        "--model",
        action="append",
        metavar="NAME|DIR",
        help="that readers may choose; can be repeated (default: compact)",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: auto")
    parser.add_argument(
        "--largest-exam", type=whole_number(1, 1 << 20), default=1024, metavar="MB",
        help="of voxels, 4 bytes each (default: 1024)",
    )  # fmt: skip
    parser.add_argument(
        "--idle", type=number(0.1, 10_000.0, "minutes"), default=30.0, metavar="MINUTES",
        help="before a reader is let go (default: 30)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Serves until Ctrl-C."""
    with needing("remote", "Serving readers"):
        from CEKWorldLib.models.folders import model_folder
        from CEKWorldLib.worker.remote import access, host
        from CEKWorldLib.worker.remote.settings import HostSettings
    for name in args.model or ():
        model_folder(name)  # before readers are asked in
    settings = HostSettings(
        address=args.address,
        port=args.port,
        token=access.token(),
        certificate=args.certificate,
        key=args.key,
        plain=args.plain,
        models=args.model or ["compact"],
        device=args.device,
        readers=args.readers,
        largest_exam_bytes=args.largest_exam << 20,
        idle_s=60 * args.idle,
    )
    try:
        host.main(settings)
    except OSError as error:
        raise CEKWorldError(
            f"Cannot listen at {args.address} port {args.port} ({error.strerror}); choose another with --address or "
            "--port."
        ) from error
