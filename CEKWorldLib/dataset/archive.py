"""Finds the contrast series in an archive: DICOM studies, NIfTI files by phase, volume sequences.

Nothing is believed of folder names: a DICOM folder belongs to the study its first image names, whatever TCIA, a PACS
export or a hospital calls it. Headers of one image per folder are read, so 900 studies take minutes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pydicom.dataset import Dataset

from CEKWorldLib.dataset.timing import TIMES_FILES
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.bids_sidecar import sidecar_of
from CEKWorldLib.exam.dicom_files import is_dicom, parse
from CEKWorldLib.exam.folder_walk import walked
from CEKWorldLib.exam.image_files import format_of, read_header
from CEKWorldLib.exam.phase_files import phase_sets, phases_beside

_PHASE_FOLDERS = ("images", "imagestr", "imagests")  # hold one folder or set of files for each patient
_SUFFIXES = (".seq.nrrd", ".nrrd", ".nhdr", ".nii.gz", ".nii")
MIXED = "The folder that holds all its images holds another study, too; give each study one folder of its own."
_LOOKED_AT = 20  # files of a folder without an image among them make it no DICOM folder


@dataclass(frozen=True)
class Found:
    """A series that may become an exam.

    Attributes:
        path: what `read_series` takes: a folder, or a file.
        patient: who it is of, as the files say: PatientID, else the name of the patient's folder or file. Never
            written into the cache.
        study: what tells exams of one patient apart; never written either.
        layout: "dicom", "phase files" or "sequence".
        problem: why it cannot be read although it is there; empty where it can.
    """

    path: Path
    patient: str
    study: str
    layout: str
    problem: str = ""

    def files(self) -> list[Path]:
        """What it is read from, `times_files` included."""
        folder = self.path if self.path.is_dir() else self.path.parent
        if self.layout == "dicom":
            every = (place / name for place, names in walked(folder, _refuse_unseen) for name in names)
            return sorted(file for file in every if file.is_file())
        own = phases_beside(self.path) if self.layout == "phase files" else [self.path]
        return own + self.times_files()

    def times_files(self) -> list[Path]:
        """Those that say nothing but times: of the folder, and beside a NIfTI file its sidecar."""
        folder = self.path if self.path.is_dir() else self.path.parent
        files = [folder / name for name in TIMES_FILES]
        if self.layout == "sequence" and format_of(self.path) == "NIfTI":
            files.append(sidecar_of(self.path))
        return [file for file in files if file.is_file()]


def stem(path: Path) -> str:
    """A file's name without the suffix of its format; other dots are part of the name, as those of a UID."""
    suffix = next((suffix for suffix in _SUFFIXES if path.name.lower().endswith(suffix)), "")
    return path.name[: len(path.name) - len(suffix)]


def find_exams(root: Path, progress: Callable[[int], None] | None = None) -> list[Found]:
    """Looks through a folder and all below it, those that links lead to as well.

    Args:
        root: the archive.
        progress: told the number of folders seen; what it raises ends the search.

    Returns:
        By path.

    Raises:
        CEKWorldError: no such folder, nothing in it, or a folder or file in it that may not be read: exams that went
            unseen would be taken for withdrawn.
    """
    if not root.is_dir():
        raise CEKWorldError(f"{root} is no folder; give the folder that holds the exams.")
    found: list[Found] = []
    studies: dict[tuple[str, str], list[Path]] = {}
    for seen, (folder, names) in enumerate(walked(root, _refuse_unseen)):
        if progress:
            progress(seen)
        files = [folder / file for file in names if (folder / file).is_file()]
        found += _image_files(root, files)
        if identity := _dicom_identity(files):
            studies.setdefault(identity, []).append(folder)
    found += _studies(root, studies)
    if not found:
        raise CEKWorldError(
            f"{root} holds no contrast series: neither DICOM images, nor ID_0000.nii.gz beside ID_0001.nii.gz, nor a "
            "NRRD or NIfTI file with several volumes."
        )
    return sorted(found, key=lambda exam: exam.path)


def _image_files(root: Path, files: list[Path]) -> Iterator[Found]:
    images = [file for file in files if format_of(file)]
    sets = phase_sets(images)
    for exam, phases in sets.items():
        yield Found(
            phases[0], exam.upper(), str(phases[0].relative_to(root)), "phase files"
        )  # MAMA-MIA changes the case of its IDs
    taken = {file for phases in sets.values() for file in phases}
    for file in images:
        if file not in taken and _has_phases(file):
            folders = [part for part in file.relative_to(root).parts[:-1] if part.lower() not in _PHASE_FOLDERS]
            name = stem(file)
            yield Found(file, folders[0] if folders else name, "/".join([*folders, name]), "sequence")


def _has_phases(file: Path) -> bool:
    """Whether a file holds several volumes; what cannot be read is left to the reader, which names the fault."""
    try:
        reader = read_header(file, format_of(file) or "")
    except (CEKWorldError, OSError):
        return True
    return reader.GetDimension() > 3 or reader.GetNumberOfComponents() > 1


def _dicom_identity(files: list[Path]) -> tuple[str, str] | None:
    """PatientID and StudyInstanceUID of the first DICOM image; None where there is none among the first files."""
    others = [file for file in files if not format_of(file)]
    data = next(filter(None, map(_image_header, others[:_LOOKED_AT])), None)
    return (str(data.get("PatientID") or "").strip(), str(data.get("StudyInstanceUID") or "")) if data else None


def _refuse_unseen(error: OSError) -> NoReturn:
    raise CEKWorldError(
        f"{error.filename} cannot be opened ({error.strerror}); correct its permissions, or move it out of the archive."
    ) from error


def _image_header(file: Path) -> Dataset | None:
    try:
        data = parse(file, pixels=False) if is_dicom(file) else Dataset()
    except PermissionError as error:
        _refuse_unseen(error)
    except Exception:  # damaged files raise almost anything from the parser: it is documented for no kind
        return None
    return data if "Rows" in data else None


def _studies(root: Path, studies: dict[tuple[str, str], list[Path]]) -> Iterator[Found]:
    for (patient, study), folders in studies.items():
        common = Path(os.path.commonpath(folders))
        foreign = any(
            folder.is_relative_to(common)
            for other, own in studies.items()
            if other != (patient, study)
            for folder in own
        )
        parts = common.relative_to(root).parts
        name = patient or (parts[0] if parts else root.resolve().name)
        yield Found(
            common,
            name,
            study or str(common),
            "dicom",
            MIXED if foreign else "",
        )
