"""``cekworld synthesize``: a pre-contrast volume becomes a contrast series, with curves and pictures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from CEKWorldLib.cli.options import ManualFormatter, number, whole_number
from CEKWorldLib.cli.staging import staged_folder
from CEKWorldLib.errors import CEKWorldError

_DESCRIPTION = """\
Synthesizes a contrast series from a pre-contrast T1-weighted volume and writes to DIR:

  phases.seq.nrrd    the phases, for 3D Slicer: a sequence with index "time" in seconds,
                     geometry and intensity scale of the source
  curves.csv         mean signal and percent enhancement of each region over time
  curves.png         the same as a plot
  contact_sheet.png  slices by times, one window for all
  run.json           model, settings and the statement that all this is synthetic
  samples/           with --samples: the phases once more for each further seed

INPUT is an NRRD or NIfTI file, a DICOM folder, or a folder or file of
"cekworld simulate", whose truth is then shown beside the synthesis.
"""

_EPILOG = """\
times:
  --times FIRST:LAST:STEP (LAST included where the steps meet it) or a list such as
  0,30,90; seconds after the start of the injection. Without it: 16 times, dense during
  the first pass, sparse later.

regions:
  --roi takes a mask on the volume's own grid (NRRD or NIfTI; Slicer: export the segment as
  a labelmap with the volume as reference); each label is a region. Without masks a
  simulated exam gets its lesions and main organs, any other the 3x3 pixels that enhance
  most and the whole body.

examples:
  cekworld synthesize pre.nrrd --output out
  cekworld synthesize dicom_folder --times 0:360:15 --arrival 25 --output out
  cekworld synthesize liver.nii.gz --anatomy abdomen --roi lesion.nrrd --output out
  cekworld synthesize pre.nrrd --samples 8 --output out
  cekworld curves out/phases.seq.nrrd --sample out/samples --roi lesion.nrrd --output curves
      how sure the model is: a band on the curve, the share of samples in each curve type
"""

_ANATOMIES = ("breast", "abdomen", "brain")
FILES = ("phases.seq.nrrd", "curves.csv", "curves.png", "contact_sheet.png", "run.json")
SAMPLES = "samples"  # folder of the further seeds
_OWN = (*FILES, SAMPLES, f"{SAMPLES}/seed_[0-9]*.seq.nrrd")


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "synthesize",
        help="make a contrast series from a pre-contrast volume",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=ManualFormatter,
    )
    parser.add_argument("input", type=Path, metavar="INPUT", help="NRRD, NIfTI, DICOM folder or simulated case")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="new folder for the results")
    parser.add_argument("--overwrite", action="store_true", help="replace earlier results in DIR")
    parser.add_argument("--times", metavar="TIMES", help="seconds after injection start, 0:360:15 or 0,30,90")
    parser.add_argument(
        "--extrapolate", action="store_true", help="allow times the model was not trained on; run.json marks them"
    )
    parser.add_argument("--roi", type=Path, action="append", metavar="MASK", help="region for a curve; may be repeated")

    model = parser.add_argument_group("model")
    model.add_argument("--model", default="compact", metavar="NAME", help="name or folder (default compact)")
    model.add_argument(
        "--steps", type=whole_number(0, 1000), metavar="N",
        help="sampler steps; 0 takes the regression mean (default: the model's)",
    )  # fmt: skip
    model.add_argument(
        "--seed", type=whole_number(0, 2**31 - 1), default=0, metavar="N",
        help="of the sampler's noise (default 0); the same seed gives the same series",
    )  # fmt: skip
    model.add_argument(
        "--samples", type=whole_number(1, 100), default=1, metavar="N",
        help="draw N samples, with this seed and the next ones, for uncertainty (default 1; takes 1 step or more)",
    )  # fmt: skip
    model.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu or cuda")
    model.add_argument(
        "--cache", type=Path, metavar="DIR", help="keep latents here; the same exam and settings start from them"
    )

    exam = parser.add_argument_group("exam and injection")
    exam.add_argument(
        "--series", metavar="SERIES", help="which series of a DICOM folder: its number, or the start of its UID"
    )
    exam.add_argument("--anatomy", choices=_ANATOMIES, help="helps the model when known")
    exam.add_argument(
        "--arrival", type=number(0.0, 120.0, "s"), metavar="S", help="bolus arrival in the arteries (default 20 s)"
    )
    exam.add_argument(
        "--dose", type=number(0.01, 0.4, "mmol/kg"), metavar="MMOL/KG", help="contrast dose (default 0.1)"
    )
    exam.add_argument(
        "--relaxivity", type=number(2.0, 12.0, "1/(mM s)"), metavar="R1", help="of the agent, 1/(mM s) (default 4.5)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Synthesizes and writes everything, or nothing."""
    if args.samples > 1 and args.steps == 0:
        raise CEKWorldError("Samples need --steps 1 or more: without steps every seed gives the regression mean.")
    if args.cache and args.cache.resolve().is_relative_to(args.output.resolve()):
        raise CEKWorldError("--cache lies in --output, which is replaced as a whole; name a folder outside of it.")
    # The output is refused before the minutes of work, and before PyTorch's seconds.
    with staged_folder(args.output, args.overwrite, _OWN) as staging:
        from CEKWorldLib.cli.contrast_series import prepare, results

        work = prepare(args)
        table = results(work, staging)
        written = ", ".join(name for name in (*FILES, SAMPLES) if (staging / name).exists())
    for notice in work.session.notices:
        print(f"note: {notice}", file=sys.stderr)
    print(table)
    print(f"\nSYNTHETIC, from a model {work.training}. Written to {args.output}: {written}")
