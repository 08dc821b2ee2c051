"""Builds the cache from an archive: exam by exam, in parallel, resumable.

What could name a patient stays outside of the cache, in a folder ``DIR.private`` beside it that only its owner can
read: the key of the hashes, and ``sources.csv``, which says for every exam where it came from and, in the reader's own
words, what was wrong with it.
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import shutil
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.synchronize import Event
from pathlib import Path

import SimpleITK as sitk

from CEKWorldLib.dataset.archive import MIXED, Found, find_exams, stem
from CEKWorldLib.dataset.cache import (
    DESCRIPTION,
    EXAMS,
    VERSION,
    CachedExam,
    ExamRecord,
    read_description,
    write_exam,
)
from CEKWorldLib.dataset.identity import Anonymizer, Fractions
from CEKWorldLib.dataset.preparing import PreparedExam, Settings, prepare_exam
from CEKWorldLib.dataset.report import Outcome, write_report
from CEKWorldLib.dataset.timing import TableRow, TimingRules, timed
from CEKWorldLib.errors import Cancelled, CEKWorldError
from CEKWorldLib.exam.phase_times import PhaseTimes
from CEKWorldLib.exam.protocol import Anatomy, Injection
from CEKWorldLib.exam.series_reading import find_series_of, load_series
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.export.atomic import replacing

SAME_NAME = "Another exam has the same patient and file name; rename one of them, or leave one out."
VANISHED = "A file of it went away while the data set was built; build again once the archive is at rest."
UNREADABLE = "The reader refuses it; sources.csv in the private folder says why."


@dataclass(frozen=True)
class Plan:
    """How to build.

    Attributes:
        settings: how exams are prepared.
        rules: what holds for exams that do not tell their injection.
        table: what a table says of single exams, by the lower case of PatientID, folder or file name.
        fractions: shares of the splits.
        anatomy: of all exams, where known.
        injection: arrival, dose and relaxivity of all exams.
    """

    settings: Settings = field(default_factory=Settings)
    rules: TimingRules = field(default_factory=TimingRules)
    table: dict[str, TableRow] = field(default_factory=dict)
    fractions: Fractions = field(default_factory=Fractions)
    anatomy: Anatomy | None = None
    injection: Injection = field(default_factory=Injection)

    def row(self, found: Found) -> TableRow:
        """What the table says of an exam."""
        path = found.path
        names = (found.patient, found.study, path.name, stem(path))
        return next((self.table[n.lower()] for n in names if n.lower() in self.table), TableRow())


@dataclass(frozen=True)
class Result:
    """An exam's outcome, and the words about it that may name the patient."""

    outcome: Outcome
    source: Path
    words: str


@dataclass(frozen=True)
class _Job:
    """One exam to make; goes to another process."""

    found: Found
    name: str
    patient: str
    anonymizer: Anonymizer
    plan: Plan
    output: Path

    @property
    def folder(self) -> Path:
        return self.output / EXAMS / self.name

    def origin(self) -> str:
        """A hash of the files' sizes and dates, of what times files hold, and of all that was asked for."""
        plan, problem = self.plan, self.found.problem
        asked = (problem, plan.settings, plan.rules, plan.row(self.found), plan.fractions, plan.anatomy, plan.injection)
        place = self.found.path.parent  # an archive that was moved as a whole is the same
        times = self.found.times_files()
        # Times are corrected without a change in size, and are small enough to be read.
        files = [
            (str(file.relative_to(place)), file.read_bytes() if file in times else _size_and_date(file))
            for file in self.found.files()
        ]
        return self.anonymizer.name("origin", repr((files, asked, VERSION)))


