"""Data sets of real exams: every layout, honest times, one scale, nobody's name, resumable."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contrast_phantom import TIMES_S
from dicom_series_writer import clock, write_classic
from exam_archive import CANARY, NOON, frames, table, write_archive, write_one_series, write_phase_files, write_study

from CEKWorldLib.dataset import building
from CEKWorldLib.dataset.building import BuildProgress, Plan, build, private_folder
from CEKWorldLib.dataset.cache import open_exams
from CEKWorldLib.dataset.identity import Anonymizer, Fractions
from CEKWorldLib.dataset.preparing import Settings
from CEKWorldLib.dataset.report import summary
from CEKWorldLib.dataset.timing import TableRow, TimingRules, read_table, timed
from CEKWorldLib.errors import Cancelled, CEKWorldError
from CEKWorldLib.exam.found_series import FoundSeries
from CEKWorldLib.exam.grid import ModelGrid
from CEKWorldLib.exam.intensity import intensity_scale
from CEKWorldLib.exam.phase_times import PhaseTimes
from CEKWorldLib.exam.series_reading import read_series

PLAN = Plan(settings=Settings(registration=False), rules=TimingRules(first_post_s=90.0), anatomy="breast")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("archive") / "all")


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return replace(PLAN, table=read_table(table(tmp_path_factory.mktemp("table") / "clinical.csv")))


@pytest.fixture(scope="module")
def built(archive, plan, tmp_path_factory):
    output = tmp_path_factory.mktemp("built") / "exams"
    return output, build(archive, output, plan)


def by_layout(exams, layout):
    return [exam for exam in exams if exam.record.layout == layout]


def test_every_layout_becomes_an_exam(built):
    output, outcomes = built
    assert [outcome.status for outcome in outcomes] == ["accepted"] * 5, summary(outcomes)
    assert sorted(outcome.layout for outcome in outcomes) == ["dicom"] * 3 + ["phase files", "sequence"]
    for exam in open_exams(output):
        exam.check()
        assert exam.enhancement.shape == (4, 3, 256, 256) and exam.pre.shape == (4, 256, 256)


def test_times_count_from_the_injection_and_say_who_says_so(built):
    exams = open_exams(built[0])
    duke = [exam for exam in by_layout(exams, "dicom") if "assumed" in exam.record.zero_source]
    (header,) = [exam for exam in by_layout(exams, "dicom") if "assumed" not in exam.record.zero_source]
    (mama_mia,), (sequence,) = by_layout(exams, "phase files"), by_layout(exams, "sequence")
    assert len(duke) == 2
    for exam in duke:  # phases 120 s apart; the second is taken to begin at 90 s
        assert exam.record.times_s == (90.0, 210.0, 330.0) and exam.record.pre_times_s == (-30.0,)
        assert exam.record.time_source == "AcquisitionTime"
        assert exam.record.zero_source == "assumed for all: second phase 90 s after the injection"
    assert header.record.times_s == TIMES_S[1:] and header.record.zero_source == "ContrastBolusStartTime"
    assert mama_mia.record.times_s == (90.0, 210.0, 330.0)
    assert mama_mia.record.time_source == "table acquisition_times"
    assert sequence.record.times_s == TIMES_S[1:] and sequence.record.zero_source == "sequence index"


def test_one_scale_holds_for_all_phases(built, archive):
    (exam,) = by_layout(open_exams(built[0]), "sequence")
    series = read_series(archive / "sequences" / f"{CANARY}_003" / "exam.seq.nrrd")
    grid = ModelGrid.of(series.grid)
    phases = [grid.to_model(frame) for frame in series.frames]
    assert exam.record.scale == pytest.approx(intensity_scale(phases[0]), rel=1e-6)
    np.testing.assert_allclose(exam.pre, phases[0] / exam.record.scale, atol=2e-3)
    for time, phase in enumerate(phases[1:]):
        expected = (phase - phases[0]) / exam.record.scale
        np.testing.assert_allclose(exam.enhancement[:, time], expected, atol=4e-3)


def test_the_cache_holds_no_name_of_anybody(built):
    """Neither identities nor folders, dates or UIDs; a name in a file's path counts."""
    output, _ = built
    secrets = [CANARY.encode(), CANARY.lower().encode(), b"1990", b"4711", b"1.2.826", b"A0001", b"archive"]
    files = [path for path in output.rglob("*") if path.is_file() and path.suffix != ".npy"]
    assert len(files) == 3 + 5
    for path in files:
        content = str(path.relative_to(output)).encode() + path.read_bytes()
        content = re.sub(rb"[0-9a-f]{12,}(-[0-9a-f]{6})?", b"", content)  # random names, which may hold any four digits
        assert [secret for secret in secrets if secret in content] == [], path


