"""Further samples of a synthesis, from other seeds: what is uncertain about the curves and the images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from CEKWorldLib.errors import CEKWorldError


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
        """Begins the next sample; its phases are put in by their times.

        Raises:
            CEKWorldError: the disk is full.
        """
        path = Path(self._folder.name, f"{len(self._samples)}.f32")
        try:
            self._samples.append(np.memmap(path, np.float32, "w+", shape=(len(self.times_s), *self._shape)))
        except OSError as error:
            raise CEKWorldError(
                f"There is no room for another sample in {path.parent.parent} ({error.strerror}); ask for fewer."
            ) from error

    def put(self, time_s: float, voxels: np.ndarray) -> None:
        """Takes a phase of the latest sample."""
        self._samples[-1][self.times_s.index(time_s)] = voxels

    def voxels(self, time_s: float) -> np.ndarray:
        """A phase of the first sample, as ``scene.region_curves`` reads frames."""
        return self._samples[0][self.times_s.index(time_s)]

    def enhancement_spread(self) -> np.ndarray:
        """(slices, rows, columns) standard deviation over the samples, in signal units, largest over the phases."""
        largest = np.zeros(self._shape, np.float32)
        for phase in range(len(self.times_s)):
            np.maximum(largest, np.std([sample[phase] for sample in self._samples], axis=0, ddof=1), out=largest)
        return largest

    def close(self) -> None:
        """Removes the samples."""
        self._samples.clear()
        self._folder.cleanup()
