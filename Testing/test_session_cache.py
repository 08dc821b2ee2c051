"""What a session leaves on disk: the cache, saved sessions, and what happens when the disk fails."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from closed_form_model import ClosedFormModel, phantom
from safetensors.torch import save_file

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.exam import Exam
from CEKWorldLib.exam.protocol import Acquisition, Injection
from CEKWorldLib.synthesis.archive import read_archive, write_archive
from CEKWorldLib.synthesis.cache import DiskCache
from CEKWorldLib.synthesis.session import Session

TIMES = (0.0, 24.0, 60.0, 240.0)
EXAM = phantom(3, 60, 64, spacing=(0.7, 0.8, 2.5), origin=(-3.0, 4.5, 99.0))


pytestmark = pytest.mark.usefixtures("one_thread")


def run(
    folder: Path | DiskCache | None, exam: Exam = EXAM, times=TIMES, arrival=20.0, model=None, **settings
) -> Session:
    session = Session(model or ClosedFormModel(), device="cpu", disk_cache=folder, **settings)
    session.prepare(exam, Injection(arrival_s=arrival))
    session.synthesize(times)
    return session


def was_synthesized(session: Session) -> bool:
    return bool(session.model.sampled)


# Disk cache


def test_a_second_run_starts_from_the_cache(tmp_path):
    first = run(tmp_path)
    reports = []
    second = Session(ClosedFormModel(), device="cpu", disk_cache=tmp_path)
    second.prepare(EXAM, Injection(arrival_s=20.0))
    second.synthesize(TIMES, progress=reports.append)
    assert not was_synthesized(second) and not second.model.encoded
    assert [report.done for report in reports] == [3] and second.is_complete
    np.testing.assert_array_equal(second.frame(50.0), first.frame(50.0))


def _brighter(exam: Exam) -> Exam:
    voxels = exam.pre.voxels.copy()
    voxels[1, 30, 30] += 1
    return replace(exam, pre=exam.pre.like(voxels))


@pytest.mark.parametrize(
    "change",
    [
        {"exam": _brighter(EXAM)},
        {"exam": replace(EXAM, pre=replace(EXAM.pre, spacing=(0.7, 0.8, 2.6)))},
        {"exam": replace(EXAM, acquisition=Acquisition(flip_angle_deg=12.0))},
        {"exam": replace(EXAM, anatomy="breast")},
        {"times": (0.0, 24.0, 61.0, 240.0)},
        {"arrival": 21.0},
        {"seed": 1},
        {"steps": 4},
    ],
    ids=["voxels", "geometry", "acquisition", "anatomy", "times", "injection", "seed", "steps"],
)
def test_anything_that_changes_the_result_is_synthesized_anew(tmp_path, change):
    run(tmp_path)
    assert was_synthesized(run(tmp_path, **change))


def test_another_model_does_not_meet_the_entries_of_the_first(tmp_path):
    run(tmp_path)
    other = ClosedFormModel()
    other.sha256 = "6" * 64
    assert was_synthesized(run(tmp_path, model=other))


def test_a_model_without_a_checksum_is_not_cached(tmp_path):
    model = ClosedFormModel()
    model.sha256 = ""
    session = run(tmp_path, model=model)
    assert list(tmp_path.iterdir()) == []
    assert any("checksum" in notice for notice in session.notices)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def _flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)


def _replace_by_text(path: Path) -> None:
    path.write_text("not a tensor")


@pytest.mark.parametrize("damage", [_truncate, _flip_a_bit, _replace_by_text])
def test_a_damaged_entry_is_rebuilt(tmp_path, damage):
    first = run(tmp_path)
    (entry,) = tmp_path.iterdir()
    damage(entry)
    second = run(tmp_path)
    assert was_synthesized(second)
    np.testing.assert_array_equal(second.frame(50.0), first.frame(50.0))
    assert not was_synthesized(run(tmp_path))


def test_a_cancelled_run_leaves_nothing_in_the_cache(tmp_path):
    session = Session(ClosedFormModel(), device="cpu", disk_cache=tmp_path)
    session.prepare(EXAM)
    with pytest.raises(CEKWorldError):
        session.synthesize(TIMES, cancel=lambda: bool(session.ready_slices.any()))
    assert list(tmp_path.iterdir()) == []


def test_the_least_recently_used_entry_goes_first(tmp_path):
    cache = DiskCache(tmp_path, limit_bytes=25_000)
    block = {"block": torch.zeros(10_000, dtype=torch.uint8)}
    for age, key in ((30, "a"), (20, "b")):
        cache.store(key, block)
        os.utime(cache._path(key), (1e9 - age, 1e9 - age))
    assert cache.load("a") is not None  # used just now
    cache.store("c", block)
    assert cache.load("b") is None
    assert cache.load("a") is not None and cache.load("c") is not None
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 25_000


def test_an_entry_that_may_only_be_read_is_used_and_stays(tmp_path, monkeypatch):
    """As that of another user in the cache of a group."""
    run(tmp_path)

    def denied(*_arguments, **_options):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "utime", denied)
    assert not was_synthesized(run(tmp_path)) and len(list(tmp_path.iterdir())) == 1


def test_the_part_of_an_entry_that_a_killed_process_left_makes_room(tmp_path):
    cache = DiskCache(tmp_path, limit_bytes=25_000)
    left = tmp_path / f".{cache._path('a').name}.4711.part"  # as ``write_archive`` names it
    left.write_bytes(bytes(20_000))
    os.utime(left, (1e9, 1e9))
    cache.store("b", {"block": torch.zeros(10_000, dtype=torch.uint8)})
    assert not left.exists() and cache.load("b") is not None


def test_an_entry_larger_than_the_cache_leaves_it_alone(tmp_path):
    cache = DiskCache(tmp_path, limit_bytes=25_000)
    cache.store("a", {"block": torch.zeros(10_000)[:2000].clone()})
    cache.store("b", {"block": torch.zeros(30_000)})
    assert cache.load("a") is not None and cache.load("b") is None


def test_a_cache_that_cannot_be_written_costs_a_notice_not_the_result(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    session = run(blocked)
    assert session.is_complete
    assert any("not kept in the cache" in notice for notice in session.notices)


def test_a_bounded_session_reads_and_writes_the_cache(tmp_path):
    whole = run(tmp_path)
    bounded = run(tmp_path, memory_limit_bytes=1)
    assert not was_synthesized(bounded) and bounded._series.frames.capacity == 1
    np.testing.assert_array_equal(bounded.frame(50.0), whole.frame(50.0))
    (entry,) = tmp_path.iterdir()
    entry.unlink()
    run(tmp_path, memory_limit_bytes=1)  # writes latents alone
    again = run(tmp_path)
    assert not was_synthesized(again)
    np.testing.assert_array_equal(again.frame(50.0), whole.frame(50.0))
    np.testing.assert_allclose(run(tmp_path).slice(50.0, 30, 1), whole.slice(50.0, 30, 1), atol=1e-3)


# A full disk


@pytest.fixture
def full_disk():
    """Files of this process cannot grow beyond 20 kB, as on a disk that has filled up."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path, full_disk):
    with pytest.raises(CEKWorldError, match="free some space"):
        run(None).save(tmp_path / "session.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path, full_disk):
    path = tmp_path / "archive"
    write_archive(path, {"x": torch.zeros(10)}, {})
    with pytest.raises(CEKWorldError):
        write_archive(path, {"x": torch.zeros(100_000)}, {})
    assert len(read_archive(path)[0]["x"]) == 10
    assert list(tmp_path.iterdir()) == [path]


# Saved sessions


def test_a_session_comes_back_as_it_was_saved(tmp_path):
    exam = replace(EXAM, acquisition=Acquisition(flip_angle_deg=12.0), anatomy="brain", warnings=("looks odd",))
    session = run(None, exam, seed=3, steps=2)
    session.save(tmp_path / "session.safetensors")
    loaded = Session.load(tmp_path / "session.safetensors", ClosedFormModel(), device="cpu")
    assert not was_synthesized(loaded) and loaded.is_complete
    assert loaded.metadata() == session.metadata()
    assert loaded.injection == session.injection
    assert loaded.exam.acquisition == exam.acquisition and loaded.exam.anatomy == "brain"
    for mine, theirs in zip(
        (loaded.exam.pre.spacing, loaded.exam.pre.origin, loaded.exam.pre.direction),
        (exam.pre.spacing, exam.pre.origin, exam.pre.direction),
        strict=True,
    ):
        assert mine == theirs
    for t in (0.0, 22.0, 50.0):
        np.testing.assert_array_equal(loaded.frame(t), session.frame(t))
    np.testing.assert_array_equal(loaded.exact(50.0, 1), session.exact(50.0, 1))


def test_a_pre_contrast_only_session_can_be_saved(tmp_path):
    run(None, times=(0.0,)).save(tmp_path / "session")
    loaded = Session.load(tmp_path / "session", ClosedFormModel(), device="cpu")
    np.testing.assert_array_equal(loaded.frame(0.0), EXAM.pre.voxels)


def test_the_path_of_the_source_is_not_saved(tmp_path):
    run(None, replace(EXAM, source=Path("/data/DOE^JANE/1.nrrd"))).save(tmp_path / "session")
    assert b"DOE" not in (tmp_path / "session").read_bytes()


def test_an_unfinished_session_is_not_saved(tmp_path):
    session = Session(ClosedFormModel(), device="cpu")
    session.prepare(EXAM)
    with pytest.raises(CEKWorldError, match="not finished"):
        session.save(tmp_path / "session")


def test_a_session_of_another_model_is_refused(tmp_path):
    run(None).save(tmp_path / "session")
    other = ClosedFormModel()
    other.sha256 = "6" * 64
    with pytest.raises(CEKWorldError, match="closed form"):
        Session.load(tmp_path / "session", other)


def test_files_that_are_no_session_are_refused_by_name(tmp_path):
    missing, text, foreign, damaged = (tmp_path / name for name in ("missing", "text", "foreign", "damaged"))
    text.write_text("hello")
    save_file({"x": torch.zeros(3)}, foreign)
    run(None).save(damaged)
    _flip_a_bit(damaged)
    for path in (missing, text, foreign, damaged, tmp_path):
        with pytest.raises(CEKWorldError, match=path.name):
            Session.load(path, ClosedFormModel())
