"""The private temporary folder through which voxels go: the exam and masks to the worker, frames back from it."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from CEKWorldLib.errors import CEKWorldError, OutOfMemory

_PREFIX = "cekworld-worker-"


class SharedFolder:
    """Files that client and worker map into memory. The client makes the folder; whoever ends last removes it.

    Args:
        path: a folder that ``create`` made.

    Raises:
        CEKWorldError: a folder of other origin, which must not be removed.
    """

    def __init__(self, path: Path) -> None:
        if not path.name.startswith(_PREFIX):
            raise CEKWorldError(f"{path} is not a folder the worker may use; its name must begin with {_PREFIX}.")
        self.path = path

    @classmethod
    def create(cls, parent: Path | None = None) -> SharedFolder:
        """A new folder that other users cannot read, by default in the system's temporary folder."""
        return cls(Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent)))

    def file(self, name: str) -> Path:
        return self.path / Path(name).name

    def write(self, name: str, values: np.ndarray) -> None:
        """Writes an array for the other side.

        Raises:
            OutOfMemory: the disk is full.
        """
        self._allocate(self.file(name), values.nbytes)
        np.memmap(self.file(name), values.dtype, "r+", shape=values.shape)[...] = values

    def create_frames(self, name: str, shape: tuple[int, ...], slots: int) -> np.ndarray:
        """Makes a file of frame slots and maps it; (slots, *shape) float32.

        Raises:
            OutOfMemory: the disk is full.
        """
        self._allocate(self.file(name), slots * int(np.prod(shape, dtype=np.int64)) * 4)
        return self.open_frames(name, shape)

    def open_frames(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Maps a file of frame slots; (slots, *shape) float32."""
        return np.asarray(np.memmap(self.file(name), np.float32, "r+")).reshape(-1, *shape)

    def read(self, name: str, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
        """A copy of what the other side wrote."""
        return np.fromfile(self.file(name), dtype).reshape(shape)

    def discard(self, name: str) -> None:
        """Removes a file. Arrays that map it stay valid; a system that locks mapped files keeps it until ``remove``."""
        try:
            self.file(name).unlink(missing_ok=True)
        except PermissionError:
            return

    def remove(self) -> None:
        """Removes the folder with everything in it; once it is gone, does nothing."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _allocate(self, path: Path, size: int) -> None:
        """Makes a file whose space is really there: a full disk would later kill whoever writes to the mapping."""
        free = shutil.disk_usage(self.path).free
        try:
            if size > free:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            with path.open("wb") as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    file.truncate(size)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise OutOfMemory(
                f"The temporary folder {self.path.parent} has {free / 1e9:.1f} GB free, but the images need "
                f"{size / 1e9:.1f} GB ({error.strerror}); free some space, or name another folder in TMPDIR.",
                need_bytes=size,
                free_bytes=free,
            ) from error
