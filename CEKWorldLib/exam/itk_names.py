"""File names for SimpleITK, which ends the process at one that is not UTF-8."""

from __future__ import annotations

from pathlib import Path

from CEKWorldLib.errors import CEKWorldError


def itk_name(path: Path) -> str:
    """The name as SimpleITK takes it.

    Python keeps bytes of a name that are not UTF-8 (files unpacked from an old archive) as lone surrogates; handed
    over, they make SimpleITK's C++ side throw past Python and abort.

    Raises:
        CEKWorldError: the name, or that of a folder above, is not UTF-8.
    """
    for part in path.parts:
        try:
            part.encode()
        except UnicodeEncodeError as error:
            shown = part.encode(errors="replace").decode()
            raise CEKWorldError(
                f"{shown} has a name that is not UTF-8 (at each '?'), which the image library cannot open; rename it."
            ) from error
    return str(path)
