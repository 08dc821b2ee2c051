"""The archive a data set is made of: found whole, told apart, changed or locked while others work in it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from exam_archive import CANARY, frames, write_one_series, write_phase_files

from CEKWorldLib.dataset import building
from CEKWorldLib.dataset.archive import Found, find_exams
from CEKWorldLib.dataset.building import Plan, build, private_folder
from CEKWorldLib.dataset.cache import open_exams
from CEKWorldLib.dataset.preparing import Settings
from CEKWorldLib.dataset.timing import TimingRules, read_table
from CEKWorldLib.errors import CEKWorldError

PLAN = Plan(settings=Settings(registration=False), rules=TimingRules(first_post_s=90.0), anatomy="breast")


@pytest.mark.parametrize("opens", ["scandir", "open"])  # a mode of 000 does not stop root, who runs tests in containers
def test_exams_that_may_not_be_read_are_not_taken_for_withdrawn(tmp_path, monkeypatch, opens):
    for name in ("a", "b"):
        write_one_series(tmp_path / "archive" / name, name, frames())
    build(tmp_path / "archive", tmp_path / "out", PLAN)
    holder = os if opens == "scandir" else Path
    real = getattr(holder, opens)

    def locked(path, *args, **options):
        if "/archive/b" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **options)

    monkeypatch.setattr(holder, opens, locked)
    with pytest.raises(CEKWorldError, match="archive/b.*Permission denied"):
        build(tmp_path / "archive", tmp_path / "out", PLAN)
    assert len(open_exams(tmp_path / "out")) == 2


def test_folders_that_links_lead_to_are_searched_each_once(tmp_path):
    archive, store = tmp_path / "a", tmp_path / "store"
    for name in ("1", "2"):
        write_one_series(store / name, f"p{name}", frames(int(name)))
    write_phase_files(archive / "own", "X", frames(3))
    for link, target in {"1": store / "1", "all": store, "0": archive / "own", "up": tmp_path}.items():
        (archive / link).symlink_to(target)
    (store / "round").symlink_to(store)
    assert [found.path.relative_to(archive).as_posix() for found in find_exams(archive)] == [
        "1",
        "all/2",
        "own/X_0000.nii.gz",
    ]


def test_an_exam_whose_file_goes_away_is_rejected_and_the_others_are_made(tmp_path, monkeypatch):
    for name in ("a", "b"):
        write_one_series(tmp_path / "archive" / name, name, frames())

    real = Found.files

    def listed_before(found):
        return [*real(found), found.path / "gone.dcm"] if found.path.name == "a" else real(found)

    monkeypatch.setattr(Found, "files", listed_before)
    outcomes = build(tmp_path / "archive", tmp_path / "out", PLAN)
    assert {o.status: o.reason for o in outcomes} == {"accepted": "", "rejected": building.VANISHED}
    assert "gone.dcm: No such file" in (private_folder(tmp_path / "out") / "sources.csv").read_text()


def write_nifti(path, phases, **sidecar):
    """A 4-D file, and its BIDS sidecar ``name.json``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.JoinSeries([sitk.GetImageFromArray(phase.astype(np.float32)) for phase in phases])
    image.SetSpacing((2.7, 2.7, 4.0, 1.0))
    sitk.WriteImage(image, str(path))
    path.with_name(path.name.removesuffix(".nii.gz") + ".json").write_text(json.dumps(sidecar))


def test_the_name_of_a_sidecar_is_not_in_the_cache(tmp_path):
    write_nifti(tmp_path / "a" / f"{CANARY}_4.nii.gz", frames(), VolumeTiming=[0, 120, 240, 360])
    (outcome,) = build(tmp_path / "a", tmp_path / "out", PLAN)
    (exam,) = open_exams(tmp_path / "out")
    assert outcome.status == "accepted" and exam.record.time_source == "VolumeTiming of the sidecar"
    texts = [path.read_text() for path in (tmp_path / "out").rglob("*") if path.suffix in (".json", ".csv")]
    assert len(texts) == 4 and CANARY not in "".join(texts)


def test_files_whose_names_differ_after_a_dot_are_different_exams(tmp_path):
    for number in (1, 2):
        name = f"1.2.840.113619.2.{number}.nii.gz"
        write_nifti(tmp_path / "a" / "p" / name, frames(number), VolumeTiming=[0, 120, 240, 360])
    outcomes = build(tmp_path / "a", tmp_path / "out", PLAN)
    assert [outcome.status for outcome in outcomes] == ["accepted"] * 2
    first, second = (exam.record for exam in open_exams(tmp_path / "out"))
    assert first.patient == second.patient and first.name != second.name


def test_exams_that_cannot_be_told_apart_are_rejected_even_where_one_is_in_the_cache(tmp_path):
    file = tmp_path / "a" / "p" / "x.nii.gz"
    write_nifti(file, frames(), VolumeTiming=[0, 120, 240, 360])
    (outcome,) = build(tmp_path / "a", tmp_path / "out", PLAN)
    assert outcome.status == "accepted"
    sitk.WriteImage(sitk.ReadImage(str(file)), str(file.with_name("x.nii")))
    outcomes = build(tmp_path / "a", tmp_path / "out", PLAN)
    assert [outcome.reason for outcome in outcomes] == [building.SAME_NAME] * 2
    assert open_exams(tmp_path / "out") == []


def test_corrected_times_and_exchanged_files_make_an_exam_anew(tmp_path):
    """All of them without a change in size."""

    def record():
        build(tmp_path / "a", tmp_path / "out", PLAN)
        (exam,) = open_exams(tmp_path / "out")
        return exam.record

    file = tmp_path / "a" / "p" / "x.nii.gz"
    write_nifti(file, frames(), VolumeTiming=[0, 120, 240, 360])
    assert record().times_s == (90.0, 210.0, 330.0)
    sidecar = file.with_name("x.json")
    sidecar.write_text(sidecar.read_text().replace("240", "250"))
    assert record().times_s == (90.0, 220.0, 330.0)
    times = file.with_name("times.csv")
    times.write_text("-30\n80\n200\n320\n")
    before = record()
    assert before.times_s == (80.0, 200.0, 320.0)
    assert record() == before
    status = times.stat()
    times.write_text("-30\n70\n200\n320\n")
    os.utime(times, ns=(status.st_atime_ns, status.st_mtime_ns))
    before = record()
    assert before.times_s == (70.0, 200.0, 320.0)
    os.utime(file, ns=(0, 0))
    assert record().origin != before.origin


def test_an_archive_without_exams_and_a_table_without_columns_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CEKWorldError, match="no contrast series"):
        build(tmp_path / "empty", tmp_path / "out", PLAN)
    (tmp_path / "t.csv").write_text("name,age\nX,3\n")
    with pytest.raises(CEKWorldError, match="column patient_id"):
        read_table(tmp_path / "t.csv")
    (tmp_path / "u.csv").write_text("patient_id,acquisition_times\nX,soon\n")
    with pytest.raises(CEKWorldError, match="line 2"):
        read_table(tmp_path / "u.csv")
