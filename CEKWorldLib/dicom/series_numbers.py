"""SeriesNumbers that are still free: viewers and archives list the series of a study by them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import pydicom

from CEKWorldLib.dicom.quiet import quiet
from CEKWorldLib.dicom.source import Source
from CEKWorldLib.dicom.writing import exports_in
from CEKWorldLib.exam.dicom_files import is_dicom

_STEP = 1000  # from one export to the next of the same study: 9001, 10001, 11001, ...


def free_offset(numbers: Collection[int], source: Source, output: Path) -> int:
    """What to add to an export's numbers so that none is taken: not in the source's study, nor by an earlier export.

    Args:
        numbers: the export's own, before the offset.
        source: knows those of its study, as far as they lie in its folder.
        output: folder whose earlier exports are looked through.

    Returns:
        A multiple of 1000.
    """
    study = str(source.common.StudyInstanceUID)
    taken = {
        *source.series_numbers,
        *(number for file in _one_of_each_series(output) for number in _number(file, study)),
    }
    offset = 0
    while any(number + offset in taken for number in numbers):
        offset += _STEP
    return offset


def _one_of_each_series(output: Path) -> Iterable[Path]:
    """Results are one file per series, phases a folder per series."""
    for export in exports_in(output):
        for entry in export.iterdir():
            files = [entry] if entry.is_file() else sorted(entry.glob("*.dcm"))[:1]
            yield from (file for file in files if is_dicom(file))


def _number(file: Path, study: str) -> list[int]:
    with quiet():
        try:
            header = pydicom.dcmread(file, specific_tags=["StudyInstanceUID", "SeriesNumber"], stop_before_pixels=True)
            return [int(header.SeriesNumber)] if header.StudyInstanceUID == study else []
        except Exception:  # damaged since: it then takes no number
            return []
