"""Reads an exam from an NRRD or NIfTI file or a DICOM folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.checks import check_size, check_volume, contrast_warnings
from CEKWorldLib.exam.dicom_files import is_dicom, refuse_series
from CEKWorldLib.exam.dicom_reading import read_dicom
from CEKWorldLib.exam.exam import Exam
from CEKWorldLib.exam.image_files import format_of, read_header, read_voxels
from CEKWorldLib.exam.protocol import Acquisition, Anatomy
from CEKWorldLib.exam.volume import Volume


def read_exam(path: Path | str, anatomy: Anatomy | None = None, series: str | int | None = None) -> Exam:
    """Reads a pre-contrast volume and checks it.

    Args:
        path: .nrrd, .nhdr, .nii, .nii.gz, a DICOM folder, or one DICOM file (its series is taken from its folder).
        anatomy: the body region, when known.
        series: which series of a DICOM folder: SeriesNumber, or the beginning of the SeriesInstanceUID.

    Returns:
        The exam; `warnings` holds sentences to show.

    Raises:
        CEKWorldError: one sentence on what is wrong with which file, and what to do.
    """
    path = Path(path)
    if not path.exists():
        raise CEKWorldError(f"{path} does not exist; check the path.")
    format_name = format_of(path)
    try:
        if path.is_dir() or (format_name is None and path.is_file() and is_dicom(path)):
            volume, acquisition, notes = read_dicom(path, series)
        elif format_name is None or not path.is_file():
            raise CEKWorldError(
                f"{path.name} is not in a format CEKWorld reads; give an NRRD (.nrrd, .nhdr) or NIfTI (.nii, .nii.gz) "
                "file or a DICOM folder."
            )
        else:
            refuse_series(path, series)
            volume = _read_image(path, format_name)
            check_volume(volume, path.name)
            acquisition, notes = Acquisition(), contrast_warnings(volume, (path.name,))
    except OSError as error:
        raise CEKWorldError(f"{path.name} cannot be opened ({error.strerror}); check its permissions.") from error
    except MemoryError as error:
        raise CEKWorldError(f"{path.name} does not fit into memory; crop it or close other programs.") from error
    return Exam(pre=volume, acquisition=acquisition, anatomy=anatomy, source=path, warnings=notes)


def _read_image(path: Path, format_name: str) -> Volume:
    """Reads a 2-D or 3-D scalar image; the header is judged before memory is asked for."""
    reader = read_header(path, format_name)
    _check_header(reader, path.name)
    image = read_voxels(reader, path, format_name)
    if image.GetDimension() == 2:
        image = sitk.JoinSeries(image)
    while image.GetDimension() > 3:
        image = image[..., 0]
    return Volume.from_image(image)


def _check_header(reader: sitk.ImageFileReader, name: str) -> None:
    size = reader.GetSize()
    frames = int(np.prod(size[3:], dtype=np.int64))
    components = reader.GetNumberOfComponents()
    if frames > 1:
        raise CEKWorldError(f"{name} is 4-D ({frames} volumes); save the pre-contrast volume alone and choose that.")
    if components > 1 and "MultiVolume.NumberOfFrames" in reader.GetMetaDataKeys():
        raise CEKWorldError(f"{name} is a series of {components} volumes; save the pre-contrast volume alone.")
    if components > 1:
        raise CEKWorldError(f"{name} holds vectors, colours or the like, not one intensity per voxel; save a volume.")
    check_size(size[::-1], name)
