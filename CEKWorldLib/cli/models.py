"""``cekworld models``: which models there are, whether their files are whole, and how a new one is made."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from CEKWorldLib.cli.extras import needing
from CEKWorldLib.cli.options import ManualFormatter
from CEKWorldLib.errors import CEKWorldError

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
  cekworld models pack runs/ours --output /data/our_model
  cekworld models card /data/our_model --quality evaluation.json
  cekworld models import released.ckpt --output /data/paper_model
"""


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "models",
        aliases=["model"],
        help="list and verify models; make a model folder of a run or of a released checkpoint",
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
    packing = actions.add_parser(
        "pack",
        help="make a model folder of a training run's checkpoints",
        description="Writes the averaged weights of a run's last checkpoints, finished or not, as a model folder that\n"
        "every command and viewer takes by its path.",
        epilog="example:\n  cekworld models pack runs/ours --output /data/our_model",
        formatter_class=ManualFormatter,
    )
    packing.add_argument("checkpoints", type=Path, metavar="RUN", help="folder of cekworld train")
    packing.add_argument("--name", metavar="NAME", help="of the model (default: the configuration's)")
    _add_output(packing, run_pack)
    describing = actions.add_parser(
        "card",
        help="print a model's card, or write into it what was measured",
        description="Prints the card: data, limits, training, licence, quality. With --quality the figures of\n"
        "cekworld evaluate are written into it first; those of other weights are refused.",
        epilog="examples:\n  cekworld models card compact\n"
        "  cekworld evaluate --model /data/our_model --json evaluation.json\n"
        "  cekworld models card /data/our_model --quality evaluation.json",
        formatter_class=ManualFormatter,
    )
    describing.add_argument("model", metavar="NAME", help="name or folder")
    describing.add_argument("--quality", type=Path, metavar="FILE", help="what cekworld evaluate --json wrote")
    describing.set_defaults(run=run_card)
    importing = actions.add_parser(
        "import",
        help="make a model folder of the authors' released checkpoint",
        description="Converts a checkpoint of MRI CEKWorld's published code (latent-diffusion layout, ControlNet on\n"
        "Stable Diffusion 1.5) from a local file. Code in the file is refused, never run; every weight\n"
        "is checked by name and shape.",
        epilog="example:\n  cekworld models import released.ckpt --output /data/paper_model",
        formatter_class=ManualFormatter,
    )
    importing.add_argument("file", type=Path, metavar="FILE", help=".ckpt, .pth or .safetensors")
    _add_output(importing, run_import)


def _add_output(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], None]) -> None:
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="model folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace a model folder that is there")
    parser.set_defaults(run=run)


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
    from CEKWorldLib.models.folders import list_models, model_folder, verify

    names = args.model or list_models()
    if not names:
        raise CEKWorldError("There is nothing to verify: no model is shipped with this copy. Name a model folder.")
    for name in names:
        print(f"{name:<12} whole  sha256 {verify(model_folder(name))}")


def run_pack(args: argparse.Namespace) -> None:
    """Packs a run."""
    _check_output(args.output, args.overwrite)
    from CEKWorldLib.training.packing import pack

    _say(args.output, pack(args.checkpoints, args.output, args.name))


def run_card(args: argparse.Namespace) -> None:
    """Prints a card, after writing figures into it where there are any."""
    from CEKWorldLib.models.folders import model_folder, read_card

    if args.quality is not None:
        with needing("evaluation", "Writing figures into a card"):
            from CEKWorldLib.evaluation.quality_card import write_quality
        write_quality(args.model, args.quality)
    print(read_card(model_folder(args.model)), end="")


def run_import(args: argparse.Namespace) -> None:
    """Imports a checkpoint."""
    _check_output(args.output, args.overwrite)
    with needing("paper", "Importing"):
        from CEKWorldLib.models.importing import import_checkpoint
    _say(args.output, import_checkpoint(args.file, args.output))


def _check_output(folder: Path, overwrite: bool) -> None:
    """Refuses to replace what is no model folder, or one without being told to."""
    from CEKWorldLib.models.folders import refuse_foreign

    refuse_foreign(folder)
    if not overwrite and folder.exists() and any(folder.iterdir()):
        raise CEKWorldError(f"{folder} holds a model. Give another --output, or --overwrite to replace it.")


def _say(folder: Path, digest: str) -> None:
    print(f"Model written to {folder} (weights sha256 {digest[:16]}...). Use it with --model {folder}")