def test_the_key_and_the_sources_lie_outside_of_the_cache_and_are_the_owners_alone(built):
    private = private_folder(built[0])
    assert private.stat().st_mode & 0o77 == 0
    assert all(path.stat().st_mode & 0o77 == 0 for path in private.iterdir())
    sources = list(csv.DictReader((private / "sources.csv").open()))
    assert {row["exam"] for row in sources} == {exam.record.name for exam in open_exams(built[0])}
    assert sum(CANARY in row["source"] for row in sources) == 4


def test_all_exams_of_a_patient_are_in_one_split(built):
    exams = open_exams(built[0])
    duke = [exam.record for exam in exams if "assumed" in exam.record.zero_source and exam.record.layout == "dicom"]
    assert duke[0].patient == duke[1].patient and duke[0].split == duke[1].split and duke[0].name != duke[1].name
    assert len({exam.record.patient for exam in exams}) == 4


def test_splits_have_the_stated_shares_and_do_not_change_when_others_join():
    key = Anonymizer(bytes(32))
    splits = [Fractions().split(key.name("patient", str(number))) for number in range(4000)]
    assert [splits.count(name) / 4000 for name in ("train", "validation", "test")] == pytest.approx(
        [0.8, 0.1, 0.1], abs=0.02
    )
    assert key.name("patient", "7") == Anonymizer(bytes(32)).name("patient", "7")
    assert key.name("patient", "7") != Anonymizer(bytes(31) + b"k").name("patient", "7")


def test_an_exam_whose_injection_nobody_tells_is_rejected_with_the_way_out(tmp_path):
    write_study(tmp_path / "a", "p", "1", frames())
    (outcome,) = build(tmp_path / "a", tmp_path / "out", replace(PLAN, rules=TimingRules()))
    assert outcome.status == "rejected" and "--first-post" in outcome.reason
    assert open_exams(tmp_path / "out") == []


def test_an_injection_time_that_cannot_be_used_is_rejected_with_the_reason(tmp_path):
    write_one_series(tmp_path / "a", "p", frames(), ContrastBolusStartTime=clock(NOON + 9000.0))
    (outcome,) = build(tmp_path / "a", tmp_path / "out", replace(PLAN, rules=TimingRules()))
    assert "ContrastBolusStartTime lies 151 minutes from the first phase" in outcome.reason
    assert "--first-post" in outcome.reason


def test_nifti_without_a_table_is_rejected_and_a_times_file_beside_it_is_believed(tmp_path):
    write_phase_files(tmp_path / "a" / "X", "X", frames())
    (outcome,) = build(tmp_path / "a", tmp_path / "out", PLAN)
    assert outcome.status == "rejected" and "times of its phases" in outcome.reason
    (tmp_path / "a" / "X" / "times.csv").write_text("time_s\n-30\n80\n200\n320\n")
    (outcome,) = build(tmp_path / "a", tmp_path / "out", PLAN)
    assert outcome.status == "accepted" and outcome.zero_source == "times.csv" and outcome.first_s == 80.0


