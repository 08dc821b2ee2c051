"""Exports appear whole or not at all, and never collide."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from commands import COMMANDS, write_inputs
from dicom_exam import PROVENANCE, TIMES_S, contents, synthesized, write_exam

from CEKWorldLib.cli.main import OK, USER_ERROR, main
from CEKWorldLib.dicom.archive import Sent, write_list
from CEKWorldLib.dicom.phases import export_phases
from CEKWorldLib.dicom.source import read_source
from CEKWorldLib.errors import Cancelled, CEKWorldError
from CEKWorldLib.exam.series_reading import read_series

CANARY = "ZZPHI"


@pytest.fixture(scope="module")
def exam(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exam") / "pre"
    write_exam(folder)
    return folder


def test_exporting_twice_makes_two_folders_and_touches_neither_source_nor_first(exam, tmp_path):
    before = contents(exam)
    first = export_phases(synthesized(exam), read_source(exam), PROVENANCE, tmp_path)
    kept = contents(first.folder)
    second = export_phases(synthesized(exam), read_source(exam), PROVENANCE, tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([first.folder, second.folder])
    assert contents(first.folder) == kept and contents(exam) == before
    assert not set(first.series_uids) & set(second.series_uids)


def test_progress_counts_every_image_and_cancel_leaves_nothing(exam, tmp_path):
    reports: list[tuple[int, int]] = []
    stop = threading.Event()

    def report(done: int, total: int) -> None:
        reports.append((done, total))
        if done == 9:
            stop.set()

    with pytest.raises(Cancelled):
        export_phases(synthesized(exam), read_source(exam), PROVENANCE, tmp_path, report, stop)
    assert reports == [(done, 24) for done in range(1, 10)]
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_leaves_nothing_and_says_so(exam, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(done: int, total: int) -> None:
        if done == 9:  # from here on no file may grow beyond 1 kB: the kernel refuses the write
            resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))

    try:
        with pytest.raises(CEKWorldError, match="Cannot write to .*[Ff]ree some space"):
            export_phases(synthesized(exam), read_source(exam), PROVENANCE, tmp_path, fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_killed_export_shows_no_part_of_it_and_the_next_day_cleans_up(exam, tmp_path):
    series, source = synthesized(exam), read_source(exam)

    def die(done: int, total: int) -> None:
        if done == 9:
            os.kill(os.getpid(), signal.SIGKILL)

    child = multiprocessing.get_context("fork").Process(
        target=export_phases, args=(series, source, PROVENANCE, tmp_path, die)
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".") and left.stat().st_mode & 0o777 == 0o700 and CANARY not in left.name
    os.utime(left, (time.time() - 2 * 24 * 3600,) * 2)
    done = export_phases(series, source, PROVENANCE, tmp_path)
    assert list(tmp_path.iterdir()) == [done.folder]


# The same of every command that writes: each runs in a process of its own, which the kernel stops.


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder)
    return folder


def in_a_process(arguments: list[str], prepare: Callable[[], None]) -> int:
    """The exit code of a command, or minus the signal that ended it."""

    def run() -> None:
        prepare()
        sys.exit(main(arguments))

    child = multiprocessing.get_context("fork").Process(target=run)
    child.start()
    child.join()
    assert child.exitcode is not None
    return child.exitcode


def fill_the_disk() -> None:
    # No file may grow beyond 600 bytes: the kernel refuses the write as a full disk does, with another number.
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))


def die_before_the_result_appears() -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    os.replace = os.rename = die  # what makes a result visible, for every writer


@pytest.mark.parametrize("command", COMMANDS)
def test_on_a_full_disk_a_command_says_so_and_leaves_nothing(command, inputs, tmp_path, capfd):
    assert in_a_process(COMMANDS[command](inputs, tmp_path), fill_the_disk) == USER_ERROR
    said = capfd.readouterr().err
    assert "Cannot write" in said and "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_killed_command_shows_no_result(command, inputs, tmp_path):
    assert in_a_process(COMMANDS[command](inputs, tmp_path), die_before_the_result_appears) == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == []
    assert in_a_process(COMMANDS[command](inputs, tmp_path), lambda: None) == OK  # what is left is in nobody's way


def test_a_list_of_outcomes_is_whole_or_absent(tmp_path):
    sent = [Sent(Path(f"file_{n}.dcm"), f"1.2.{n}", "") for n in range(100)]
    listing = tmp_path / "accepted.csv"

    def write() -> None:
        fill_the_disk()
        with pytest.raises(CEKWorldError, match="Cannot write"):
            write_list(sent, listing)

    child = multiprocessing.get_context("fork").Process(target=write)
    child.start()
    child.join()
    assert child.exitcode == 0 and list(tmp_path.iterdir()) == []


# Numbers by which archives list series.


def numbers(folder: Path) -> set[int]:
    return {int(pydicom.dcmread(file, stop_before_pixels=True).SeriesNumber) for file in folder.rglob("*.dcm")}


def test_a_second_export_takes_series_numbers_that_are_free(exam, tmp_path):
    series, source = synthesized(exam), read_source(exam)
    first, second = (export_phases(series, source, PROVENANCE, tmp_path).folder for _ in range(2))
    assert numbers(first) == {9001, 9002, 9003, 9004} and numbers(second) == {10001, 10002, 10003, 10004}
    other = tmp_path / "other exam"
    write_exam(other, seed=1)
    # Another study has its own numbers.
    assert numbers(export_phases(synthesized(other), read_source(other), PROVENANCE, tmp_path).folder) == numbers(first)


def test_numbers_that_stand_in_the_folder_of_the_source_are_taken(exam, tmp_path):
    shutil.copytree(exam, tmp_path / "study")
    source = read_source(exam)
    first = export_phases(synthesized(exam), source, PROVENANCE, tmp_path / "study").folder
    source = read_source(tmp_path / "study", series=4)
    assert source.series_numbers == {4} | numbers(first)
    assert numbers(export_phases(synthesized(exam), source, PROVENANCE, tmp_path / "out").folder) == {
        10001, 10002, 10003, 10004
    }  # fmt: skip


def test_two_exports_into_one_study_are_two_series_over_time(exam, tmp_path):
    for seed in (7, 8):
        export_phases(synthesized(exam), read_source(exam), replace(PROVENANCE, seed=seed), tmp_path)
    with pytest.raises(CEKWorldError, match="choose the series 9001,9002,9003,9004 or 10001,10002,10003,10004"):
        read_series(tmp_path)
    read = read_series(tmp_path, series="10001,10002,10003,10004")
    assert read.made_by == {"model": PROVENANCE.model, "model_sha256": PROVENANCE.model_sha256, "seed": "8"}
    assert read.times_s.tolist() == list(TIMES_S)
