"""``cekworld simulate``: a simulated exam whose truth is known at every time."""

from __future__ import annotations

import argparse
from pathlib import Path

from CEKWorldLib.cli.options import ManualFormatter, number, whole_number
from CEKWorldLib.cli.staging import staged_folder

_DESCRIPTION = """\
Draws a patient, a protocol and an injection from a seed, and writes the exam a scanner
would have made of them together with its truth:

  pre.nrrd      the acquired pre-contrast volume (noise, coil shading, blur)
  labels.nrrd   tissue labels; 100 and up are lesions
  maps/         T1, proton density, vp, Ktrans, kep and the other truth maps
  case.json     protocol, injection, lesions, seed
  case.png      a picture of it all

The same arguments give the same case, to the bit.
"""

_EPILOG = """\
examples:
  cekworld simulate breast --seed 7 --output case
  cekworld simulate abdomen --seed 3 --slices 40 --view coronal --output liver
  cekworld simulate brain --seed 1 --split unseen_lesion --output lymphoma
"""

_ANATOMIES = ("breast", "abdomen", "brain")
_SPLITS = ("train", "validation", "test", "unseen_lesion", "unseen_protocol", "unseen_aif")
_FILES = ("pre.nrrd", "labels.nrrd", "maps", "case.json", "case.png")


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "simulate",
        help="write a simulated exam with its truth, and a picture of it",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=ManualFormatter,
    )
    parser.add_argument("anatomy", choices=_ANATOMIES, metavar="ANATOMY", help=", ".join(_ANATOMIES))
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="new folder for the case")
    parser.add_argument(
        "--seed", type=whole_number(0, 9_999_999), default=0, metavar="N", help="which case (default 0)"
    )
    parser.add_argument(
        "--split", choices=_SPLITS, default="test", metavar="NAME",
        help="train, validation, test (default); never trained on: unseen_lesion, unseen_protocol, unseen_aif",
    )  # fmt: skip
    parser.add_argument("--slices", type=whole_number(1, 512), default=24, metavar="N", help="1 to 512 (default 24)")
    parser.add_argument(
        "--size", type=whole_number(32, 1024), default=256, metavar="N", help="rows and columns (default 256)"
    )
    parser.add_argument(
        "--view", choices=("axial", "sagittal", "coronal"), default="axial", help="slice orientation (default axial)"
    )
    parser.add_argument(
        "--slice-mm", type=number(0.3, 20.0, "mm"), default=None, metavar="MM", help="slice spacing (default: drawn)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier case in DIR")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Writes the case."""
    from CEKWorldLib.simulation.case import simulate
    from CEKWorldLib.simulation.picture import case_picture
    from CEKWorldLib.simulation.tissue import PARAMETERS

    maps = (f"maps/{name}.nrrd" for name in (*PARAMETERS, "gain", "fat_residual"))
    with staged_folder(args.output, args.overwrite, (*_FILES, *maps)) as staging:
        case = simulate(
            args.anatomy,
            args.seed,
            split=args.split,
            shape=(args.slices, args.size, args.size),
            view=args.view,
            slice_mm=args.slice_mm,
        )
        case.save(staging)
        case_picture(case, staging / "case.png")
    print(f"{args.anatomy}, {args.split} case {args.seed}")
    for lesion in case.lesions:
        kind = "malignant" if lesion.malignant else "benign"
        print(f"  {lesion.family.replace('_', ' ')}, {kind}, {2 * lesion.radius_mm:.0f} mm")
    print(f"Written to {args.output}; synthesize it with: cekworld synthesize {args.output} --output out")
