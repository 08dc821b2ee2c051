"""``cekworld benchmark``: what each part of the method is worth."""

from __future__ import annotations

import argparse
from pathlib import Path

from CEKWorldLib.cli.extras import needing
from CEKWorldLib.cli.options import ManualFormatter, whole_number

_DESCRIPTION = """\
Trains and measures the ablation on simulated abdomen and breast: training patients are
acquired at the few times of a study, held-out exams have their truth at all times. Rows:
no enhancement, regression only, a ControlNet-like flow from noise, with Latent Alignment
Learning (LAL), with Latent Difference Learning (LDL), both in two stages and jointly, in
the authors' readings and in ours, without the end-point fix, with 1, 2 and 4 virtual
points, started at the mean, with a flow error that weighs all pixels alike; and an
oracle, the best anybody could predict from the pre-contrast image. All rows of a seed
start from the same weights.

Writes results.json, tables.md (means and 95 % intervals over seeds) and pictures into
the output folder. A run that was stopped goes on when it is started again with the same
--output. What the rows mean and what they showed: docs/ablation.md.
"""

_EPILOG = """\
examples:
  cekworld benchmark --output ablation
  cekworld benchmark --output ablation --rows baseline two-stage --seeds 1
  cekworld benchmark --output large --budget gpu --device cuda --workers 1
"""


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "benchmark",
        help="train and measure what each part of the method is worth",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=ManualFormatter,
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of results; resumed if there")
    parser.add_argument("--budget", default="cpu", metavar="NAME", help="cpu (default), cpu-long, gpu, tiny, or a file")
    parser.add_argument("--seeds", type=whole_number(1, 99), default=3, metavar="N", help="how many (default 3)")
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="only these; a wrong name lists them (default all)")
    parser.add_argument("--workers", type=whole_number(1, 256), default=2, metavar="N", help="processes (default 2)")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu or cuda")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Hands over to the evaluation room."""
    with needing("training,evaluation", "The benchmark"):
        from CEKWorldLib.evaluation.ablation.benchmark import run as benchmark
    benchmark(args.budget, args.output, args.seeds, args.rows, args.workers, args.device)
