"""Reads a contrast series: a DICOM folder, ``.seq.nrrd``, MultiVolume NRRD, 4-D NIfTI or a NIfTI file per phase."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.checks import check_geometry
from CEKWorldLib.exam.dicom_files import is_dicom, refuse_series
from CEKWorldLib.exam.dicom_series import find_dicom_series
from CEKWorldLib.exam.found_series import FoundSeries, Progress
from CEKWorldLib.exam.image_files import format_of
from CEKWorldLib.exam.image_series import find_image_series
from CEKWorldLib.exam.phase_files import find_phase_files, phases_beside
from CEKWorldLib.exam.phase_times import PhaseTimes, UnknownTimesError
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.exam.volume import Volume


def read_series(
    path: Path | str,
    times_s: Sequence[float] | np.ndarray | None = None,
    injection_s: float | None = None,
    series: str | int | None = None,
    progress: Progress | None = None,
) -> TimeSeries:
    """Reads volumes over time, with their times and where each came from.

    Args:
        path: a DICOM folder, one DICOM file (its series is taken from its folder), .nrrd, .nhdr, .nii or .nii.gz; of
            phases in files ID_0000.nii.gz, ID_0001.nii.gz, ... any one.
        times_s: seconds after injection start of every phase, in the phases' order, where the file's are missing or
            wrong.
        injection_s: start of the injection in seconds from the first phase, where the file's is missing or wrong.
        series: which series of a DICOM folder: SeriesNumber or the beginning of the SeriesInstanceUID, several
            separated by commas.
        progress: told (step, done, whole); what it raises ends the reading.

    Returns:
        The series; `notes` holds sentences to show.

    Raises:
        UnknownTimesError: the file does not tell its times and none are given.
        CEKWorldError: one sentence on what is wrong with which file, and what to do.
    """
    path = Path(path)
    found = find_series_of(path, series, progress)
    return load_series(found, settled_times(found, path, times_s, injection_s), path, progress)


def load_series(found: FoundSeries, times: PhaseTimes, path: Path, progress: Progress | None = None) -> TimeSeries:
    """Reads the voxels of a found series whose times are settled; errors as those of `read_series`."""
    try:
        frames, grid = found.load(progress)
    except OSError as error:
        raise _unopened(path, error) from error
    except MemoryError as error:
        raise _too_large(path) from error
    return TimeSeries(
        frames=frames,
        times_s=times.times_s,
        grid=grid,
        synthetic=found.synthetic,
        time_sources=times.sources,
        zero_source=times.zero_source,
        series_numbers=found.series_numbers,
        notes=found.notes + times.notes + _checked(frames, grid, path.name),
        source=path,
        acquisition=found.acquisition,
        made_by=found.made_by,
    )


def find_series_of(path: Path, series: str | int | None = None, progress: Progress | None = None) -> FoundSeries:
    """Reads the headers alone; arguments and errors as those of `read_series`."""
    if not path.exists():
        raise CEKWorldError(f"{path} does not exist; check the path.")
    format_name = format_of(path)
    try:
        if path.is_dir() or (format_name is None and path.is_file() and is_dicom(path)):
            wanted = [part.strip() for part in str("" if series is None else series).split(",")]
            return find_dicom_series(path, [part for part in wanted if part], progress)
        if format_name is None or not path.is_file():
            raise CEKWorldError(
                f"{path.name} is not in a format CEKWorld reads; give a DICOM folder, a .seq.nrrd or MultiVolume NRRD "
                "or a 4-D NIfTI file."
            )
        refuse_series(path, series)
        phases = phases_beside(path) if format_name == "NIfTI" else []
        return find_phase_files(phases) if phases else find_image_series(path, format_name)
    except OSError as error:
        raise _unopened(path, error) from error
    except MemoryError as error:
        raise _too_large(path) from error


def settled_times(
    found: FoundSeries, path: Path, times_s: Sequence[float] | np.ndarray | None, injection_s: float | None
) -> PhaseTimes:
    """The times of a found series after what the user said; arguments and errors as those of `read_series`."""
    try:
        return found.times.settled(times_s, injection_s, path.resolve().name)
    except UnknownTimesError as error:
        raise UnknownTimesError(str(error), error.times, found.series_numbers) from error


def _checked(frames: np.ndarray, grid: Volume, name: str) -> tuple[str, ...]:
    """Refuses frames without an image or a place; a note counts voxels that are no numbers."""
    check_geometry(grid, name)
    invalid = frames.size - int(np.count_nonzero(np.isfinite(frames)))
    if invalid == frames.size or frames[0].min() == frames[0].max() == frames.min() == frames.max():
        raise CEKWorldError(f"{name} is constant; there is no image in it.")
    return (f"{invalid} voxels are NaN or infinite; curves leave them out.",) if invalid else ()


def _unopened(path: Path, error: OSError) -> CEKWorldError:
    return CEKWorldError(f"{path.name} cannot be opened ({error.strerror}); check its permissions.")


def _too_large(path: Path) -> CEKWorldError:
    return CEKWorldError(f"{path.name} does not fit into memory; crop it or close other programs.")
