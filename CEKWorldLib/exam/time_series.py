"""A contrast series: volumes of one geometry over time, acquired or synthesized."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from CEKWorldLib.exam.protocol import Acquisition
from CEKWorldLib.exam.volume import Volume

MODEL_FACTS = ("model", "model_sha256", "seed", "anatomy")
"""What a series keeps of the model that made it: name, checksum of the weights, seed, and the anatomy it was told."""


@dataclass(frozen=True)
class TimeSeries:
    """Volumes over time, with where each time came from.

    Attributes:
        frames: (T, slices, rows, columns) float32, one signal scale for all times.
        times_s: (T,) float64, ascending; seconds after injection start, so that pre-contrast phases are <= 0.
        grid: geometry of every frame; its voxels are those of the first frame.
        synthetic: whether a model made it, as the file says, or a scanner.
        time_sources: per phase, where its time came from, such as "AcquisitionDateTime".
        zero_source: where time zero came from, such as "ContrastBolusStartTime". Empty where nothing says when the
            injection began: times then count from the first phase, and a note says so.
        series_numbers: per phase its DICOM SeriesNumber; empty for other files.
        notes: sentences to show the user.
        source: the file or folder it was read from.
        acquisition: sequence settings, None where the header is silent.
        made_by: what a synthetic series says of the model that made it, by the names of ``MODEL_FACTS``.
    """

    frames: np.ndarray
    times_s: np.ndarray
    grid: Volume
    synthetic: bool = False
    time_sources: tuple[str, ...] = ()
    zero_source: str = ""
    series_numbers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    source: Path | None = None
    acquisition: Acquisition = field(default_factory=Acquisition)
    made_by: Mapping[str, str] = field(default_factory=dict)

    def volume(self, phase: int) -> Volume:
        """One phase with its geometry."""
        return self.grid.like(self.frames[phase])
