"""The private temporary folder through which voxels go: the exam and masks to the worker, frames back from it."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from CEKWorldLib.errors import CEKWorldError, OutOfMemory
from CEKWorldLib.worker.volume_file import VolumeFile

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
        try:
            values.tofile(self.file(name))
        except OSError as error:
            self.discard(name)
            raise self._full(values.nbytes, error) from error

    def append(self, name: str, data: bytes) -> None:
        """Adds bytes to a file.

        Raises:
            OutOfMemory: the disk is full; the file is removed.
        """
        path = self.file(name)
        try:
            with path.open("ab") as file:
                file.write(data)
        except OSError as error:
            full = self._full(len(data) + (path.stat().st_size if path.exists() else 0), error)
            self.discard(name)
            raise full from error

    def create_frames(self, name: str, shape: tuple[int, ...], slots: int) -> np.ndarray:
        """Makes a file of frame slots and maps it; (slots, *shape) float32. No slot may be written to before
        ``allocate_frame``.

        Raises:
            OutOfMemory: there is not enough free on the disk.
        """
        self._make(self.file(name), slots * _bytes(shape))
        return self.open_frames(name, shape)

    def allocate_frame(self, name: str, shape: tuple[int, ...], slot: int) -> None:
        """Makes sure that the space of a slot is really there: a full disk would later kill whoever writes to the
        mapping. One slot at a time, as 65 MB in a folder that lies in memory take 30 ms.

        Raises:
            OutOfMemory: the disk is full.
        """
        size = _bytes(shape)
        try:
            with self.file(name).open("r+b") as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), slot * size, size)
        except OSError as error:
            raise self._full(size, error) from error

    def create_exam(self, name: str, shape: tuple[int, ...]) -> VolumeFile:
        """Makes a file for the voxels of an exam, to be filled slice by slice.

        Raises:
            OutOfMemory: there is not enough free on the disk.
        """
        self._make(self.file(name), _bytes(shape))
        return VolumeFile(self.file(name), 0, shape)

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

    def _make(self, path: Path, size: int) -> None:
        """Makes a file of zeros, unless they are more than what is free."""
        try:
            if size > shutil.disk_usage(self.path).free:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            with path.open("wb") as file:
                file.truncate(size)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise self._full(size, error) from error

    def _full(self, size: int, error: OSError) -> OutOfMemory:
        free = shutil.disk_usage(self.path).free
        return OutOfMemory(
            f"The temporary folder {self.path.parent} has {free / 1e6:.0f} MB free, but the images need "
            f"{size / 1e6:.0f} MB ({error.strerror or error}); free some space, or name another folder in TMPDIR.",
            need_bytes=size,
            free_bytes=free,
        )


def _bytes(shape: tuple[int, ...]) -> int:
    return 4 * int(np.prod(shape, dtype=np.int64))
