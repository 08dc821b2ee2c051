"""The frames of a synthesis, sample by sample, in files of the session, where they need no memory of their own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from CEKWorldLib.errors import OutOfMemory


class SampleFrames:
    """Series of one exam, one for each seed, all at the same times.

    Args:
        folder: for the files; whoever gives it removes it.
        run: number of the synthesis, for the files' names.
        times_s: (T,) rising.
        pre: pre-contrast voxels, float32 (slices, rows, columns): the frames up to bolus arrival.
        arrival_s: bolus arrival.

    Attributes:
        times_s, arrival_s: as given.
        samples: complete ones, each (T, slices, rows, columns), mapped.
    """

    def __init__(self, folder: Path, run: int, times_s: tuple[float, ...], pre: np.ndarray, arrival_s: float) -> None:
        self.times_s, self.arrival_s = times_s, arrival_s
        self.samples: list[np.ndarray] = []
        self._folder, self._run, self._pre = folder, run, pre

    @property
    def missing(self) -> list[tuple[int, float]]:
        """Index and time of the frames a model has to make."""
        return [(n, t) for n, t in enumerate(self.times_s) if t > self.arrival_s]

    @contextmanager
    def new_sample(self) -> Iterator[np.ndarray]:
        """Gives the next sample to be filled, which already has its frames up to arrival; what fails leaves no file.

        Raises:
            OutOfMemory: the disk is full.
        """
        path = self._folder / f"series-{self._run}-{len(self.samples)}.f32"
        shape = (len(self.times_s), *self._pre.shape)
        _allocate(path, 4 * int(np.prod(shape, dtype=np.int64)))
        frames = np.asarray(np.memmap(path, np.float32, "r+", shape=shape))
        for n, t in enumerate(self.times_s):
            if t <= self.arrival_s:
                frames[n] = self._pre
        try:
            yield frames
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self.samples.append(frames)

    def discard(self) -> None:
        """Removes the files; arrays that map them stay valid."""
        for path in self._folder.glob(f"series-{self._run}-*.f32"):
            path.unlink(missing_ok=True)


def _allocate(path: Path, size: int) -> None:
    """Makes a file whose space is really there: a full disk would later kill whoever writes to the mapping."""
    try:
        with path.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        path.unlink(missing_ok=True)
        free = shutil.disk_usage(path.parent).free
        raise OutOfMemory(
            f"The frames need {size / 1e9:.1f} GB, and where the viewer runs {free / 1e9:.1f} GB are free "
            f"({error.strerror}); free some space there, or choose fewer times or samples.",
            need_bytes=size,
            free_bytes=free,
        ) from error
