"""``cekworld train``: trains a model configuration on simulated exams."""

from __future__ import annotations

import argparse
from pathlib import Path

from CEKWorldLib.cli.options import ManualFormatter, whole_number

_DESCRIPTION = """\
Simulates a bank of exams, trains a model configuration on it stage by stage, and writes a
model folder that every command takes with --model. The bank, checkpoints and the log (CSV
and TensorBoard) are kept in the work folder; a run that was stopped goes on from there
when the same command is given again.
"""

_EPILOG = """\
examples:
  cekworld train compact --output my_model
  cekworld train my_settings.toml --output my_model --work /data/run1 --device cuda
  cekworld synthesize pre.nrrd --model my_model --output out
"""


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "train",
        help="train a model on simulated exams",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=ManualFormatter,
    )
    parser.add_argument("configuration", metavar="CONFIGURATION", help="shipped name (compact) or a TOML file")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="model folder to write")
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="bank, checkpoints and log (default runs/CONFIGURATION)"
    )
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu or cuda")
    parser.add_argument(
        "--seed", type=whole_number(0, 2**31 - 1), default=0, metavar="N", help="of weights and batches (default 0)"
    )
    parser.add_argument(
        "--workers", type=whole_number(1, 256), default=2, metavar="N", help="simulator processes (default 2)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Hands over to the training room."""
    from CEKWorldLib.synthesis.batching import choose_device
    from CEKWorldLib.training import run as training

    work = args.work or Path("runs") / Path(args.configuration).stem
    device = str(choose_device(args.device))
    training.run(args.configuration, work, args.output, device, args.seed, args.workers)
