"""``cekworld evaluate``: how good a model is on held-out simulated exams."""

from __future__ import annotations

import argparse
from pathlib import Path

from CEKWorldLib.cli.extras import needing
from CEKWorldLib.cli.options import ManualFormatter, whole_number
from CEKWorldLib.cli.staging import check_file

_DESCRIPTION = """\
Simulates held-out exams (other seeds, and lesion families, protocols and input functions
never trained on), synthesizes them, and compares with the truth: error in enhancing
tissue, PSNR, SSIM, lesion curves, anatomy, smoothness. "No enhancement", a regression-only
network, and an oracle (the mean of patients with the same image and other kinetics) stand
beside every figure.
"""

_EPILOG = """\
examples:
  cekworld evaluate
  cekworld evaluate --model runs/compact/model --cases 12 --json evaluation.json
  cekworld evaluate --cases 1 --pictures held-out     what truth and model add to each slice
"""


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure a model's quality on held-out simulated exams",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=ManualFormatter,
    )
    parser.add_argument("--model", default="compact", metavar="NAME", help="name or folder (default compact)")
    parser.add_argument(
        "--cases", type=whole_number(1, 10_000), default=4, metavar="N", help="exams per anatomy and split (default 4)"
    )
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu or cuda")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures, one number per row under summary")
    parser.add_argument(
        "--pictures", type=Path, metavar="DIR", help="write a picture of the cases of each anatomy, with lesion curves"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Hands over to the evaluation room."""
    if args.json:
        check_file(args.json)
    if args.pictures:
        args.pictures.mkdir(parents=True, exist_ok=True)
        check_file(args.pictures / "cases.png")
    with needing("evaluation", "Evaluation"):
        from CEKWorldLib.evaluation.evaluate import run as evaluate

    evaluate(model=args.model, cases=args.cases, device=args.device, json_path=args.json, pictures=args.pictures)
