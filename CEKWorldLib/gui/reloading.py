"""Reload for developers."""

from __future__ import annotations

import sys


def forget_library() -> None:
    """Has Python read the library's files again at the next import."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "CEKWorldLib"]:
        del sys.modules[name]
