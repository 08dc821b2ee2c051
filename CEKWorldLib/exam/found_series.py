"""A time series as it is found in its file, before its voxels are read and its times are settled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from CEKWorldLib.exam.phase_times import PhaseTimes
from CEKWorldLib.exam.protocol import Acquisition
from CEKWorldLib.exam.volume import Volume

# Told the step ("headers" or "pixels"), what is done of it and its whole; what it raises ends the reading.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class FoundSeries:
    """What the headers say.

    Attributes:
        times: of the phases, as far as the file tells.
        shape: (T, slices, rows, columns).
        load: reads frames of that shape, float32, and the geometry they share.
        synthetic: whether the file is marked as made by a model.
        acquisition: sequence settings.
        series_numbers: per phase, for DICOM.
        study: StudyInstanceUID, for DICOM.
        notes: sentences for the user.
        made_by: as in `TimeSeries`.
    """

    times: PhaseTimes
    shape: tuple[int, int, int, int]
    load: Callable[[Progress | None], tuple[np.ndarray, Volume]]
    synthetic: bool = False
    acquisition: Acquisition = field(default_factory=Acquisition)
    series_numbers: tuple[str, ...] = ()
    study: str = ""
    notes: tuple[str, ...] = ()
    made_by: Mapping[str, str] = field(default_factory=dict)
