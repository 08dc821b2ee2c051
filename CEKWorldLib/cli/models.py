"""``cekworld models``: which models there are, and whether their files are whole."""

from __future__ import annotations

import argparse

from CEKWorldLib.cli.options import ManualFormatter

_DESCRIPTION = """\
A model is a folder: weights as safetensors, a configuration, a card, and a manifest with
the sha256 of every file. Shipped models have a name; a folder of your own is given by
its path wherever a command takes --model.
"""

_EPILOG = """\
examples:
  cekworld models list
  cekworld models verify
  cekworld models verify /data/my_model
"""


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "models",
        help="list the models, or verify their files",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=ManualFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list",
        help="name, size and description of the shipped models",
        epilog="example:\n  cekworld models list",
        formatter_class=ManualFormatter,
    )
    listing.set_defaults(run=run_list)
    checking = actions.add_parser(
        "verify",
        help="check every file of a model against its sha256",
        epilog="example:\n  cekworld models verify compact",
        formatter_class=ManualFormatter,
    )
    checking.add_argument("model", nargs="*", metavar="NAME", help="name or folder (default: all shipped models)")
    checking.set_defaults(run=run_verify)


def run_list(args: argparse.Namespace) -> None:
    """Prints the shipped models."""
    from CEKWorldLib.models.folders import list_models, model_folder, model_metadata

    names = list_models()
    if not names:
        print("No model is shipped with this copy; give a model folder with --model.")
    for name in names:
        size = sum(path.stat().st_size for path in model_folder(name).rglob("*") if path.is_file())
        description = model_metadata(name).get("description", "")
        print(f"{name:<12} {size / 1e6:6.1f} MB  {description}".rstrip())


def run_verify(args: argparse.Namespace) -> None:
    """Checks models; the first damaged file ends the command with its name."""
    from CEKWorldLib.errors import CEKWorldError
    from CEKWorldLib.models.folders import list_models, model_folder, verify

    names = args.model or list_models()
    if not names:
        raise CEKWorldError("There is nothing to verify: no model is shipped with this copy. Name a model folder.")
    for name in names:
        print(f"{name:<12} whole  sha256 {verify(model_folder(name))}")
