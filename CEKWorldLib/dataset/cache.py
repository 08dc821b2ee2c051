"""The cache on disk: exams on the model's grid, in units of their own intensity scale, of nobody.

DIR/
  dataset.json               what was asked for: splits, rules, registration
  report.csv, report.json    every exam that was found, accepted or rejected, and why
  exams/PATIENT-STUDY/
    exam.json                times and their source, protocol, registration, split
    pre.npy                  (slices, rows, columns) float16: the mean of the pre-contrast phases
    enhancement.npy          (slices, times, rows, columns) float16: each later phase less pre
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from CEKWorldLib.dataset.identity import Split
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.protocol import Acquisition, Anatomy, Injection

VERSION = 1
DESCRIPTION, EXAMS = "dataset.json", "exams"
_SECTIONS = {"version", "splits", "settings", "rules"}  # other tools, nnU-Net for one, have a dataset.json too
_RECORD, _PRE, _ENHANCEMENT = "exam.json", "pre.npy", "enhancement.npy"


@dataclass(frozen=True)
class ExamRecord:
    """What is known of a cached exam. Nothing in it leads to the patient.

    Attributes:
        name: PATIENT-STUDY, keyed hashes.
        patient: keyed hash.
        split: of all exams of the patient.
        layout: the kind of files it came from.
        anatomy, view, acquisition: None where not known.
        injection: arrival, dose and relaxivity; defaults where nothing is known of them.
        scale: the signal that counts as one.
        times_s: of ``enhancement.npy``, seconds after the injection.
        pre_times_s: of the phases whose mean is ``pre.npy``.
        time_source, zero_source: who says when the phases, and when the injection were.
        spacing_mm: of slices, rows and columns on the model grid.
        slices: first and one past the last slice that shows enough body to be trained on.
        enhancement: 99.5th percentile inside the body of the strongest phase, in units of the scale.
        alignments: per phase after the pre-contrast one, as `Alignment`; empty without registration.
        notes: sentences about the images.
        origin: of files and settings; a changed one makes the exam anew.
    """

    name: str
    patient: str
    split: Split
    layout: str
    anatomy: Anatomy | None
    view: str
    acquisition: Acquisition
    injection: Injection
    scale: float
    times_s: tuple[float, ...]
    pre_times_s: tuple[float, ...]
    time_source: str
    zero_source: str
    spacing_mm: tuple[float, float, float]
    slices: tuple[int, int]
    enhancement: float
    alignments: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    origin: str

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ExamRecord:
        """Reads what ``asdict`` gave; KeyError or TypeError where it is not that."""
        entries: dict[str, Any] = {f.name: values[f.name] for f in fields(cls)}
        entries = {key: tuple(value) if isinstance(value, list) else value for key, value in entries.items()}
        entries["acquisition"] = Acquisition(**entries["acquisition"])
        entries["injection"] = Injection(**entries["injection"])
        return cls(**entries)


@dataclass(frozen=True)
class CachedExam:
    """An exam in the cache; arrays are mapped, so that a slice costs the reading of a slice.

    They are mapped anew at every access: a thousand exams held open are more files than a process may have.
    """

    folder: Path
    record: ExamRecord

    @classmethod
    def open(cls, folder: Path) -> CachedExam:
        """Raises CEKWorldError where its record is missing or damaged."""
        try:
            return cls(folder, ExamRecord.from_dict(json.loads((folder / _RECORD).read_text())))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CEKWorldError(f"{folder / _RECORD} is missing or damaged; build the data set again.") from error

    @property
    def pre(self) -> np.ndarray:
        """(slices, rows, columns) float16."""
        return self._array(_PRE)

    @property
    def enhancement(self) -> np.ndarray:
        """(slices, times, rows, columns) float16."""
        return self._array(_ENHANCEMENT)

    def check(self) -> None:
        """Reads everything.

        Raises:
            CEKWorldError: arrays are missing, cut off, of other shapes than the record says, or hold no numbers.
        """
        pre, enhancement = self.pre, self.enhancement
        slices, *plane = pre.shape
        if enhancement.shape != (slices, len(self.record.times_s), *plane):
            raise CEKWorldError(f"{self.folder / _ENHANCEMENT} does not fit its record; build the data set again.")
        for name, array in ((_PRE, pre), (_ENHANCEMENT, enhancement)):
            if not all(np.isfinite(part).all() for part in array):
                raise CEKWorldError(f"{self.folder / name} holds values that are no numbers; build the data set again.")

    def _array(self, name: str) -> np.ndarray:
        try:
            return np.load(self.folder / name, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise CEKWorldError(f"{self.folder / name} is missing or cut off; build the data set again.") from error


def open_exams(folder: Path, split: Split | None = None) -> list[CachedExam]:
    """The exams of a cache, by name.

    Raises:
        CEKWorldError: no cache, or made by another version.
    """
    read_description(folder)
    exams = [CachedExam.open(path.parent) for path in sorted((folder / EXAMS).glob(f"*/{_RECORD}"))]
    return [exam for exam in exams if split in (None, exam.record.split)]


def read_description(folder: Path) -> dict[str, Any]:
    """What the cache was asked for; errors as those of `open_exams`."""
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
    except (OSError, ValueError) as error:
        raise CEKWorldError(f"{folder} is no data set; make one with cekworld dataset build.") from error
    if not isinstance(description, dict) or not description.keys() >= _SECTIONS:
        raise CEKWorldError(
            f"{folder / DESCRIPTION} is of no data set of CEKWorld; make one with cekworld dataset build."
        )
    if description["version"] != VERSION:
        raise CEKWorldError(f"{folder} was built by another version of CEKWorld; build the data set again.")
    return description


def write_exam(exams: Path, record: ExamRecord, pre: np.ndarray, enhancement: np.ndarray) -> None:
    """Writes an exam, whole or not at all; an earlier one of its name is replaced.

    Args:
        exams: the folder ``exams`` of a cache.
        record: of it.
        pre: (slices, rows, columns), in units of the scale.
        enhancement: (slices, times, rows, columns).
    """
    with _staged(exams / record.name) as staging:
        np.save(staging / _PRE, pre.astype(np.float16))
        np.save(staging / _ENHANCEMENT, enhancement.astype(np.float16))
        (staging / _RECORD).write_text(json.dumps(asdict(record), indent=1) + "\n")


@contextmanager
def _staged(target: Path) -> Iterator[Path]:
    staging = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        staging.mkdir(parents=True)
        yield staging
        if target.exists():
            shutil.rmtree(target)
        staging.rename(target)
    except OSError as error:
        raise CEKWorldError(f"Cannot write {target}: {error.strerror}. Free some space.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