def scaled_by_itself(phases):
    return np.stack([phase * factor for phase, factor in zip(phases, (1.0, 0.5, 0.45, 0.5), strict=True)])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda phases: phases[[0, 0, 0, 0]] + np.arange(4)[:, None, None, None], "No contrast"),
        (scaled_by_itself, "scaled by itself"),
        (lambda phases: np.where(np.arange(4)[:, None, None, None] == 0, 7.0, phases), "constant"),
    ],
)
def test_phases_that_teach_nothing_are_rejected_by_reason(tmp_path, change, reason):
    write_one_series(tmp_path / "a", "p", change(frames()))
    (outcome,) = build(tmp_path / "a", tmp_path / "out", PLAN)
    assert outcome.status == "rejected" and reason in outcome.reason


def test_what_the_reader_refuses_is_told_in_the_private_list_alone(tmp_path):
    write_one_series(tmp_path / "a" / CANARY, CANARY, frames())
    next((tmp_path / "a" / CANARY).glob("im01*")).unlink()  # a slice of the last phase
    (outcome,) = build(tmp_path / "a", tmp_path / "out", PLAN)
    assert outcome.status == "rejected" and CANARY not in (tmp_path / "out" / "report.csv").read_text()
    assert "export the complete series" in (private_folder(tmp_path / "out") / "sources.csv").read_text()


def test_studies_mixed_in_one_folder_are_rejected(tmp_path):
    for study in ("1", "2"):
        write_study(tmp_path / "a" / "mixed", f"p{study}", study, frames(), prefix=f"s{study}_")
    outcomes = build(tmp_path / "a", tmp_path / "out", PLAN)
    assert all(outcome.status == "rejected" for outcome in outcomes)


def test_an_exam_does_not_go_by_the_name_of_another_patient_in_its_folder(tmp_path):
    write_one_series(tmp_path / "a", "somebody", frames())
    other = {"PatientID": "nobody", "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.78", "PixelSpacing": [2.7, 2.7]}
    write_classic(tmp_path / "a", frames()[:1], lambda _: 1, "a_first", SeriesInstanceUID="1.2.3", **other)
    (outcome,) = build(tmp_path / "a", tmp_path / "out", PLAN)
    assert outcome.status == "rejected" and "another study" in outcome.reason


def test_a_build_goes_on_where_it_was_stopped_and_makes_nothing_twice(archive, plan, built, tmp_path, monkeypatch):
    class StopsAfterTwo(BuildProgress):
        count = 0

        def done(self, outcome):
            self.count += 1
            if self.count == 2:
                raise KeyboardInterrupt

    made = []
    real = building.prepare_exam
    monkeypatch.setattr(building, "prepare_exam", lambda *args: made.append(1) or real(*args))
    with pytest.raises(KeyboardInterrupt):
        build(archive, tmp_path / "out", plan, progress=StopsAfterTwo())
    assert len(made) == 2 and len(open_exams(tmp_path / "out")) == 2
    assert [path.name for path in (tmp_path / "out" / "exams").iterdir() if path.name.startswith(".")] == []
    build(archive, tmp_path / "out", plan)
    assert len(made) == 5
    outcomes = build(archive, tmp_path / "out", plan)
    assert len(made) == 5 and [outcome.status for outcome in outcomes] == ["accepted"] * 5


def test_what_the_archive_no_longer_holds_and_what_is_asked_for_otherwise_is_made_anew(tmp_path):
    write_one_series(tmp_path / "a" / "1", "p1", frames(1))
    write_phase_files(tmp_path / "a" / "2", "X", frames(2))
    (tmp_path / "a" / "2" / "times.csv").write_text("-30\n80\n200\n320\n")
    build(tmp_path / "a", tmp_path / "out", PLAN)
    assert len(open_exams(tmp_path / "out")) == 2
    shutil.rmtree(tmp_path / "a" / "2")
    build(tmp_path / "a", tmp_path / "out", replace(PLAN, anatomy="abdomen"))
    (exam,) = open_exams(tmp_path / "out")
    assert exam.record.anatomy == "abdomen"


def test_a_cancelled_exam_leaves_nothing(tmp_path, monkeypatch):
    write_one_series(tmp_path / "a", "p", frames())

    def cancelled(*_):
        raise Cancelled("stopped")

    monkeypatch.setattr(building, "prepare_exam", cancelled)
    with pytest.raises(Cancelled):
        build(tmp_path / "a", tmp_path / "out", PLAN)
    assert list((tmp_path / "out" / "exams").iterdir()) == []


