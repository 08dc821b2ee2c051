"""Finds the DICOM images in a folder and picks MR series. Messages never quote patient data."""

from __future__ import annotations

import io
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.folder_walk import walked

SUFFIXES = (".dcm", ".dicom", ".ima")
MAX_FILES = 20_000  # a study holds hundreds to a few thousand; more means a whole archive was chosen
_LISTED = 20  # series named in one message
# Modalities of images (PS3.3 C.7.3.1.1.1). Other texts are not shown: they may be anything.
_MODALITIES = {
    "CR", "CT", "DX", "ES", "IO", "IVUS", "MG", "MR", "NM", "OCT", "OP", "OPT", "OT", "PT", "PX", "RF", "RG", "RTDOSE",
    "RTIMAGE", "SEG", "SM", "US", "XA", "XC",
}  # fmt: skip


@dataclass(frozen=True)
class Header:
    """The header of one image file.

    Attributes:
        file: where it is.
        data: everything but the pixels.
        series: SeriesInstanceUID.
        number: SeriesNumber as text, "" where missing or no number.
        modality: Modality, "unknown" where missing or none of the standard's.
        multiframe: whether the file holds several images.
    """

    file: Path
    data: Dataset
    series: str
    number: str
    modality: str
    multiframe: bool

    @classmethod
    def of(cls, file: Path, data: Dataset) -> Header:
        modality, number = str(data.get("Modality") or ""), str(data.get("SeriesNumber") or "")
        frames = str(data.get("NumberOfFrames") or 1)
        return cls(
            file=file,
            data=data,
            series=str(data.get("SeriesInstanceUID") or ""),
            number=number if re.fullmatch(r"[+-]?\d{1,12}", number) else "",
            modality=modality if modality in _MODALITIES else "unknown",
            multiframe="PerFrameFunctionalGroupsSequence" in data or frames != "1",
        )


class _BoundedReader(io.BufferedReader):
    """A file that never asks for more memory than it has bytes.

    A damaged element may claim a length of 4 GB, which Python's own readers allocate before they look.
    """

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > io.DEFAULT_BUFFER_SIZE:
            size = min(size, max(0, os.fstat(self.fileno()).st_size - self.tell()))
        return super().read(size)


def is_dicom(path: Path) -> bool:
    """Whether a file carries DICOM's mark, or at least its suffix.

    Raises:
        OSError: the file cannot be opened.
    """
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM" or path.suffix.lower() in SUFFIXES


def refuse_series(path: Path, series: str | int | None) -> None:
    """Refuses the choice of a series where there is none to choose from: in input that is not DICOM.

    Raises:
        CEKWorldError: a series is named.
    """
    if series is not None:
        raise CEKWorldError(f"{path.name} is not DICOM, so it has no series {series} to choose; leave the series out.")


def parse(file: Path, pixels: bool) -> Dataset:
    """Reads a file; one without the 128-byte preamble is given a try when its suffix says DICOM."""
    with _BoundedReader(io.FileIO(file)) as stream:
        try:
            return pydicom.dcmread(stream, stop_before_pixels=not pixels)
        except InvalidDicomError:
            if file.suffix.lower() not in SUFFIXES:
                raise
            stream.seek(0)
            return pydicom.dcmread(stream, stop_before_pixels=not pixels, force=True)


def find_series(path: Path, series: str | int | None = None) -> tuple[list[Header], list[Path]]:
    """Finds the files of one MR series.

    Args:
        path: a folder (searched with its subfolders), or one file: then its series is taken from the same folder.
        series: SeriesNumber or the beginning of the SeriesInstanceUID, where the folder holds several.

    Returns:
        The headers of the series, and the DICOM files that were left out because they could not be parsed.

    Raises:
        CEKWorldError: no images, not MR, several series and none chosen, a damaged or locked file alone.
    """
    headers, damaged = find_images(path)
    return choose_series(headers, path, series), damaged