def _size_and_date(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


class BuildProgress:
    """What `build` tells of its progress; this one is silent."""

    def looking(self, folders: int) -> None:
        """Told the folders seen so far."""

    def begin(self, exams: int) -> None:
        """Told how many exams there are."""

    def done(self, outcome: Outcome) -> None:
        """Told an exam's outcome."""


def build(
    archive: Path, output: Path, plan: Plan, processes: int = 1, progress: BuildProgress | None = None
) -> list[Outcome]:
    """Builds the cache, or goes on with one; exams that are there and were made alike stay.

    Exams of the cache that the archive no longer holds are removed: a patient who withdraws is gone from both.

    Args:
        archive: searched with all folders below.
        output: the cache.
        plan: how.
        processes: exams made at a time. Each needs memory for its series and three times as much on the model's grid.
        progress: told of it; what it raises ends the build, and finished exams stay.

    Returns:
        What became of every exam, by name.

    Raises:
        CEKWorldError: nothing to build from, or no place to write to.
    """
    progress = progress or BuildProgress()
    _refuse_foreign(output)
    found = find_exams(archive, progress.looking)
    private = private_folder(output)
    anonymizer = Anonymizer.from_file(private / "key")
    _describe(output, plan)
    jobs = _jobs(found, anonymizer, plan, output)
    progress.begin(len(jobs))
    _remove_others(output, jobs)
    results: list[Result] = []
    try:
        for result in _results(jobs, processes):
            results.append(result)
            progress.done(result.outcome)
    finally:
        results.sort(key=lambda result: result.outcome.name)
        write_report(output, [result.outcome for result in results])
        _write_sources(private / "sources.csv", results)
    return [result.outcome for result in results]


def private_folder(output: Path) -> Path:
    """Where the key and the sources of a cache lie."""
    output = output.absolute()
    return output.with_name(f"{output.name}.private")


def _refuse_foreign(output: Path) -> None:
    """What is there must be a data set of ours: exams in it that the archive does not hold are deleted."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    try:
        read_description(output)
    except CEKWorldError as error:
        raise CEKWorldError(
            f"{output} is there and is no data set of this version of CEKWorld. Choose another --output."
        ) from error


def _describe(output: Path, plan: Plan) -> None:
    description = {
        "version": VERSION,
        "splits": asdict(plan.fractions),
        "settings": asdict(plan.settings),
        "rules": asdict(plan.rules),
        "anatomy": plan.anatomy,
        "injection": asdict(plan.injection),
    }
    try:
        (output / EXAMS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CEKWorldError(f"Cannot write to {output}: {error.strerror}. Choose another --output.") from error
    with replacing(output / DESCRIPTION) as path:
        path.write_text(json.dumps(description, indent=1) + "\n")


def _jobs(found: Sequence[Found], anonymizer: Anonymizer, plan: Plan, output: Path) -> list[_Job]:
    """One for each exam; those that would write into one folder are to be rejected."""
    jobs = []
    for exam in found:
        patient = anonymizer.name("patient", exam.patient)
        name = f"{patient}-{anonymizer.name('study', exam.patient, exam.study)[:6]}"
        jobs.append(_Job(exam, name, patient, anonymizer, plan, output))
    count = Counter(job.name for job in jobs)
    return [job if count[job.name] == 1 else replace(job, found=replace(job.found, problem=SAME_NAME)) for job in jobs]


def _remove_others(output: Path, jobs: Sequence[_Job]) -> None:
    names = {job.name for job in jobs}
    for folder in (output / EXAMS).iterdir():
        if folder.name not in names:
            shutil.rmtree(folder, ignore_errors=True)


def _results(jobs: Sequence[_Job], processes: int) -> Iterator[Result]:
    """Results as they come; ends at once, but for the exams in the making, when the caller is interrupted."""
    if processes == 1:
        yield from map(_make, jobs)
        return
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=(stop,))
    try:
        for done in as_completed([pool.submit(_make, job) for job in jobs]):
            yield done.result()
    except BrokenProcessPool as error:
        raise CEKWorldError(
            "A process was ended from outside, mostly for lack of memory. Start again with fewer --processes; finished "
            "exams are kept."
        ) from error
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


_stop: Event | None = None


def _begin(stop: Event) -> None:
    """In a process of its own: one thread each, and the interrupt of the terminal is left to the parent."""
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def _check_stop(*_: object) -> None:
    if _stop is not None and _stop.is_set():
        raise Cancelled("The build was stopped.")


def _make(job: _Job) -> Result:
    """Makes one exam, unless it is there."""
    _check_stop()
    try:
        origin = job.origin()
    except OSError as error:  # an archive takes hours, and others work in it
        return _rejected(job, VANISHED, f"{error.filename}: {error.strerror}.")
    with suppress(CEKWorldError):
        exam = CachedExam.open(job.folder)
        if exam.record.origin == origin:
            return Result(Outcome.of(exam), job.found.path, "")
    try:
        series, times = _read(job)
        prepared = _prepare(series, job)
    except Cancelled:
        raise
    except _Refused as error:
        return _rejected(job, str(error), str(error))
    except CEKWorldError as error:
        return _rejected(job, UNREADABLE, str(error))
    # Outside of the attempt: a full disk is no fault of the exam, and ends the build.
    record = _record(job, origin, series, times, prepared)
    write_exam(job.output / EXAMS, record, prepared.pre, prepared.enhancement)
    return Result(Outcome.of(CachedExam.open(job.folder)), job.found.path, " ".join(series.notes))


class _Refused(CEKWorldError):
    """A reason that names no file and no patient, so that the report may hold it."""


def _read(job: _Job) -> tuple[TimeSeries, PhaseTimes]:
    """Raises _Refused where the times are not known or the study is another; what else it raises may quote names."""
    found, plan = job.found, job.plan
    if found.problem:
        raise _Refused(found.problem)
    row = plan.row(found)
    series = find_series_of(found.path, row.series or None, _check_stop)
    if series.study not in ("", found.study):  # of another patient than the folder's first image, perhaps
        raise _Refused(MIXED)
    try:
        times = timed(series, found.path, row, plan.rules)
    except CEKWorldError as error:
        raise _Refused(str(error)) from error
    return load_series(series, times, found.path, _check_stop), times


def _prepare(series: TimeSeries, job: _Job) -> PreparedExam:
    try:
        return prepare_exam(series, job.plan.settings, _check_stop)
    except Cancelled:
        raise
    except CEKWorldError as error:
        raise _Refused(str(error)) from error


def _record(job: _Job, origin: str, series: TimeSeries, times: PhaseTimes, exam: PreparedExam) -> ExamRecord:
    return ExamRecord(
        name=job.name,
        patient=job.patient,
        split=job.plan.fractions.split(job.patient),
        layout=job.found.layout,
        anatomy=job.plan.anatomy,
        view=exam.view,
        acquisition=series.acquisition,
        injection=job.plan.injection,
        scale=exam.scale,
        times_s=tuple(exam.times_s.tolist()),
        pre_times_s=tuple(exam.pre_times_s.tolist()),
        time_source=times.sources[0],
        zero_source=times.zero_source,
        spacing_mm=exam.spacing_mm,
        slices=exam.slices,
        enhancement=exam.largest_enhancement,
        alignments=exam.alignments,
        notes=exam.notes,
        origin=origin,
    )


def _rejected(job: _Job, reason: str, words: str) -> Result:
    shutil.rmtree(job.folder, ignore_errors=True)  # of an earlier build that was asked for something else
    split = job.plan.fractions.split(job.patient)
    return Result(Outcome(job.name, split, "rejected", job.found.layout, reason), job.found.path, words)


def _write_sources(path: Path, results: Sequence[Result]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        temporary.chmod(0o600)
        writer = csv.writer(file)
        writer.writerow(["exam", "status", "source", "what the reader says"])
        for result in results:
            writer.writerow([result.outcome.name, result.outcome.status, result.source, result.words])