def test_two_processes_make_what_one_makes(archive, plan, built, tmp_path):
    shutil.copytree(private_folder(built[0]), private_folder(tmp_path / "out"))
    assert build(archive, tmp_path / "out", plan, processes=2) == built[1]
    for one, other in zip(open_exams(built[0]), open_exams(tmp_path / "out"), strict=True):
        assert np.array_equal(one.enhancement, other.enhancement)


def test_a_damaged_cache_is_named(built, tmp_path):
    shutil.copytree(built[0], tmp_path / "exams")
    exam = open_exams(tmp_path / "exams")[0]
    path = exam.folder / "enhancement.npy"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CEKWorldError, match=r"enhancement\.npy is missing or cut off"):
        open_exams(tmp_path / "exams")[0].check()
    (exam.folder / "exam.json").write_text("{}")
    with pytest.raises(CEKWorldError, match=r"exam\.json is missing or damaged"):
        open_exams(tmp_path / "exams")


def test_a_full_disk_ends_the_build_and_is_no_fault_of_the_exam(tmp_path, monkeypatch):
    write_one_series(tmp_path / "a", "p", frames())

    def full(*_):
        raise CEKWorldError("Cannot write: No space left on device.")

    monkeypatch.setattr(building, "write_exam", full)
    with pytest.raises(CEKWorldError, match="No space left"):
        build(tmp_path / "a", tmp_path / "out", PLAN)


def test_a_folder_that_is_no_data_set_is_not_built_into(tmp_path):
    write_one_series(tmp_path / "a", "p", frames())
    (tmp_path / "out" / "exams" / "mine").mkdir(parents=True)
    with pytest.raises(CEKWorldError, match="is no data set"):
        build(tmp_path / "a", tmp_path / "out", PLAN)
    assert (tmp_path / "out" / "exams" / "mine").is_dir()


@pytest.mark.parametrize(
    "description", ['{"channel_names": {"0": "MR"}, "labels": {}, "version": 1}', "[1]", "", '{"version": 1}']
)
def test_a_data_set_of_another_tool_is_left_as_it_is(tmp_path, description):
    write_one_series(tmp_path / "a", "p", frames())
    (tmp_path / "out" / "exams" / "mine").mkdir(parents=True)
    (tmp_path / "out" / "dataset.json").write_text(description)
    with pytest.raises(CEKWorldError, match="is no data set"):
        build(tmp_path / "a", tmp_path / "out", PLAN)
    assert (tmp_path / "out" / "exams" / "mine").is_dir()
    assert (tmp_path / "out" / "dataset.json").read_text() == description
    assert not private_folder(tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [("patient_id,acquisition_times\nX,0 100\nX,0 100\nx,0 90\n", "line 4.*already"),
     ("patient_id;injection_s\nX;12,5\n", "line 2.*12.5 with a point")],
)  # fmt: skip
def test_a_table_that_can_be_read_in_two_ways_is_refused(tmp_path, text, words):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(CEKWorldError, match=words):
        read_table(tmp_path / "t.csv")


def test_a_phase_at_the_injection_is_a_pre_contrast_one_in_spite_of_rounding():
    # 1.2 + 10.1 - 1.2 - 10.1 is 2e-15 in floating point.
    found = FoundSeries(PhaseTimes(np.array([1.2, 11.3, 80.0]), ("clock",) * 3), (3, 1, 1, 1), load=lambda _: None)
    times = timed(found, Path("exam"), TableRow(), TimingRules(injection_s=10.1))
    assert times.times_s.tolist() == [-10.1, 0.0, 68.7]
    assert times.zero_source.startswith("stated for all")


def test_the_report_lists_every_exam_for_people_and_for_scripts(built):
    rows = list(csv.DictReader((built[0] / "report.csv").open()))
    assert [row["name"] for row in rows] == [outcome.name for outcome in built[1]]
    assert json.loads((built[0] / "report.json").read_text())[0]["status"] == "accepted"
