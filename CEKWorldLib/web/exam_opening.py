"""What the user opens, a pre-contrast volume or a series, read from wherever it lies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.exam import Exam
from CEKWorldLib.exam.protocol import ANATOMIES, Acquisition, Anatomy
from CEKWorldLib.exam.reading import read_exam
from CEKWorldLib.exam.series_reading import find_series_of, read_series
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.scene.provenance import Provenance

_CASE, _CASE_VOLUME = "case.json", "pre.nrrd"  # of a simulated exam
_FEWEST = 2  # phases of a series


@dataclass(frozen=True)
class OpenedExam:
    """What was read.

    Attributes:
        name: shown to the user.
        path: it was read from.
        series: the phases; a single one at 0 s, acquired, where a pre-contrast volume was opened.
        exam: the pre-contrast volume to synthesize from; None where a series was opened.
        provenance: of a series that a model made.
        arrival_s: bolus arrival, where the file says.
        notices: sentences for the user.
    """

    name: str
    path: Path
    series: TimeSeries
    exam: Exam | None
    provenance: Provenance | None
    arrival_s: float | None
    notices: tuple[str, ...]


def open_exam(path: Path, name: str = "", series: str | None = None) -> OpenedExam:
    """Reads a volume, a series, or the folder of a simulated exam.

    Args:
        path: NRRD, NIfTI, ``.seq.nrrd``, or a DICOM folder.
        name: shown to the user; by default the file's or folder's.
        series: SeriesInstanceUID of the one that is meant, where a DICOM folder holds several.

    Raises:
        SeveralSeries: a DICOM folder holds several that may be meant.
        CEKWorldError: one sentence on what is wrong with which file, and what to do.
    """
    if (path / _CASE).is_file():
        path = path / _CASE_VOLUME
    name = name or path.name
    if _phases(path, series) >= _FEWEST:
        phases = read_series(path, series=series)
        return OpenedExam(name, path, phases, None, Provenance.of(phases), None, phases.notes)
    facts = _case_facts(path)
    exam = read_exam(path, facts.anatomy, series)
    if facts.acquisition is not None:
        exam = Exam(exam.pre, facts.acquisition, facts.anatomy, path, exam.warnings)
    return OpenedExam(name, path, _single_phase(exam.pre), exam, None, facts.arrival_s, exam.warnings)


def _phases(path: Path, series: str | None) -> int:
    """How many phases there are; one where it is no series, or what is wrong is for the other reader to say."""
    try:
        return find_series_of(path, series).shape[0]
    except CEKWorldError:
        return 1


def _single_phase(pre: Volume) -> TimeSeries:
    return TimeSeries(pre.voxels[None], np.zeros(1), pre, time_sources=("source",), zero_source="injection")


@dataclass(frozen=True)
class _CaseFacts:
    """What a simulated exam says beside its voxels."""

    anatomy: Anatomy | None = None
    acquisition: Acquisition | None = None
    arrival_s: float | None = None


def _case_facts(volume: Path) -> _CaseFacts:
    path = volume.with_name(_CASE)
    if volume.name != _CASE_VOLUME or not path.is_file():
        return _CaseFacts()
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        anatomy = facts["anatomy"] if facts["anatomy"] in ANATOMIES else None
        return _CaseFacts(anatomy, Acquisition(**facts["acquisition"]), float(facts["injection"]["arrival_s"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CEKWorldError(f"{path.name} beside the volume is damaged; restore it or move the volume.") from error
