"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from CEKWorldLib.errors import CEKWorldError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside ``path`` to write to, and renames it to ``path`` at the end.

    Whatever ends the block early, an error or Ctrl-C, removes the temporary file and leaves ``path`` as it was.
    The temporary name keeps the suffix, by which many writers choose their format.

    Raises:
        CEKWorldError: the file cannot be written (disk full, no permission, no such folder).
    """
    temporary = path.with_name(f".{os.getpid()}.partial.{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    except _failures() as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CEKWorldError(f"Cannot write {path}: {reason}. Free some space or choose another folder.") from error
    finally:
        with suppress(OSError):  # where there is no such folder, there is no such file either
            temporary.unlink()


def _failures() -> tuple[type[Exception], ...]:
    """What writing to a full disk raises; safetensors, where it is in use at all, has a kind of its own."""
    safetensors = sys.modules.get("safetensors")
    return (OSError, safetensors.SafetensorError) if safetensors else (OSError,)
