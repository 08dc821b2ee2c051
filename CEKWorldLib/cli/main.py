"""Entry point of ``cekworld``: assembles the parser and turns outcomes into messages and exit codes."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType

from CEKWorldLib import __version__
from CEKWorldLib.cli import (
    bench,
    benchmark,
    curves,
    dataset,
    evaluate,
    export_dicom,
    export_results,
    models,
    phases,
    report,
    send,
    serve_worker,
    simulate,
    synthesize,
    train,
    view,
    worker,
)
from CEKWorldLib.cli.options import ManualFormatter
from CEKWorldLib.errors import Cancelled, CEKWorldError

OK, USER_ERROR, HUNG_UP, INTERRUPTED, TERMINATED = 0, 2, 129, 130, 143

_DESCRIPTION = """\
CEKWorld synthesizes how an MR volume would look at any time after contrast injection,
from the pre-contrast volume alone: images, time-intensity curves and a sequence that
3D Slicer plays.

Everything it makes is SYNTHETIC and says so in the picture, in the file and in its
metadata. The shipped models are trained on simulated exams. Research use only; not for
diagnosis.
"""

_EPILOG = """\
first steps:
  cekworld synthesize pre.nrrd --output out
      16 times, dense around bolus arrival, into the new folder out/
  cekworld simulate breast --seed 7 --output case
      a simulated exam whose truth is known at every time
  cekworld synthesize case --output out_case
      the same, with the truth drawn beside the synthetic curves

conventions:
  Times are seconds after the START OF THE INJECTION. Signal is in the source's own
  scale. Percent enhancement is 100 (S - S0) / S0, S0 the pre-contrast signal.

  A command writes its results whole or not at all: an error, a full disk or Ctrl-C
  leaves nothing half written.

exit codes:
  0    done
  2    the message says what to mend (input, option, model, disk)
  130  stopped with Ctrl-C

"cekworld COMMAND --help" explains every option of a command, with an example.
"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cekworld", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=ManualFormatter
    )
    parser.add_argument("--version", action="version", version=f"cekworld {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (
        synthesize,
        phases,
        curves,
        report,
        export_dicom,
        export_results,
        send,
        simulate,
        models,
        dataset,
        train,
        evaluate,
        benchmark,
        bench,
        view,
        worker,
        serve_worker,
    ):
        module.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line.

    Args:
        arguments: without the program's name; None takes the process's own.

    Returns:
        The exit code.
    """
    args = build_parser().parse_args(arguments)
    # Like KeyboardInterrupt, SystemExit runs every clean-up on its way: neither a batch system's stop nor a closed
    # terminal leaves anything behind. Under nohup the latter is ignored, and stays so.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: sys.exit(HUNG_UP))
    was_interrupted = _interrupts_noted()
    try:
        args.run(args)
    except (KeyboardInterrupt, Cancelled):
        return _stopped()
    except ImportError:
        if was_interrupted():  # Ctrl-C while numpy is imported: it says that it is badly installed
            return _stopped()
        raise
    except CEKWorldError as error:
        print(f"cekworld: {error}", file=sys.stderr)
        return USER_ERROR
    except OSError as error:  # what no room worded: a name that is too long, a folder nobody may read, a full disk
        where = f"{error.filename}: " if error.filename else ""
        print(f"cekworld: {where}{error.strerror or error}. Choose another file or folder.", file=sys.stderr)
        return USER_ERROR
    return OK


def _interrupts_noted() -> Callable[[], bool]:
    """Tells afterwards whether Ctrl-C was pressed, which still raises KeyboardInterrupt where it is not ignored."""
    pressed = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        pressed.set()
        signal.default_int_handler(number, frame)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    return pressed.is_set


def _stopped() -> int:
    print("\ncekworld: stopped.", file=sys.stderr)
    return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