def find_images(path: Path, progress: Callable[[int, int], None] | None = None) -> tuple[list[Header], list[Path]]:
    """Finds the images of all series, whatever their modality.

    Args:
        path: a folder (searched with its subfolders), or one MR file: then only its series in the same folder counts.
        progress: told the files opened and their number; what it raises ends the search.

    Returns:
        The headers, and the DICOM files that were left out because they could not be parsed.

    Raises:
        CEKWorldError: no images, a damaged or locked file alone.
    """
    if path.is_file():
        return _series_of_file(path, progress)
    files = _files(path)
    headers, damaged = _headers(files, progress)
    if not headers and damaged:
        raise CEKWorldError(f"{damaged[0].name} is damaged or truncated and cannot be read as DICOM; export it again.")
    if not headers:
        raise CEKWorldError(
            f"{_folder(path)} holds no DICOM images, only files like {files[0].name}; choose an MR series."
        )
    return headers, damaged


def by_series(headers: Sequence[Header]) -> dict[str, list[Header]]:
    """Headers sorted by their SeriesInstanceUID."""
    groups: dict[str, list[Header]] = {}
    for header in headers:
        groups.setdefault(header.series, []).append(header)
    return groups


def mr_series(groups: dict[str, list[Header]]) -> dict[str, list[Header]]:
    """The series that hold an MR image."""
    return {uid: group for uid, group in groups.items() if any(header.modality == "MR" for header in group)}


def matching_series(groups: dict[str, list[Header]], wanted: str, name: str) -> dict[str, list[Header]]:
    """The series with a SeriesNumber, else those whose SeriesInstanceUID begins with the text.

    Raises:
        CEKWorldError: there is none.
    """
    if wanted in groups:  # whole, though another UID may begin with it
        return {wanted: groups[wanted]}
    matching = {uid: group for uid, group in groups.items() if group[0].number == wanted}
    if not matching and wanted:
        matching = {uid: group for uid, group in groups.items() if uid.startswith(wanted)}
    if not matching:
        raise CEKWorldError(f"{name} has no series {wanted}; it holds {listing(groups)}.")
    return matching


def _series_of_file(path: Path, progress: Callable[[int, int], None] | None = None) -> tuple[list[Header], list[Path]]:
    own, damaged = _headers([path])
    if damaged:
        raise CEKWorldError(f"{path.name} is damaged or truncated and cannot be read as DICOM; export it again.")
    if not own:
        raise CEKWorldError(f"{path.name} is not a DICOM image; choose a folder with one MR series.")
    refuse_other_modality(own, path.name)
    if own[0].multiframe or not own[0].series:
        return own, []
    beside = sorted(file for file in path.parent.iterdir() if file.is_file() and file != path)
    others, damaged = _headers(beside[:MAX_FILES], progress)
    # The named file first: of several copies of one image, it is the one to read.
    return own + [header for header in others if header.series == own[0].series and not header.multiframe], damaged


def _files(path: Path) -> list[Path]:
    found: list[Path] = []
    for folder, names in walked(path, _refuse_folder):
        # Only regular files: opening a pipe would wait for ever.
        found += [file for file in (folder / name for name in names) if file.is_file()]
        if len(found) > MAX_FILES:
            raise CEKWorldError(f"{_folder(path)} holds more than {MAX_FILES} files; choose the folder of one study.")
    if not found:
        raise CEKWorldError(f"{_folder(path)} is empty; choose the folder that holds the DICOM files.")
    return found


def _refuse_folder(error: OSError) -> None:
    raise CEKWorldError(f"{_folder(Path(error.filename))} cannot be opened; check its permissions.") from error


def _folder(path: Path) -> str:
    return f"The folder {path.resolve().name}"


