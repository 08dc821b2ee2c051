"""Further samples of a synthesis, from other seeds: what is uncertain about the curves and the images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from CEKWorldLib.worker.volume_file import VolumeFile


class SampleStore:
    """Series of equal phases, mapped from a private temporary folder: five samples of 320x320x160 at 16 times are 5 GB.

    Args:
        times_s: phases of every sample.
        shape: (slices, rows, columns) of a phase.
    """

    def __init__(self, times_s: Sequence[float], shape: tuple[int, ...]) -> None:
        self._times_s = tuple(times_s)
        self._shape = shape
        self._folder = TemporaryDirectory(prefix="cekworld-samples-")
        self._samples: list[np.ndarray] = []

    @property
    def times_s(self) -> tuple[float, ...]:
        return self._times_s

    @property
    def samples(self) -> list[np.ndarray]:
        """Each (T, slices, rows, columns) float32, in the order they were begun."""
        return list(self._samples)

    def begin(self) -> None:
        """Begins the next sample; its phases are written to ``room``."""
        path, shape = self._path(len(self._samples)), (len(self.times_s), *self._shape)
        with path.open("wb") as file:
            file.truncate(4 * int(np.prod(shape, dtype=np.int64)))
        self._samples.append(np.memmap(path, np.float32, "r", shape=shape))

    def room(self, time_s: float) -> VolumeFile:
        """Where a phase of the latest sample goes."""
        phase = self.times_s.index(time_s)
        return VolumeFile(self._path(len(self._samples) - 1), phase * self._samples[-1][phase].nbytes, self._shape)

    def voxels(self, time_s: float) -> np.ndarray:
        """A phase of the first sample, as ``scene.region_curves`` reads frames."""
        return self._samples[0][self.times_s.index(time_s)]

    def enhancement_spread(self, progress: Callable[[int, int], None]) -> np.ndarray:
        """(slices, rows, columns) standard deviation over the samples, in signal units, largest over the phases.

        Args:
            progress: told how many phases of how many are done; may raise to stop.
        """
        largest = np.zeros(self._shape, np.float32)
        for phase in range(len(self.times_s)):
            progress(phase, len(self.times_s))
            np.maximum(largest, np.std([sample[phase] for sample in self._samples], axis=0, ddof=1), out=largest)
        return largest

    def close(self) -> None:
        """Removes the samples."""
        self._samples.clear()
        self._folder.cleanup()

    def _path(self, sample: int) -> Path:
        return Path(self._folder.name, f"{sample}.f32")
