"""How the worker is started inside Slicer: program, arguments, environment."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import CEKWorldLib
from CEKWorldLib.worker.command import NICENESS_VARIABLE

_NICENESS = "10"  # where cores are short the model gets a tenth of Slicer's weight
LIBRARY = Path(CEKWorldLib.__file__).parents[1]


def python_program() -> str:
    """Slicer's Python, else the one that runs. ``PythonSlicer`` is on the path inside Slicer.

    There ``sys.executable`` is no interpreter that could be relied on: it may be the application itself.
    """
    return shutil.which("PythonSlicer") or sys.executable


def worker_environment(own: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables to set for the worker, besides those it inherits.

    The library must be found in the worker too, and stays ahead of a CEKWorld that pip may have installed.
    """
    paths = [str(LIBRARY), *filter(None, own.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "PYTHONUNBUFFERED": "1",
        NICENESS_VARIABLE: own.get(NICENESS_VARIABLE, _NICENESS),
    }