def _headers(
    files: Sequence[Path], progress: Callable[[int, int], None] | None = None
) -> tuple[list[Header], list[Path]]:
    """Image headers among the files, and the DICOM files that could not be parsed. Other files are passed over."""
    headers: list[Header] = []
    damaged: list[Path] = []
    for index, file in enumerate(files):
        if progress:
            progress(index, len(files))
        try:
            data = parse(file, pixels=False)
            if "Rows" in data and "Columns" in data:
                headers.append(Header.of(file, data))
            elif _is_image_class(data):
                damaged.append(file)
        except PermissionError as error:
            raise CEKWorldError(f"{file.name} cannot be opened; check its permissions.") from error
        except InvalidDicomError:
            continue
        except Exception:  # damaged files raise almost anything from the parser: it is documented for no kind
            damaged.append(file)
    return headers, damaged


def _is_image_class(data: Dataset) -> bool:
    """Whether a file without rows and columns claims to be an image, as one cut off in its header does."""
    meta = getattr(data, "file_meta", None) or {}
    return UID(str(meta.get("MediaStorageSOPClassUID") or data.get("SOPClassUID") or "")).name.endswith("Image Storage")


class SeveralSeries(CEKWorldError):
    """A folder holds several MR series, and none was chosen.

    Attributes:
        series: SeriesInstanceUID of each, and what it is in words.
    """

    def __init__(self, message: str, series: list[tuple[str, str]]) -> None:
        super().__init__(message)
        self.series = series


def choose_series(headers: Sequence[Header], path: Path, series: str | int | None) -> list[Header]:
    """The images of one MR series; arguments and errors as those of `find_series`.

    Args:
        headers: of the folder.
        path: the folder.
        series: see `find_series`.
    """
    name = _folder(path) if path.is_dir() and len(headers) > 1 else headers[0].file.name
    groups = by_series(headers)
    if series is None:
        matching = mr_series(groups)
        if not matching:
            refuse_other_modality(headers, name)
    else:
        matching = matching_series(groups, str(series).strip(), name)
    if len(matching) > 1:
        raise SeveralSeries(
            f"{name} holds several series; choose one by its SeriesNumber or the beginning of its SeriesInstanceUID: "
            f"{listing(matching)}.",
            _described(matching, with_words=True),
        )
    (chosen,) = matching.values()
    refuse_other_modality(chosen, name)
    return chosen


def refuse_other_modality(headers: Sequence[Header], name: str) -> None:
    """Raises CEKWorldError where none of the images is MR."""
    if all(header.modality != "MR" for header in headers):
        found = ", ".join(sorted({header.modality for header in headers}))
        raise CEKWorldError(f"{name} holds images of modality {found}, not MR; CEKWorld needs an MR series.")


def shown_uid(uid: str) -> str:
    """A UID for a message; what is none may be anything, and is not shown."""
    return uid if UID(uid).is_valid else "no valid UID"


def listing(groups: dict[str, list[Header]]) -> str:
    """Series by number, with their size, for a message."""
    shown = [line for _uid, line in _described(groups)]
    return "; ".join(shown[:_LISTED]) + (f"; and {len(shown) - _LISTED} more" if len(shown) > _LISTED else "")


def _described(groups: dict[str, list[Header]], with_words: bool = False) -> list[tuple[str, str]]:
    """SeriesInstanceUID and description of each, by number.

    Args:
        groups: images by series.
        with_words: take in what the scanner's user called it, which is not for messages: they may be kept.
    """
    numbers = Counter(group[0].number for group in groups.values())
    lines = []
    for uid, group in groups.items():
        number, data = group[0].number, group[0].data
        # The UID is shown only where the number does not tell.
        label = f"series {number}" if number and numbers[number] == 1 else f"series {number or '?'} ({shown_uid(uid)})"
        if with_words and data.get("SeriesDescription"):
            label += f" {data.SeriesDescription}"
        files = f"{len(group)} file{'s' if len(group) > 1 else ''}"
        lines.append((number.zfill(9), f"{label}: {group[0].modality}, {files} of {data.Columns} x {data.Rows}", uid))
    return [(uid, line) for _number, line, uid in sorted(lines)]
