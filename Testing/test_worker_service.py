"""What the worker does with requests, without a process around it: cancel between steps, memory, refusals."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from closed_form_model import ClosedFormModel, phantom
from tiny_model import tiny_model

from CEKWorldLib.errors import Cancelled, CEKWorldError, OutOfMemory
from CEKWorldLib.exam.protocol import Acquisition, Injection
from CEKWorldLib.models.bundle import save_model
from CEKWorldLib.synthesis.session import Session
from CEKWorldLib.worker.cancelling import cancellable, watch
from CEKWorldLib.worker.failures import failed
from CEKWorldLib.worker.messages import Geometry, Open, Prepare, ReadFrame, Synthesize
from CEKWorldLib.worker.service import Service
from CEKWorldLib.worker.shared_folder import SharedFolder

STEPS, SLICES, SIDE = 8, 2, 64
TIMES = (30.0, 60.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(tiny_model(), folder, {"description": "for tests"}, "A model for tests.")
    return folder


class Desk:
    """A service with an exam from the viewer's memory."""

    def __init__(self, tmp_path: Path, model: Path) -> None:
        self.folder = SharedFolder.create(tmp_path)
        self.progress: list = []
        self.service = Service(self.progress.append)
        self.ask(Open(1, str(self.folder.path), str(model), "cpu", str(self.folder.file("cache"))))
        self.prepared = self.prepare(phantom(SLICES, SIDE, SIDE).pre.voxels)

    def ask(self, request, is_cancelled=lambda: False):
        return self.service.answer(request, is_cancelled)

    def prepare(self, voxels: np.ndarray):
        self.folder.write("exam", voxels)
        return self.ask(Prepare(2, voxels_file="exam", geometry=Geometry(voxels.shape)))

    def synthesize(self, run: int = 1, seed: int = 0, is_cancelled=lambda: False):
        return self.ask(Synthesize(3, run, TIMES, Injection(), seed, STEPS), is_cancelled)


@pytest.fixture
def desk(tmp_path, model) -> Desk:
    return Desk(tmp_path, model)


def test_what_is_said_of_a_file_is_said_of_a_viewers_volume(desk):
    voxels = phantom(SLICES, SIDE, SIDE).pre.voxels
    desk.folder.write("exam", voxels)
    slow = Acquisition(repetition_time_ms=3000.0)
    reply = desk.ask(Prepare(2, voxels_file="exam", geometry=Geometry(voxels.shape), acquisition=slow))
    assert any("TR 3000 ms" in warning for warning in reply.warnings)


def test_a_cancel_stops_between_two_sampler_steps(desk):
    steps = []
    unet = desk.service._model.model.unet
    unet.register_forward_hook(lambda *_: steps.append(1))
    reply = desk.synthesize(is_cancelled=lambda: len(steps) == 3)
    assert reply.kind == "cancelled" and len(steps) == 3 and desk.progress == []


def test_a_cancel_stops_the_thread_it_is_meant_for_alone():
    model = torch.nn.Sequential(torch.nn.Identity())
    watch(model)
    with cancellable(lambda: True), ThreadPoolExecutor(1) as other_thread:
        assert other_thread.submit(model, 7).result() == 7
        with pytest.raises(Cancelled):
            model(7)
    assert model(7) == 7


def test_until_a_new_run_has_slices_the_one_before_is_read(desk):
    desk.synthesize(run=1)
    desk.synthesize(run=2, seed=5, is_cancelled=lambda: True)
    desk.folder.create_frames("frames", (SLICES, SIDE, SIDE), 1)
    assert desk.ask(ReadFrame(4, 45.0, "frames", 0)).run == 1
    desk.synthesize(run=2, seed=5)
    assert desk.ask(ReadFrame(5, 45.0, "frames", 0)).run == 2


@pytest.mark.parametrize("request_", [ReadFrame(4, 45.0, "frames", 0), Synthesize(5, 1, (9999.0,), Injection())])
def test_what_cannot_be_done_is_said_in_a_sentence(desk, request_):
    reply = desk.ask(request_)
    assert reply.kind == "input" and reply.id == request_.id and reply.message.endswith(".")


def test_voxels_that_are_no_volume_are_refused_like_those_of_a_file(desk):
    reply = desk.prepare(np.zeros((SLICES, SIDE, SIDE), np.float32))
    assert reply.kind == "input" and "The volume is constant" in reply.message
    assert desk.synthesize().run == 1  # the exam before is still there


def test_a_request_before_the_model_is_open_is_a_protocol_error():
    service = Service(print)
    assert service.answer(Prepare(1, voxels_file="x", geometry=Geometry((1, 1, 1))), lambda: False).kind == "protocol"


# Failures


def test_memory_that_ran_out_on_the_gpu_says_what_was_needed_and_what_is_free():
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of ...")
    session = Session(ClosedFormModel(largest_batch=0, error=error), "cpu")
    session.prepare(phantom(SLICES), Injection())
    with pytest.raises(OutOfMemory) as caught:
        session.synthesize(TIMES)
    reply = failed(7, caught.value, "cpu")
    assert (reply.id, reply.kind, reply.need_bytes) == (7, "out_of_memory", 2.5 * 2**30) and reply.free_bytes > 0


def test_memory_that_ran_out_elsewhere_is_told_alike():
    error = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes. Error code 12")
    reply = failed(7, error, "cpu")
    assert (reply.kind, reply.need_bytes) == ("out_of_memory", 4096) and reply.message.endswith(".")
    assert failed(7, MemoryError(), "cpu").kind == "out_of_memory"


def test_a_bug_is_told_without_its_text_and_logged_with_it(capsys):
    reply = failed(7, KeyError("secret"), "cpu")
    assert reply.kind == "internal" and "secret" not in reply.message and "KeyError" in reply.message
    assert "secret" in capsys.readouterr().err


def test_an_error_for_the_user_keeps_its_words():
    assert failed(7, CEKWorldError("x.nrrd is empty."), "cpu").message == "x.nrrd is empty."
