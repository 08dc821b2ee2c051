"""Which of VTK's drawing systems is used: one that needs neither screen nor graphics card."""

from __future__ import annotations

import ctypes
import os
import sys

from CEKWorldLib.errors import CEKWorldError

_CHOICE = "VTK_DEFAULT_OPENGL_WINDOW"
_WINDOWS = {"libEGL.so.1": "vtkEGLRenderWindow", "libOSMesa.so.8": "vtkOSOpenGLRenderWindow"}


def draw_offscreen() -> None:
    """Makes VTK draw without a display; to be called before VTK is imported.

    A choice that the user has made in the environment stays. On Windows and macOS VTK's own choice does.

    Raises:
        CEKWorldError: the system has no library for it; without one VTK would end the process at the first picture.
    """
    if not sys.platform.startswith("linux") or os.environ.get(_CHOICE):
        return
    for library, window in _WINDOWS.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            continue
        os.environ[_CHOICE] = window
        return
    raise CEKWorldError(
        "The viewer draws on this host and finds no OpenGL library for it; install Mesa's EGL (on Debian: libegl1 and "
        "libgl1-mesa-dri)."
    )
