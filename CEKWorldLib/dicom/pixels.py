"""One pixel scale for all phases of a series."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from CEKWorldLib.dicom.marking import code
from CEKWorldLib.errors import CEKWorldError

_LARGEST = 65_535
# Rounding to whole numbers stays below 0.05 % of the range from here on.
_ENOUGH_LEVELS = 1000
_SAMPLED = 200_000  # voxels of a phase that the window is found on
_DARKEST, _BRIGHTEST = 1.0, 99.5  # percentiles


@dataclass(frozen=True)
class PixelScale:
    """Stored value = signal x factor, rounded; the same for every phase, so percent enhancement needs no other number.

    MR Image Storage has no rescale of its own, so the source's signal is stored as it is where whole numbers suit it,
    and multiplied by a power of ten where they do not.

    Attributes:
        factor: stored value per unit of signal.
        window: centre and width in stored values, one for all phases.
        below: voxels of all phases below zero, which are stored as zero.
    """

    factor: float
    window: tuple[float, float]
    below: int

    @classmethod
    def of(cls, frames: np.ndarray) -> PixelScale:
        """Finds the scale of a series.

        Args:
            frames: (T, slices, rows, columns).

        Raises:
            CEKWorldError: values that are not finite.
        """
        highest = max(float(frame.max()) for frame in frames)
        below = sum(int(np.count_nonzero(frame < 0)) for frame in frames)
        if not (math.isfinite(highest) and all(np.isfinite(frame.min()) for frame in frames)):
            raise CEKWorldError("The series holds NaN or infinite voxels; synthesize it again.")
        whole = np.array_equal(frames[0], np.rint(frames[0]))
        factor = 1.0
        if highest > 0 and not (whole and _ENOUGH_LEVELS <= highest <= _LARGEST):
            factor = 10.0 ** math.floor(math.log10(_LARGEST / highest))
        return cls(factor, _window(frames, factor), below)

    def stored(self, voxels: np.ndarray) -> np.ndarray:
        """Signal as uint16."""
        return np.clip(np.rint(voxels * self.factor), 0, _LARGEST).astype("<u2")

    def describe(self, dataset: Dataset) -> None:
        """Writes the pixel attributes that all images share (PS3.3 C.7.6.3, C.11.2), and the factor."""
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 0
        dataset.WindowCenter, dataset.WindowWidth = (f"{value:.6g}" for value in self.window)
        if self.factor != 1.0:
            dataset.RealWorldValueMappingSequence = [self._mapping()]

    def _mapping(self) -> Dataset:
        """How stored values become the source's signal (PS3.3 C.7.6.16.2.11)."""
        item = Dataset()
        item.LUTExplanation, item.LUTLabel = "Signal in the scale of the source", "SIGNAL"
        item.add_new("RealWorldValueFirstValueMapped", "US", 0)
        item.add_new("RealWorldValueLastValueMapped", "US", _LARGEST)
        item.RealWorldValueIntercept, item.RealWorldValueSlope = 0.0, 1.0 / self.factor
        item.MeasurementUnitsCodeSequence = [code("1", "UCUM", "no units")]
        return item


def _window(frames: np.ndarray, factor: float) -> tuple[float, float]:
    """Centre and width that show all phases, from the range of everything above zero."""
    step = max(1, frames[0].size // _SAMPLED)
    sampled = np.concatenate([frame.ravel()[::step] for frame in frames])
    positive = sampled[sampled > 0]
    low, high = np.percentile(positive, (_DARKEST, _BRIGHTEST)) * factor if positive.size else (0.0, 1.0)
    return float(low + high) / 2, max(1.0, float(high - low))
