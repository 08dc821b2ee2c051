"""Opens NRRD and NIfTI files through SimpleITK; damaged ones are refused by name."""

from __future__ import annotations

import gzip
import itertools
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import SimpleITK as sitk

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.itk_names import itk_name

_FORMATS = {".nrrd": "NRRD", ".nhdr": "NRRD", ".nii": "NIfTI", ".nii.gz": "NIfTI"}
_READERS = {"NRRD": "NrrdImageIO", "NIfTI": "NiftiImageIO"}
_DATA_FILE = re.compile(r"data ?file\s*:(.*)", re.IGNORECASE)
_NIFTI_2_HEADER = 540  # bytes; that of NIfTI-1 has 348
_PIECE = 1 << 24  # bytes read at a time
_COMPLEX = (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64)


def format_of(path: Path) -> str | None:
    """The format a file's name stands for; None for names of other kinds."""
    return next((name for suffix, name in _FORMATS.items() if path.name.lower().endswith(suffix)), None)


def data_files(path: Path) -> list[str]:
    """What an NRRD header names as the files of its voxels, as written; nothing where they follow the header.

    Raises:
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        if file.read(4) != b"NRRD":
            return []
        names: list[str] = []
        until_blank = itertools.takewhile(lambda line: line.strip(b"\r\n"), file)
        header = iter(_lines(b"".join(until_blank)))
        for line in header:
            if found := _DATA_FILE.match(line):
                names.append(found[1].strip())
                if names[-1].startswith("LIST"):  # of names, one in each line to the end of the file
                    names += [name for name in (*header, *_lines(file.read())) if name]
        return names


def read_header(path: Path, format_name: str) -> sitk.ImageFileReader:
    """Opens a file without its voxels.

    Args:
        path: the file.
        format_name: what `format_of` says.

    Raises:
        CEKWorldError: empty, damaged, without one number per voxel, with voxels outside of its folder, or with a name
            that is not UTF-8.
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        if not file.read(1):
            raise CEKWorldError(f"{path.name} is an empty file; save or copy it again.")
    if any(_leads_out(name) for name in data_files(path)):
        raise CEKWorldError(
            f"{path.name} keeps its voxels in a file outside of its folder; save it as one .nrrd file, or with the "
            "data beside it."
        )
    reader = sitk.ImageFileReader()
    reader.SetImageIO(_READERS[format_name])  # else the content chooses, and other formats refer to files as well
    reader.SetFileName(itk_name(path))
    with _refusing_damage(path, format_name):
        if format_name == "NIfTI" and _is_nifti_2(path):
            raise CEKWorldError(f"{path.name} is NIfTI-2, which few programs read; save it as NIfTI-1 or NRRD.")
        reader.ReadImageInformation()
        if reader.GetPixelID() in _COMPLEX:
            raise CEKWorldError(f"{path.name} holds complex numbers, not intensities; save a magnitude volume.")
    return reader


def read_metadata(reader: sitk.ImageFileReader, path: Path, format_name: str) -> dict[str, str]:
    """Key-value pairs and other header fields of what `read_header` opened, as text.

    Raises:
        CEKWorldError: they are no text.
    """
    with _refusing_damage(path, format_name):
        try:
            return {key: reader.GetMetaData(key).strip() for key in reader.GetMetaDataKeys()}
        except TypeError as error:  # SimpleITK's answer to keys that are not UTF-8
            raise ValueError("a key of the header is no text") from error


def read_voxels(reader: sitk.ImageFileReader, path: Path, format_name: str) -> sitk.Image:
    """Reads what `read_header`, or a reader of another format, opened; its size is to be judged before.

    Raises:
        CEKWorldError: damaged or truncated.
    """
    with _refusing_damage(path, format_name):
        if format_name != "NIfTI":
            return reader.Execute()
        _check_length(reader, path)
        image, intercept = reader.Execute(), float(reader.GetMetaData("scl_inter"))
        # A slope of 0 says that nothing is scaled (nifti1.h); ITK adds the intercept all the same.
        return _lowered(image, intercept) if intercept and not float(reader.GetMetaData("scl_slope")) else image


def _lowered(image: sitk.Image, by: float) -> sitk.Image:
    voxels = sitk.GetArrayViewFromImage(image)  # SimpleITK has no arithmetic in four dimensions
    lowered = sitk.GetImageFromArray(voxels - voxels.dtype.type(by), isVector=image.GetNumberOfComponentsPerPixel() > 1)
    lowered.CopyInformation(image)
    return lowered


def _lines(content: bytes) -> list[str]:
    """Lines as NrrdIO counts them: a carriage return alone ends one, too."""
    return content.replace(b"\r", b"\n").decode("latin-1").split("\n")


def _leads_out(name: str) -> bool:
    """Whether a file's name is absolute or climbs out of its folder, on any system."""
    first, *others = re.split(r"[/\\]", name)
    return not first or ":" in first or ".." in (first, *others)


@contextmanager
def _refusing_damage(path: Path, format_name: str) -> Iterator[None]:
    loud = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # ITK's warnings quote the path, and a path may name a patient
    try:
        yield
    # SimpleITK has no finer kinds than RuntimeError, and its text is a stack of C++ addresses.
    except (RuntimeError, ValueError, OverflowError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        if "orthonormal" in str(error):  # a sheared sform, as affine registration writes
            raise CEKWorldError(
                f"{path.name} has axes that are not at right angles; resample it to a rectangular grid and try again."
            ) from error
        raise CEKWorldError(
            f"{path.name} cannot be read as {format_name}: it is damaged or truncated; save or copy it again."
        ) from error
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(loud)


def _unpacked(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path)) if compressed else path.open("rb")


def _is_nifti_2(path: Path) -> bool:
    with _unpacked(path) as stream:
        size = stream.read(4)  # of the header, in the byte order of the file
    return _NIFTI_2_HEADER in (int.from_bytes(size, "little"), int.from_bytes(size, "big"))


def _check_length(reader: sitk.ImageFileReader, path: Path) -> None:
    """Raises EOFError where voxels are missing; ITK would silently fill what a truncated NIfTI file lacks."""
    start = int(float(reader.GetMetaData("vox_offset")))
    missing = start + int(np.prod(reader.GetSize(), dtype=np.int64)) * int(reader.GetMetaData("bitpix")) // 8
    with _unpacked(path) as stream:
        while missing > 0:
            piece = stream.read(min(missing, _PIECE))
            if not piece:
                raise EOFError(f"{missing} bytes of voxels are missing")
            missing -= len(piece)
