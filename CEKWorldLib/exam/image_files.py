"""Opens NRRD and NIfTI files through SimpleITK; damaged ones are refused by name."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from CEKWorldLib.errors import CEKWorldError

_FORMATS = {".nrrd": "NRRD", ".nhdr": "NRRD", ".nii": "NIfTI", ".nii.gz": "NIfTI"}
_PIECE = 1 << 24  # bytes read at a time
_COMPLEX = (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64)


def format_of(path: Path) -> str | None:
    """The format a file's name stands for; None for names of other kinds."""
    return next((name for suffix, name in _FORMATS.items() if path.name.lower().endswith(suffix)), None)


def read_header(path: Path, format_name: str) -> sitk.ImageFileReader:
    """Opens a file without its voxels.

    Args:
        path: the file.
        format_name: what `format_of` says.

    Raises:
        CEKWorldError: empty, damaged, or without one number per voxel.
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        if not file.read(1):
            raise CEKWorldError(f"{path.name} is an empty file; save or copy it again.")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    with _refusing_damage(path, format_name):
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
    """Reads what `read_header` opened; its size is to be judged before.

    Raises:
        CEKWorldError: damaged or truncated.
    """
    with _refusing_damage(path, format_name):
        if format_name == "NIfTI":
            _check_length(reader, path)
        return reader.Execute()


@contextmanager
def _refusing_damage(path: Path, format_name: str) -> Iterator[None]:
    try:
        yield
    # SimpleITK has no finer kinds than RuntimeError, and its text is a stack of C++ addresses.
    except (RuntimeError, ValueError, OverflowError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CEKWorldError(
            f"{path.name} cannot be read as {format_name}: it is damaged or truncated; save or copy it again."
        ) from error


def _check_length(reader: sitk.ImageFileReader, path: Path) -> None:
    """Raises EOFError where voxels are missing; ITK would silently fill what a truncated NIfTI file lacks."""
    start = int(float(reader.GetMetaData("vox_offset")))
    missing = start + int(np.prod(reader.GetSize(), dtype=np.int64)) * int(reader.GetMetaData("bitpix")) // 8
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if compressed else path.open("rb") as stream:
        while missing > 0:
            piece = stream.read(min(missing, _PIECE))
            if not piece:
                raise EOFError(f"{missing} bytes of voxels are missing")
            missing -= len(piece)
