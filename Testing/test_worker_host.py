"""A host and its disk: what a full one costs a reader, and what of his images stays when a host is killed."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal as signals
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from numpy_worker import COMMAND, signal
from worker_host import Department
from worker_viewer import Viewer, at_host

from CEKWorldLib.worker.interface import Voxels, WorkerError
from CEKWorldLib.worker.messages import Geometry
from CEKWorldLib.worker.remote.private_folder import private_folder
from CEKWorldLib.worker.remote.seats import Seats
from CEKWorldLib.worker.shared_folder import SharedFolder

SHAPE = (6, 72, 80)


def exam(seed: int) -> Voxels:
    return Voxels(np.random.default_rng(seed).uniform(1, 1000, SHAPE).astype(np.float32), Geometry(SHAPE))


@pytest.fixture
def department(tmp_path):
    with Department(tmp_path / "host", command=COMMAND, readers=1) as department:
        yield department


def test_an_exam_without_room_at_the_host_leaves_the_one_before_in_its_place(department, tmp_path, monkeypatch):
    """Or the reader would be shown another patient's enhancement as that of the exam on his screen."""
    reader = Viewer(tmp_path / "reader", "compact", at_host(department.url))
    reader.prepare(exam(1))
    reader.synthesize(seed=1)
    with monkeypatch.context() as patch:
        patch.setattr("os.posix_fallocate", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(WorkerError, match="At the GPU host: .*No space left on device"):
            reader.prepare(exam(2))
    reader.synthesize(seed=3)
    np.testing.assert_array_equal(reader.frame(60.0).voxels, signal(exam(1).values, 60.0, 3))
    (root,) = department.temporary.iterdir()
    (shared,) = root.glob("cekworld-worker-*")
    assert [path.name for path in shared.iterdir()] == [next(shared.glob("frames-*")).name]
    reader.close()


def test_a_host_whose_disk_takes_no_folder_says_so_and_keeps_its_seats(department, tmp_path, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    viewers = [Viewer(tmp_path / "reader", "compact", at_host(department.url))]
    with monkeypatch.context() as patch:
        patch.setattr(SharedFolder, "create", full)
        with pytest.raises(WorkerError, match=r"no place for a reader's images \(No space left on device\)"):
            viewers[0].opened()
    viewers.append(Viewer(tmp_path / "reader", "compact", at_host(department.url)))
    assert viewers[1].prepare(exam(1)).geometry.shape == SHAPE
    for viewer in viewers:
        viewer.close()


def test_the_series_of_a_reader_who_breaks_off_twice_is_kept_from_the_second_time_on(tmp_path):
    async def breaks_off_twice() -> list[bool]:
        seats, kept = Seats(1, tmp_path, keep_s=0.2), []
        for pause_s in (0.12, 0.12, 0.15):
            cache = seats.take("secret", connection := object())
            cache.mkdir(exist_ok=True)
            seats.leave(cache, connection, has_finished=False)
            await asyncio.sleep(pause_s)
            kept.append(cache.exists())
        await asyncio.sleep(0.15)
        return [*kept, cache.exists()]

    assert asyncio.run(breaks_off_twice()) == [True, True, True, False]


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be locked there")
def test_images_that_a_killed_host_left_are_removed_by_the_next_and_those_of_a_running_one_stay(tmp_path):
    hold = "import sys, time; from pathlib import Path; from CEKWorldLib.worker.remote.private_folder import *\n"
    hold += "with private_folder(Path(sys.argv[1])) as folder: print(folder, flush=True); time.sleep(600)"

    def host() -> tuple[subprocess.Popen, Path]:
        process = subprocess.Popen([sys.executable, "-c", hold, tmp_path], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        (folder / "series").write_text("of a patient")
        return process, folder

    (killed, left), (running, used) = host(), host()
    assert left.stat().st_mode & 0o77 == 0
    os.kill(killed.pid, signals.SIGKILL)
    killed.wait()
    (tmp_path / "cekworld-host-link").symlink_to(shutil.copytree(used, tmp_path / "documents"))
    third, _ = host()
    assert not left.exists() and (used / "series").exists() and (tmp_path / "documents" / "series").exists()
    for process in (running, third):
        process.kill()
        process.wait()


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be locked there")
def test_a_host_whose_new_folder_another_takes_for_a_killed_ones_makes_another(tmp_path, monkeypatch):
    made = []

    class Taken(tempfile.TemporaryDirectory):
        """The first folder is removed as soon as it is made, as a host starting in that moment would."""

        def __init__(self, *args, **options) -> None:
            super().__init__(*args, **options)
            made.append(Path(self.name))
            if len(made) == 1:
                made[0].rmdir()

    monkeypatch.setattr(tempfile, "TemporaryDirectory", Taken)
    with private_folder(tmp_path) as folder:
        assert folder == made[1] and folder.is_dir()
    assert not list(tmp_path.iterdir())
