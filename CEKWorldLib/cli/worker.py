"""``cekworld worker``: the process that holds the model for a viewer."""

from __future__ import annotations

import argparse

from CEKWorldLib.cli.options import ManualFormatter

_DESCRIPTION = """\
Holds the model for a viewer, which starts this command itself and talks to it in JSON
lines on standard input and output; images go through a temporary folder the viewer
makes. It ends, and removes that folder, when its input ends.
"""

_EPILOG = """\
examples:
  cekworld worker </dev/null
      says hello, and ends
"""


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "worker",
        help="hold the model for a viewer (viewers start it themselves)",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=ManualFormatter,
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Serves standard input until it ends."""
    from CEKWorldLib.worker.process import main

    main()
