"""A viewer and a browser that are started for a measurement or a test, and ended with it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from CEKWorldLib.errors import CEKWorldError

_CHROMIUM = Path("/usr/bin/chromium")
# Neither sandbox nor graphics card, as containers have none, and no connection to anywhere but the viewer.
_SWITCHES = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
_PATIENCE_S = 30.0


class RunningViewer:
    """``cekworld view`` as a process.

    Attributes:
        address: where it serves.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        line = process.stdout.readline()
        if "http" not in line:
            raise CEKWorldError("The viewer did not start; its messages say why.")
        self.address = line.split()[-1]

    def processes(self, command: str) -> list[psutil.Process]:
        """Processes below the viewer whose command line ends with a word."""
        children = psutil.Process(self._process.pid).children(recursive=True)
        return [one for one in children if one.is_running() and one.cmdline()[-1:] == [command]]


@contextmanager
def running_viewer(arguments: Sequence[str]) -> Iterator[RunningViewer]:
    """Starts ``cekworld view`` on a free port, and stops it as Ctrl-C does."""
    command = [sys.executable, "-m", "CEKWorldLib", "view", "--no-browser", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield RunningViewer(process)
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def running_browser() -> Iterator[Any]:
    """Starts Chromium without a window; gives Playwright's browser.

    Raises:
        CEKWorldError: Chromium or Playwright is not installed.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise CEKWorldError("Playwright is not installed; run: pip install playwright") from None
    if not _CHROMIUM.is_file():
        raise CEKWorldError(f"There is no {_CHROMIUM}; install the Debian package chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=_SWITCHES)
        try:
            yield browser
        finally:
            browser.close()
