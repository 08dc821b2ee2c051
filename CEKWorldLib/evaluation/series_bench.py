"""Speed of what is done with a series: maps of its curves, and its export as DICOM."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from CEKWorldLib.dicom.marking import Provenance
from CEKWorldLib.dicom.phases import export_phases
from CEKWorldLib.dicom.source import new_study
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.kinetics.maps import maps

_TIMES_S = np.linspace(-30.0, 420.0, 16)
_SHAPE = (64, 256, 256)  # slices, rows, columns


def series_rows() -> dict[str, float]:
    """Seconds for all maps of 16 phases of 64 slices of 256 x 256, and for writing these phases as DICOM."""
    frames = _frames()
    begun = time.perf_counter()
    maps(frames, _TIMES_S)
    mapped = time.perf_counter()
    with TemporaryDirectory(prefix="cekworld-bench-") as folder:
        series = TimeSeries(frames, _TIMES_S, Volume(frames[0]), synthetic=True)
        export_phases(series, new_study("breast"), Provenance.of({}), Path(folder))
        return {"kinetic_maps_s": mapped - begun, "dicom_export_s": time.perf_counter() - mapped}


def _frames() -> np.ndarray:
    """Noisy whole numbers that enhance, each voxel to another degree: (16, 64, 256, 256) float32."""
    rng = np.random.default_rng(0)
    before = rng.integers(100, 1500, _SHAPE).astype(np.float32)
    degree = rng.uniform(0.0, 2.0, _SHAPE).astype(np.float32)
    rise = np.interp(_TIMES_S, [0.0, 90.0, 420.0], [0.0, 1.0, 0.9]).astype(np.float32)
    return np.stack([np.rint(before * (1 + degree * share)) for share in rise])
