"""Maps of a volume: every statistic of every voxel."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from CEKWorldLib.errors import Cancelled
from CEKWorldLib.kinetics.curve_type import CurveType
from CEKWorldLib.kinetics.measures import measure
from CEKWorldLib.kinetics.quantities import QUANTITIES
from CEKWorldLib.kinetics.settings import Settings
from CEKWorldLib.kinetics.time_axis import TimeAxis

MAP_NAMES = ("curve_type", "initial_phase", *QUANTITIES)
# A piece of 16 phases is 32768 voxels, 2 MiB of float32. 256x256x64 voxels took 2.1 s in pieces of 8192, 1.8 s of
# 16384, 1.4 s of 32768 and 1.3 s of 65536: small ones spend their time in Python, larger ones leave a core's cache.
_SAMPLES = 16 * 32768
_PIECES_PER_STEP = 8  # between two looks at whether the user has cancelled


def maps(
    frames: np.ndarray,
    times_s: np.ndarray,
    settings: Settings | None = None,
    threads: int | None = None,
    progress: Callable[[float], bool | None] | None = None,
) -> dict[str, np.ndarray]:
    """Computes all maps of a series.

    Args:
        frames: (T, slices, rows, columns) in one signal scale for all times.
        times_s: (T,) seconds after the start of the injection.
        settings: definitions; ``noise_sd`` there blanks the air around the body.
        threads: how many to use; None takes the machine's cores.
        progress: told the share that is done, 0 to 1; True as an answer cancels.

    Returns:
        ``MAP_NAMES`` to (slices, rows, columns): ``curve_type`` and ``initial_phase`` as uint8, with ``curve_type``
        NONE below the enhancement gate, the others float32 with NaN where they are not defined.

    Raises:
        CEKWorldError: times that no curve can have.
        Cancelled: ``progress`` asked for it.
    """
    settings = settings or Settings()
    axis = TimeAxis.of(times_s, settings)
    samples = axis.ordered(np.asarray(frames)).reshape(len(axis.times_s), -1)
    voxels = samples.shape[1]
    flat = {name: np.empty(voxels, np.float32 if name in QUANTITIES else np.uint8) for name in MAP_NAMES}
    axis.area_weights, axis.slope_weights  # noqa: B018  (made here once, not by each thread)
    size = max(1, _SAMPLES // len(samples))

    def fill(start: int) -> None:
        piece = slice(start, start + size)
        values = measure(samples[:, piece].astype(np.float32, copy=False), axis, settings)
        values["curve_type"][values["weak"]] = CurveType.NONE
        for name, target in flat.items():
            target[piece] = values[name]

    workers = threads or os.cpu_count() or 1
    step = size * workers * _PIECES_PER_STEP
    with ThreadPoolExecutor(workers) as pool:
        for first in range(0, voxels, step):
            # list() waits for the pieces, and raises what went wrong in them.
            list(pool.map(fill, range(first, min(first + step, voxels), size)))
            if progress and progress(min(first + step, voxels) / voxels):
                raise Cancelled("Stopped before the maps were complete.")
    shape = np.shape(frames)[1:]
    return {name: values.reshape(shape) for name, values in flat.items()}
