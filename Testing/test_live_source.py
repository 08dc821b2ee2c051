"""Patients simulated while training: batches are functions of the step, however fast the processes are."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.condition import CONDITION_SIZE
from CEKWorldLib.training.acquisition_times import sparse_times
from CEKWorldLib.training.batches import Batch, Slab
from CEKWorldLib.training.collection import Collection
from CEKWorldLib.training.data import DataPlan
from CEKWorldLib.training.live_source import LiveSource
from CEKWorldLib.training.patients import Patients
from CEKWorldLib.training.read_ahead import Draw, ReadAhead

CPU = torch.device("cpu")


class Slow:
    """Patients whose pixels are their number, some of them made slowly."""

    def __getitem__(self, number: int) -> Slab:
        time.sleep(0.02 if number % 3 == 0 else 0.0)
        times = 15 if number % 2 else 4
        return Slab(
            pre=np.full((3, 32, 32), number, np.float16),
            enhancement=np.ones((times, 32, 32), np.float16),
            labels=np.zeros((32, 32), np.uint8),
            times_s=np.arange(times, dtype=np.float32) * 30,
            arrival_s=20.0,
            condition=np.zeros(CONDITION_SIZE, np.float32),
            mirror=False,
        )


def draw(source: LiveSource | Collection, step: int, seed: int = 0) -> Batch:
    return source.draw(slices=3, times=4, size=32, seed=seed, step=step, device=CPU)


def same(a: Batch, b: Batch) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("stack", "enhancement", "times_s"))


@pytest.fixture
def source():
    live = LiveSource(Slow(), workers=2, window=6, reuse=3)
    yield live
    live.close()


def test_batches_from_processes_are_those_of_single_draws(source):
    ahead = [draw(source, step) for step in range(8)]
    for step in (6, 2, 7):
        assert same(ahead[step], draw(LiveSource(Slow(), workers=1, window=6, reuse=3), step))


def test_a_run_resumed_in_the_middle_goes_on_with_the_same_batches(source):
    whole = [draw(source, step) for step in range(8)]
    resumed = LiveSource(Slow(), workers=1, window=6, reuse=3)
    assert all(same(whole[step], draw(resumed, step)) for step in (5, 6, 7))
    resumed.close()


def test_a_look_aside_changes_nothing(source):
    whole = [draw(source, step) for step in range(6)]
    other = LiveSource(Slow(), workers=1, window=6, reuse=3)
    for step in range(6):
        assert same(whole[step], draw(other, step))
        draw(other, 0, seed=2026)
    other.close()


def test_patients_move_on_and_none_is_kept_for_ever(source):
    first, last = draw(source, 0), [draw(source, step) for step in range(1, 40)][-1]
    assert first.stack.max() < 1.2 * 6 and last.stack.max() > 0.85 * 36
    assert len(source._ahead._slabs) <= 6


def test_several_training_processes_simulate_different_patients():
    class Listening(Slow):
        def __init__(self) -> None:
            self.asked: list[int] = []

        def __getitem__(self, number: int) -> Slab:
            self.asked.append(number)
            return super().__getitem__(number)

    for process in range(2):
        patients = Listening()
        draw(LiveSource(patients, 1, window=6, reuse=3, processes=2), 4 + process)
        assert len(patients.asked) == 3 and all(number % 2 == process for number in patients.asked)


def test_closing_ends_the_processes():
    live = LiveSource(Slow(), workers=2, window=4, reuse=2)
    draw(live, 0), draw(live, 1)
    assert len(multiprocessing.active_children()) >= 2
    live.close()
    for _ in range(100):
        if not multiprocessing.active_children():
            break
        time.sleep(0.05)
    assert not multiprocessing.active_children()


class Endless(Slow):
    """Patients that take their time."""

    def __getitem__(self, number: int) -> Slab:
        time.sleep(0.0 if number < 6 else 0.4)
        return super().__getitem__(number)


def test_a_run_that_is_stopped_does_not_wait_for_a_whole_window():
    """As Ctrl-C does: the loop leaves the batch that is being drawn, then the source is closed."""
    live = LiveSource(Endless(), workers=1, window=200, reuse=1)
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), closing(live), ReadAhead(live) as ahead:
        live._follow((3, 0, 0, 0), 0), live._follow((3, 0, 0, 1), 3)
        ahead.begin(Draw(3, 4, 32, 0, 2, CPU))
        time.sleep(0.5)
        raise KeyboardInterrupt
    assert time.monotonic() - begun < 20  # the window takes 80 s
    assert not multiprocessing.active_children()


_KILLED = """
import os, signal, sys
from test_live_source import LiveSource, Slow, draw, multiprocessing
live = LiveSource(Slow(), workers=2, window=6, reuse=3)
draw(live, 0), draw(live, 1)
print(*[child.pid for child in multiprocessing.active_children()], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_simulators_end_with_a_run_that_was_killed():
    done = subprocess.run([sys.executable, "-c", _KILLED], cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True)
    children = [int(pid) for pid in done.stdout.split()]
    assert done.returncode == -signal.SIGKILL and len(children) == 2
    for _ in range(300):
        if not any(Path(f"/proc/{pid}/fd").exists() for pid in children):
            return
        time.sleep(0.1)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    pytest.fail("simulators outlived their run")


def test_a_simulator_that_was_killed_ends_the_run_with_a_sentence(source):
    draw(source, 0), draw(source, 1)
    for child in multiprocessing.active_children():
        os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(CEKWorldError, match="fewer --workers"):
        for step in range(2, 60):
            draw(source, step)


def test_a_batch_of_mixed_studies_has_as_many_times_as_the_poorest(tmp_path):
    collection = Collection([Slow()[n] for n in range(4)])
    assert draw(collection, 0).times_s.shape == (3, 4)
    assert collection.draw(2, 9, 32, 0, 1, CPU).times_s.shape[1] in (4, 9)
    collection.save(tmp_path / "slabs.safetensors")
    assert same(draw(collection, 5), draw(Collection.load(tmp_path / "slabs.safetensors"), 5))


def test_a_collection_that_finds_the_disk_full_says_so_and_leaves_the_one_before(tmp_path):
    collection, path = Collection([Slow()[n] for n in range(2)]), tmp_path / "slabs.safetensors"
    path.write_bytes(b"before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # as full as a disk without root's rights gets
    try:
        with pytest.raises(CEKWorldError, match=r"Cannot write .*slabs\.safetensors"):
            collection.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"before" and len(list(tmp_path.iterdir())) == 1


def test_a_configuration_asks_for_live_patients_by_a_table():
    plan = DataPlan.from_dict({"live": {"window": 6, "sampling": "sparse", "anatomies": ["breast"]}})
    with plan.source(Path("nowhere"), workers=1) as source:
        assert isinstance(source, LiveSource)
    assert plan.description == "patients simulated while training"
    words = ({"sampling": "sparse"}, {"sampling": "often"}, {"anatomies": ["knee"]}, {"anatomies": []})
    for wrong in (*words, {"window": 0}, {"reuse": 0}, {"seed": -1}):
        with pytest.raises(CEKWorldError, match=r"\[live\]"):
            DataPlan.from_dict({"live": wrong})


def test_sparse_patients_are_acquired_as_the_studies_did():
    rng = np.random.default_rng(0)
    assert len(sparse_times(rng, "abdomen", 20.0)) == 15
    counts = {len(sparse_times(rng, "breast", 20.0)) for _ in range(20)}
    assert counts == {3, 4}
    slab = Patients(5, ("breast",), size=32, sampling="sparse", axial_only=True)[0]
    assert slab.pre.shape == (3, 32, 32) and len(slab.enhancement) == len(slab.times_s) in counts
    with pytest.raises(ValueError, match="brain"):
        sparse_times(rng, "brain", 20.0)
