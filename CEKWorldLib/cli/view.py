"""``cekworld view``: the viewer in a browser, where no Slicer is installed."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from CEKWorldLib.cli.options import ManualFormatter, whole_number
from CEKWorldLib.errors import CEKWorldError

_DESCRIPTION = """\
Opens a viewer in the browser: three slice views, a slider over time, synthesis, regions
with their curves and classes, export. EXAM is a pre-contrast volume (NRRD, NIfTI, DICOM
folder) or a series (.seq.nrrd, 4-D NIfTI, DICOM folder); without it the bundled sample.

Images are drawn on this host, by Slicer's own scene and views; the browser needs no
graphics card. Every browser window has a session of its own, in a process of its own,
whose files are removed when it ends: some minutes after its window was closed.
"""

_EPILOG = """\
access:
  By default only this host can open the viewer. With --host it listens elsewhere, and the
  address it prints carries a token without which nobody gets in; the connection is not
  encrypted, so on a network others use, put it behind a proxy with TLS or use
  ssh -L 8080:localhost:8080 HOST instead.

examples:
  cekworld view
  cekworld view dicom_folder --port 9000
  cekworld view out/phases.seq.nrrd
"""

_NEEDED = ("slicer", "trame_slicer", "trame_plotly", "aiohttp")  # looked for, not imported: sessions do that


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "view",
        help="look at an exam, synthesize and measure it in a browser",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=ManualFormatter,
    )
    parser.add_argument("exam", type=Path, nargs="?", metavar="EXAM", help="what to open (default: the bundled sample)")
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="to listen on (default 127.0.0.1)")
    parser.add_argument(
        "--port", type=whole_number(0, 65535), default=8080, metavar="N", help="default 8080; 0 takes a free one"
    )
    parser.add_argument("--model", default="compact", metavar="NAME", help="name or folder (default compact)")
    parser.add_argument("--no-browser", action="store_true", help="print the address and open nothing")
    parser.add_argument(
        "--idle", type=whole_number(10, 86400), default=300, metavar="S",
        help="seconds a session lives without a window (default 300)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Serves until it is stopped."""
    import asyncio  # these would slow every command's --help
    import webbrowser

    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise CEKWorldError(f"The viewer needs {', '.join(missing)}; install them with: pip install 'cekworld[web]'")
    from CEKWorldLib.web.offscreen import draw_offscreen
    from CEKWorldLib.web.serving import serve
    from CEKWorldLib.web.session_process import SessionSettings

    draw_offscreen()
    exam, name = (_sample(), "sample exam (simulated)") if args.exam is None else (args.exam, args.exam.name)
    if not exam.exists():
        raise CEKWorldError(f"{exam} does not exist; check the path.")

    def show(address: str) -> None:
        print(f"CEKWorld viewer: {address}\nCtrl-C ends it.", flush=True)
        if not args.no_browser:
            webbrowser.open(address)

    asyncio.run(serve(SessionSettings(exam, name, args.model, args.idle), args.host, args.port, show))


def _sample() -> Path:
    return Path(__file__).parents[2] / "Resources" / "sample" / "breast" / "pre.nrrd"
