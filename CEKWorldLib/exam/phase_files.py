"""One contrast series in several NIfTI files, one for each phase: ``ID_0000.nii.gz``, ``ID_0001.nii.gz``, ...

So MAMA-MIA (Garrucho et al., Scientific Data 2025) and other sets in nnU-Net's manner keep them; 0 is the pre-contrast
phase, and the number may have any width.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.checks import check_series_size
from CEKWorldLib.exam.found_series import FoundSeries, Progress
from CEKWorldLib.exam.image_files import read_header, read_voxels
from CEKWorldLib.exam.phase_times import PhaseTimes
from CEKWorldLib.exam.volume import Volume

_NUMBERED = re.compile(r"(?P<exam>.+)_(?P<phase>\d{1,4})\.nii(?:\.gz)?", re.IGNORECASE)
_SAME_GRID = 1e-3  # mm, and of direction cosines: headers round differently


def phase_sets(files: Iterable[Path]) -> dict[str, list[Path]]:
    """Sorts the files of one folder into exams by name.

    Returns:
        Per exam its files in the order of phases, for exams that have at least the phases 0 and 1.
    """
    found: dict[str, dict[int, Path]] = {}
    for file in files:
        if match := _NUMBERED.fullmatch(file.name):
            found.setdefault(match["exam"], {})[int(match["phase"])] = file
    return {exam: [phases[n] for n in sorted(phases)] for exam, phases in found.items() if {0, 1} <= set(phases)}


def phases_beside(path: Path) -> list[Path]:
    """All phases of the exam that a file is one of; empty where it is none."""
    match = _NUMBERED.fullmatch(path.name)
    return phase_sets(path.parent.iterdir()).get(match["exam"], []) if match else []


def find_phase_files(files: Sequence[Path]) -> FoundSeries:
    """Reads the headers of phases that lie in files of their own.

    Raises:
        CEKWorldError: damaged, not scalar 3-D volumes, or not all on one grid.
    """
    readers = [read_header(file, "NIfTI") for file in files]
    for file, reader in zip(files, readers, strict=True):
        if reader.GetDimension() != 3 or reader.GetNumberOfComponents() != 1:
            raise CEKWorldError(f"{file.name} is not one scalar volume; give each phase as a 3-D file of its own.")
        if difference := _difference(readers[0], reader):
            raise CEKWorldError(
                f"{file.name} differs from {files[0].name} in {difference}, so they are no phases of one scan; "
                "resample them to one grid."
            )
    columns, rows, slices = readers[0].GetSize()
    shape = (len(files), slices, rows, columns)
    check_series_size(shape, files[0].name)

    def load(progress: Progress | None) -> tuple[np.ndarray, Volume]:
        frames = np.empty(shape, np.float32)
        for index, (file, reader) in enumerate(zip(files, readers, strict=True)):
            if progress:
                progress("pixels", index, len(files))
            image = read_voxels(reader, file, "NIfTI")
            frames[index] = sitk.GetArrayViewFromImage(image)
        return frames, Volume.from_image(image).like(frames[0])

    return FoundSeries(times=PhaseTimes.unknown(len(files), "NIfTI files hold none"), shape=shape, load=load)


def _difference(first: sitk.ImageFileReader, other: sitk.ImageFileReader) -> str:
    """What keeps two files from one grid; empty where nothing does."""
    if first.GetSize() != other.GetSize():
        return "size"
    for name, read in (("spacing", "GetSpacing"), ("position", "GetOrigin"), ("direction", "GetDirection")):
        if not np.allclose(getattr(first, read)(), getattr(other, read)(), rtol=0, atol=_SAME_GRID):
            return name
    return ""
