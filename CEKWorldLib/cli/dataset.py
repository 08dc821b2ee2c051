"""``cekworld dataset``: real exams made ready for training, and a look at what became of them."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from CEKWorldLib.cli.options import ManualFormatter, number, whole_number
from CEKWorldLib.errors import CEKWorldError

_DESCRIPTION = """\
Turns an archive of contrast series into a data set to train on, and shows what is in it.
Patients become keyed hashes; the key and the list of sources stay in DIR.private, which
is not to be given away.
"""

_EPILOG = """\
examples:
  cekworld dataset build --from archive --anatomy breast --first-post 90 --output exams
  cekworld dataset check exams --pictures pictures
  cekworld train finetune --data exams --init compact --output runs/ours
"""

_BUILD = """\
Looks for contrast series in DIR and all folders below, makes an exam of each, and lists
every one, accepted or rejected, with the reason:

  DICOM         studies in any folders (TCIA, PACS export): one series with all phases or
                one series for each phase
  NIfTI         ID_0000.nii.gz (pre-contrast), ID_0001.nii.gz, ... as MAMA-MIA has them
  sequences     .seq.nrrd, MultiVolume NRRD, 4-D NIfTI

Every exam is brought to the model's grid, its phases are registered to the pre-contrast
one (rigid, then B-spline; each only where it helps), and divided by one number for all
phases. It is refused where contrast cannot be seen, phases have scales of their own, or
nobody says when the injection was. Stop it at any time: started again it goes on. Exams
the archive no longer holds are removed.
"""

_BUILD_EPILOG = """\
times:
  DICOM and sequences mostly say when phases were acquired, NIfTI never does. --times TABLE
  says so for single exams: a CSV with a column patient_id (PatientID, folder or file name)
  and any of
    acquisition_times  seconds from the first phase, "[0, 140, 230]" (MAMA-MIA's clinical
                       table has this column; save its sheet as CSV)
    times_s            seconds after the injection
    injection_s        start of the injection, seconds from the first phase
    series             which DICOM series: numbers as 5,6,7
  A file times.csv beside an exam's files does as well (seconds after the injection).

  Where neither header nor table tells the injection, --injection or --first-post says it
  for all exams; the data set notes it with each. Without them such exams are rejected.

examples:
  cekworld dataset build --from Duke-Breast-Cancer-MRI --anatomy breast --first-post 90 --output duke
  cekworld dataset build --from MAMA-MIA/images --times clinical_and_imaging_info.csv \\
      --first-post 90 --anatomy breast --processes 8 --output mama-mia
  cekworld dataset build --from archive --injection 60 --output exams
"""


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "dataset",
        help="make a data set of real exams, to train on",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=ManualFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_build(actions)
    checking = actions.add_parser(
        "check",
        help="read a data set whole, and show what is in it",
        description="Reads every file of a data set and prints what it holds; one picture of each exam on request.",
        epilog="example:\n  cekworld dataset check exams --pictures pictures",
        formatter_class=ManualFormatter,
    )
    checking.add_argument("dataset", type=Path, metavar="DIR", help="folder of cekworld dataset build")
    checking.add_argument("--pictures", type=Path, metavar="DIR", help="write one PNG for each exam here")
    checking.set_defaults(run=run_check)


def _add_build(actions) -> None:
    parser = actions.add_parser(
        "build",
        help="make a data set of an archive",
        description=_BUILD,
        epilog=_BUILD_EPILOG,
        formatter_class=ManualFormatter,
    )
    parser.add_argument("--from", dest="archive", type=Path, required=True, metavar="DIR", help="the archive")
    parser.add_argument(
        "--output", type=Path, default=Path("dataset"), metavar="DIR", help="the data set (default dataset); resumed"
    )
    parser.add_argument("--anatomy", choices=("breast", "abdomen", "brain"), help="of all exams, where known")
    parser.add_argument("--times", type=Path, metavar="TABLE", help="CSV with the times of single exams")
    zero = parser.add_mutually_exclusive_group()
    zero.add_argument(
        "--injection", type=number(0.0, 3600.0, "s"), metavar="S", help="injection, seconds after the first phase"
    )
    zero.add_argument(
        "--first-post", type=number(1.0, 1800.0, "s"), metavar="S",
        help="the second phase begins S seconds after the injection (many breast protocols: 90)",
    )  # fmt: skip
    parser.add_argument(
        "--arrival", type=number(0.0, 120.0, "s"), default=20.0, metavar="S",
        help="bolus arrival in the arteries after the injection (default 20 s)",
    )  # fmt: skip
    parser.add_argument(
        "--splits", default="80:10:10", metavar="A:B:C", help="shares of patients to train, validate, test (80:10:10)"
    )
    parser.add_argument("--no-registration", action="store_true", help="take phases as they lie")
    parser.add_argument(
        "--processes", type=whole_number(1, 256), default=1, metavar="N", help="exams made at a time (default 1)"
    )
    parser.set_defaults(run=run_build)


def run_build(args: argparse.Namespace) -> None:
    """Builds the data set and prints the summary."""
    from CEKWorldLib.cli.dataset_progress import BuildBar
    from CEKWorldLib.dataset.building import Plan, build, private_folder
    from CEKWorldLib.dataset.identity import Fractions
    from CEKWorldLib.dataset.preparing import Settings
    from CEKWorldLib.dataset.report import summary
    from CEKWorldLib.dataset.timing import TimingRules, read_table
    from CEKWorldLib.exam.protocol import Injection

    plan = Plan(
        settings=Settings(registration=not args.no_registration),
        rules=TimingRules(args.injection, args.first_post),
        table=read_table(args.times) if args.times else {},
        fractions=Fractions(*_shares(args.splits)),
        anatomy=args.anatomy,
        injection=Injection(arrival_s=args.arrival),
    )
    with BuildBar() as bar:
        outcomes = build(args.archive, args.output, plan, args.processes, bar)
    print(summary(outcomes))
    print(
        f"\nWritten to {args.output}: report.csv lists every exam. {private_folder(args.output)} holds the key and the "
        "sources; keep it, and do not give it away."
    )
    if all(outcome.status == "rejected" for outcome in outcomes):
        raise CEKWorldError("Not one exam was accepted; the reasons are above.")


def run_check(args: argparse.Namespace) -> None:
    """Reads everything; the first damaged file ends the command with its name."""
    from tqdm import tqdm

    from CEKWorldLib.dataset.cache import open_exams
    from CEKWorldLib.dataset.report import Outcome, read_rejected, summary

    exams = open_exams(args.dataset)
    if args.pictures:
        from CEKWorldLib.dataset.picture import write_exam_picture

        args.pictures.mkdir(parents=True, exist_ok=True)
    for exam in tqdm(exams, desc="checking", unit="exam", disable=None):
        exam.check()
        if args.pictures:
            write_exam_picture(exam, args.pictures / f"{exam.record.name}.png")
    print(summary([*map(Outcome.of, exams), *read_rejected(args.dataset)]))
    for exam in exams:
        for note in exam.record.notes:
            print(f"  note        {exam.record.name}: {note}")


def _shares(text: str) -> list[float]:
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if len(parts) != 3 or not all(math.isfinite(part) and part >= 0 for part in parts) or parts[0] <= 0:
        raise CEKWorldError(f"--splits {text} are no three shares; give them as 80:10:10.")
    return [part / sum(parts) for part in parts]
