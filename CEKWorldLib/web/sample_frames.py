"""The frames of a synthesis, sample by sample, in files of the session, where they need no memory of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np


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

    def new_sample(self) -> np.ndarray:
        """A file for the next sample, which already has its frames up to arrival."""
        path = self._folder / f"series-{self._run}-{len(self.samples)}.f32"
        frames = np.memmap(path, np.float32, "w+", shape=(len(self.times_s), *self._pre.shape))
        for n, t in enumerate(self.times_s):
            if t <= self.arrival_s:
                frames[n] = self._pre
        return np.asarray(frames)

    def discard(self) -> None:
        """Removes the files; arrays that map them stay valid."""
        for path in self._folder.glob(f"series-{self._run}-*.f32"):
            path.unlink(missing_ok=True)
