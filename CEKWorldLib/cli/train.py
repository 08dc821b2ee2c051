"""``cekworld train``: trains a model configuration on simulated or real exams."""

from __future__ import annotations

import argparse
from pathlib import Path

from CEKWorldLib.cli.extras import needing
from CEKWorldLib.cli.options import ManualFormatter, whole_number

_DESCRIPTION = """\
Trains a model configuration on simulated exams, on real ones (a data set of
"cekworld dataset build") or on a mix: makes a bank of simulated slabs where the
configuration asks for one, runs the stages in order, and writes a model folder that every
command takes with --model. A run that was stopped goes on from its last
checkpoint when it is started again with the same --output. Progress is in log.csv and, for
TensorBoard, in tensorboard/. Cost and log format: docs/training.md.

Several GPUs, nodes or CPU cores: start it with accelerate launch or torchrun; each process
draws batches of its own.
"""

_EPILOG = """\
examples:
  cekworld train compact --output runs/compact
  cekworld train my-configuration.toml --output runs/mine --device cuda --workers 12
  cekworld train finetune --data exams --init compact --output runs/ours
  cekworld train paper --init stable-diffusion-v1-5 --output runs/paper --workers 12
  torchrun --nproc-per-node 2 -m CEKWorldLib train compact --device cpu --output runs/compact
  cekworld synthesize pre.nrrd --model runs/compact/model --output out
"""


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "train",
        help="train a model on simulated or real exams",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=ManualFormatter,
    )
    parser.add_argument(
        "configuration", metavar="CONFIGURATION", help="compact, finetune, paper, or a configuration file (TOML)"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the run; resumed if there")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu or cuda")
    parser.add_argument(
        "--seed", type=whole_number(0, 2**31 - 1), default=0, metavar="N", help="of weights and batches (default 0)"
    )
    parser.add_argument(
        "--workers", type=whole_number(1, 256), default=2, metavar="N", help="simulator processes (default 2)"
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="data set of real exams, in place of the configuration's"
    )
    parser.add_argument(
        "--init",
        metavar="MODEL",
        help="start from this model's weights; for paper, a folder of Stable Diffusion 1.5 too",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Hands over to the training room."""
    with needing("training", "Training"):
        from CEKWorldLib.training import run as training
    training.run(args.configuration, args.output, args.device, args.seed, args.workers, args.init, args.data)
