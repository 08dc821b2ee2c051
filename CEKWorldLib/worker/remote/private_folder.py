"""The host's folder for what readers look at: it ends with the host, however the host ends."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where what a killed host left stays until somebody clears the temporary files
    fcntl = None  # type: ignore[assignment]

_PREFIX = "cekworld-host-"


@contextmanager
def private_folder(parent: Path | None) -> Iterator[Path]:
    """A new folder that other users cannot read; removed at the end. Those of hosts that were killed are removed first.

    It is locked while it is in use. So a host knows which folders are of none, and systemd-tmpfiles, which clears what
    was not used for ten days, lets it be.

    Args:
        parent: None takes the system's temporary folder.
    """
    parent = Path(tempfile.gettempdir()) if parent is None else parent
    if fcntl is not None:
        for left in parent.glob(f"{_PREFIX}*"):
            with suppress(OSError), _locked(left):  # in use, or another user's
                shutil.rmtree(left, ignore_errors=True)
    with ExitStack() as stack:
        yield _new(parent, stack)


def _new(parent: Path, stack: ExitStack) -> Path:
    """A new folder, locked. A host that starts at the same moment may have removed one before it was: then another."""
    while True:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent)))
        if fcntl is None:
            return folder
        with suppress(BlockingIOError, FileNotFoundError):
            stack.enter_context(_locked(folder))
            if folder.exists():
                return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Raises OSError where another process has locked it. A process that is killed loses its locks."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
