"""Training: batches are functions of the step, stages train what they name, an interrupted run ends the same."""

from __future__ import annotations

import csv
import json
import os
import resource
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from disc_bank import CPU, batch_of, disc_bank
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_model import TINY, tiny_model

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.bundle import load_model, save_model
from CEKWorldLib.models.folders import CARD, model_metadata
from CEKWorldLib.models.world import WorldModel
from CEKWorldLib.training import bank as bank_module
from CEKWorldLib.training.bank import Bank, build
from CEKWorldLib.training.checkpoint import Progress
from CEKWorldLib.training.configuration import StagePlan, TrainingConfiguration
from CEKWorldLib.training.consistency import Consistency
from CEKWorldLib.training.data import DataPlan
from CEKWorldLib.training.flow_stage import FlowStage
from CEKWorldLib.training.loop import Loop, Schedule
from CEKWorldLib.training.run import train
from CEKWorldLib.training.stages import ContextStage, DecoderStage, RefinementStage, RegressionStage

# The regression leaves cross-attention tokens to the flow.
_TRAINED_ELSEWHERE = {
    "decoder": "none",
    "context": "time_encoder.to_tokens",
    "regression": "time_encoder.to_tokens",
    "refinement": "time_encoder.to_tokens",
    "flow": "none",
}
STAGES = {
    "decoder": DecoderStage,
    "context": ContextStage,
    "regression": RegressionStage,
    "refinement": RefinementStage,
    "flow": FlowStage,
}


@pytest.fixture(scope="module")
def bank(tmp_path_factory) -> Bank:
    return disc_bank(tmp_path_factory.mktemp("bank"))


@pytest.mark.parametrize("kind", STAGES)
def test_a_stage_changes_the_modules_it_names_and_no_others(bank, tmp_path, kind):
    model, stage = tiny_model(), STAGES[kind]()
    before = {n: p.clone() for n, p in model.named_parameters()}
    named = {id(p) for module in stage.trained(model) for p in module.parameters()}
    Loop(model, stage, Schedule(2, 2, 2, 64, learning_rate=1e-2), bank, tmp_path, kind, 0).run()
    for name, parameter in model.named_parameters():
        if id(parameter) not in named:
            assert torch.equal(parameter, before[name]), name
    assert any(not torch.equal(p, before[n]) for n, p in model.named_parameters())


@pytest.mark.parametrize("kind", STAGES)
def test_losses_reach_every_weight_of_the_stage(bank, kind):
    """A weight without a gradient in three batches is one that training forgets."""
    model, stage = tiny_model(), STAGES[kind]()
    for module in stage.trained(model):
        module.requires_grad_(True)
    for step in range(3):
        generator = torch.Generator().manual_seed(step)
        torch.stack(list(stage.losses(model, batch_of(bank, step), generator).values())).sum().backward()
    silent = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert not [n for n in silent if not n.startswith(_TRAINED_ELSEWHERE[kind])]


def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(bank, tmp_path, monkeypatch):
    schedule = Schedule(6, 2, 2, 64, learning_rate=1e-3)

    def run(folder: Path, stop_at: int | None) -> dict[str, torch.Tensor]:
        model = tiny_model()
        loop = Loop(model, RegressionStage(), schedule, bank, folder, "r", 3)
        if stop_at is not None:
            monkeypatch.setattr(Loop, "checkpoint_every", stop_at)
            advance, calls = loop._advance, []

            def stopping():
                if len(calls) == stop_at:
                    raise KeyboardInterrupt
                calls.append(1)
                return advance()

            loop._advance = stopping
            with pytest.raises(KeyboardInterrupt):
                loop.run()
            return run(folder, None)
        loop.run()
        return {n: p.clone() for n, p in model.named_parameters()}

    whole, resumed = run(tmp_path / "a", None), run(tmp_path / "b", 3)
    for name, weight in whole.items():
        torch.testing.assert_close(resumed[name], weight, atol=0, rtol=0, msg=name)


def test_regression_learns_the_discs(bank, tmp_path):
    torch.manual_seed(1)
    model = WorldModel(TINY)
    Loop(model, DecoderStage(), Schedule(60, 2, 3, 64, 5e-3), bank, tmp_path, "d", 0).run()
    Loop(model, RegressionStage(), Schedule(80, 2, 3, 128, 5e-3), bank, tmp_path, "r", 0).run()
    batch = batch_of(bank, 99, size=256)
    with torch.no_grad():
        features = model.encode_slices(batch.stack, batch.condition, batch.arrival_s)
        mean = model.regress(features.finest, batch.condition, batch.arrival_s, batch.times_s)
        predicted = model.decode(mean, features)
    error = (predicted - batch.enhancement).abs().mean()
    assert error < 0.5 * batch.enhancement.abs().mean()


class BreaksAt(DecoderStage):
    """Gives a loss that is not a number in some of its calls."""

    def __init__(self, *calls: int) -> None:
        self.bad, self.call = calls, -1

    def losses(self, model, batch, generator):
        self.call += 1
        terms = super().losses(model, batch, generator)
        return {name: term * float("nan") for name, term in terms.items()} if self.call in self.bad else terms


def test_gradients_that_are_not_finite_cost_the_steps_since_the_checkpoint(bank, tmp_path, monkeypatch):
    monkeypatch.setattr(Loop, "checkpoint_every", 2)
    loop = Loop(tiny_model(), BreaksAt(3), Schedule(4, 2, 2, 64), bank, tmp_path, "shaky", 0)
    loop.run()
    assert loop.progress == Progress(step=4, rollbacks=1) and loop.stage.call == 5
    assert all(torch.isfinite(p).all() for p in loop.model.parameters())


def test_training_that_stays_broken_stops_with_the_stage_and_the_step(bank, tmp_path, monkeypatch):
    monkeypatch.setattr(Loop, "checkpoint_every", 2)
    with pytest.raises(CEKWorldError, match="'bad'.*step 2.*3 returns"):
        Loop(tiny_model(), BreaksAt(*range(2, 20)), Schedule(4, 2, 2, 64), bank, tmp_path, "bad", 0).run()
    assert (tmp_path / "bad.safetensors").exists()


def test_a_run_leaves_a_log_for_tables_and_tensorboard_and_a_sample_sheet(bank, tmp_path, monkeypatch):
    monkeypatch.setattr(Loop, "log_every", 2)
    Loop(tiny_model(), DecoderStage(), Schedule(4, 2, 2, 64), bank, tmp_path, "d", 0).run()
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [row["step"] for row in rows] == ["2", "4"] and rows[0]["term"] == "reconstruction"
    assert float(rows[0]["value"]) > 0 and 0 < float(rows[0]["waiting"]) < 1
    assert list((tmp_path / "tensorboard/d").iterdir())
    sheet = plt.imread(tmp_path / "samples/d-000004.png")
    assert sheet.shape[0] > 300 and sheet[..., :3].std() > 0.1


def logged_steps(folder: Path) -> tuple[list[int], list[int]]:
    """Steps of the decoder's term in log.csv, and as TensorBoard shows them."""
    events = EventAccumulator(str(folder / "tensorboard/d")).Reload()
    rows = csv.DictReader((folder / "log.csv").open())
    return [int(row["step"]) for row in rows], [event.step for event in events.Scalars("reconstruction")]


def interrupted(_loop: Loop) -> None:
    raise KeyboardInterrupt


def test_steps_that_come_again_are_logged_once(bank, tmp_path, monkeypatch):
    monkeypatch.setattr(Loop, "log_every", 1)
    monkeypatch.setattr(Loop, "checkpoint_every", 2)

    def loop(stage: DecoderStage) -> Loop:
        return Loop(tiny_model(), stage, Schedule(6, 2, 2, 64), bank, tmp_path, "d", 0)

    with monkeypatch.context() as stopped:
        stopped.setattr(Loop, "_roll_back", interrupted)
        with pytest.raises(KeyboardInterrupt):
            loop(BreaksAt(3)).run()
    assert logged_steps(tmp_path)[0] == [1, 2, 3]
    with (tmp_path / "log.csv").open("a") as log:
        log.write("d,4,recon")  # as a process leaves it that is killed while it writes
    loop(BreaksAt(3)).run()  # goes on from step 2, and returns from step 5 to 4
    assert logged_steps(tmp_path) == ([1, 2, 3, 4, 5, 6],) * 2


@pytest.mark.parametrize("mode", ["official", "latent"])
@pytest.mark.parametrize("axis", ["channel", "region"])
def test_alignment_and_difference_join_the_flow(bank, mode, axis):
    stage = FlowStage(Consistency(alignment=6.0, axis=axis, difference=1.0, mode=mode, difference_share=1.0))
    model = tiny_model()
    model.unet.requires_grad_(True)
    terms = stage.losses(model, batch_of(bank), torch.Generator().manual_seed(0))
    assert set(terms) == {"velocity", "alignment", "difference"}
    for name in ("alignment", "difference"):
        model.zero_grad()
        terms[name].backward(retain_graph=True)
        assert any(p.grad is not None and p.grad.any() for p in model.unet.parameters()), name


@pytest.mark.parametrize(("weighted", "moves"), [(False, False), (True, True)])
def test_the_flow_weighs_pixels_by_what_the_truth_did_only_where_asked_to(bank, weighted, moves):
    batch, model = batch_of(bank), tiny_model()
    heavier = replace(batch, weight=batch.weight**3)
    errors = [
        FlowStage(weighted=weighted).losses(model, one, torch.Generator().manual_seed(0))["velocity"].item()
        for one in (batch, heavier)
    ]
    assert (errors[0] != errors[1]) is moves


def test_a_checkpoint_that_is_damaged_or_of_other_networks_is_named(bank, tmp_path):
    def loop(model: WorldModel) -> Loop:
        return Loop(model, DecoderStage(), Schedule(1, 1, 2, 64), bank, tmp_path, "d", 0)

    loop(tiny_model()).run()
    with pytest.raises(CEKWorldError, match=r"d\.safetensors is damaged, or of another"):
        loop(WorldModel(replace(TINY, autoencoder_widths=(16, 32)))).run()
    os.truncate(tmp_path / "d.safetensors", 5000)
    with pytest.raises(CEKWorldError, match=r"d\.safetensors is damaged, or of another"):
        loop(tiny_model()).run()


_NO_STAGES = TrainingConfiguration(TINY, DataPlan(3), ())


@pytest.fixture
def run_folder(bank, tmp_path) -> Path:
    """A run's folder whose bank is there."""
    shutil.copytree(bank.folder, tmp_path / "run/bank")
    note = {"slabs": 3, "seed": 0, "turns": list(bank_module.TURNS)}
    (tmp_path / "run/bank/bank.json").write_text(json.dumps(note))
    return tmp_path / "run"


def test_a_run_is_not_continued_as_another_one(run_folder):
    save_model(tiny_model(), run_folder / "given", {}, "")

    def start(configuration: TrainingConfiguration = _NO_STAGES, seed: int = 0, **options) -> None:
        train(configuration, run_folder, run_folder / "model", CPU, seed, 1, **options)

    start()
    start()
    before = (run_folder / "start.safetensors").read_bytes()
    for said, other in {
        "another init": {"init": str(run_folder / "given")},
        "another seed": {"seed": 1},
        "another model": {"configuration": replace(_NO_STAGES, model=replace(TINY, embedding=32))},
        "another data": {"configuration": replace(_NO_STAGES, data=DataPlan(4))},
    }.items():
        with pytest.raises(CEKWorldError, match=said):
            start(**other)
    assert (run_folder / "start.safetensors").read_bytes() == before


def test_a_run_goes_on_from_the_weights_it_started_from_though_its_data_have_changed(run_folder):
    """The scale of the latents is measured on the data: stages that are done were trained with the first one."""
    train(_NO_STAGES, run_folder, run_folder / "model", CPU, 0, 1)
    before = (run_folder / "start.safetensors").read_bytes()
    Bank.open(run_folder / "bank", writable=True)["enhancement"][:] *= 2.0
    train(_NO_STAGES, run_folder, run_folder / "model", CPU, 0, 1)
    assert (run_folder / "start.safetensors").read_bytes() == before
    os.truncate(run_folder / "start.safetensors", 5000)
    with pytest.raises(CEKWorldError, match=r"start\.safetensors is damaged, or of another"):
        train(_NO_STAGES, run_folder, run_folder / "model", CPU, 0, 1)


def test_a_full_disk_ends_training_with_a_sentence_and_keeps_the_checkpoint(run_folder):
    stage = TrainingConfiguration(TINY, DataPlan(3), (StagePlan("d", "decoder", Schedule(1, 1, 2, 64)),))
    train(stage, run_folder, run_folder / "model", CPU, 0, 1)
    (run_folder / "d.safetensors").rename(run_folder / "kept")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    small = (run_folder / "start.safetensors").stat().st_size - 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (small, limits[1]))  # as full as a disk without root's rights gets
    try:
        with pytest.raises(CEKWorldError, match=r"Cannot write .*start\.safetensors.* Free some space"):
            train(stage, run_folder, run_folder / "model", CPU, 0, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not [path for path in run_folder.rglob("*") if "partial" in path.name]
    load_model(run_folder / "model")


def test_fine_tuning_starts_from_the_weights_it_is_given(run_folder, tmp_path):
    given = tiny_model(seed=4)
    save_model(given, tmp_path / "given", {}, "")
    still = TrainingConfiguration(
        TINY, DataPlan(3), (StagePlan("d", "decoder", Schedule(1, 1, 2, 64, learning_rate=0.0)),)
    )
    train(still, run_folder, tmp_path / "model", CPU, 0, 1, init=str(tmp_path / "given"))
    assert model_metadata(tmp_path / "model")["trained_on_simulated_data"] is False  # the given one does not say so
    assert "model 'given'" in (tmp_path / "model" / CARD).read_text()
    tuned = load_model(tmp_path / "model").state_dict()
    for name, weight in given.state_dict().items():
        torch.testing.assert_close(tuned[name], weight, atol=1e-3, rtol=1e-3, msg=name)
    other = replace(still, model=replace(TINY, embedding=32))
    (run_folder / "run.json").unlink()
    with pytest.raises(CEKWorldError, match="does not fit"):
        train(other, run_folder, tmp_path / "model", CPU, 0, 1, init=str(tmp_path / "given"))


def test_what_is_no_model_is_refused_before_training_begins(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/manifest.json").write_text('{"name": "my own"}')
    with pytest.raises(CEKWorldError, match="no model folder"):
        train(TrainingConfiguration(TINY, DataPlan(3), ()), tmp_path, tmp_path / "model", CPU, 0, 1)
    assert (tmp_path / "model/manifest.json").read_text() == '{"name": "my own"}'
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def slow_slab(folder: Path, index: int, _seed: int) -> None:
    """Hears Ctrl-C, as all processes of a terminal do."""
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.05)
    (folder / f"{index}.made").touch()


def test_ctrl_c_ends_the_bank_with_the_slabs_in_the_making(tmp_path, monkeypatch):
    def interrupted(jobs, **_):
        yield next(iter(jobs))
        raise KeyboardInterrupt

    monkeypatch.setattr(bank_module, "_make_slab", slow_slab)
    monkeypatch.setattr(bank_module, "tqdm", interrupted)
    monkeypatch.setattr(bank_module, "layout", lambda slabs: {"done": ((slabs,), "bool")})
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, 40, workers=1)
    assert 1 <= len(list(tmp_path.glob("*.made"))) < 10


def test_train_goes_from_simulator_to_model_folder(tmp_path):
    stages = tuple(StagePlan(k, k, Schedule(2, 1, 2, 64)) for k in STAGES)
    configuration = TrainingConfiguration(TINY, DataPlan(slabs=2), stages)
    digest = train(configuration, tmp_path, tmp_path / "model", CPU, seed=0, workers=1)
    model = load_model(tmp_path / "model")
    assert model.sha256 == digest
    assert (model.autoencoder.latent_std != 1).all()
    assert "Simulated exams only" in (tmp_path / "model/docs/README.md").read_text()
    done = build(tmp_path / "bank", 2, 0, 1)
    assert len(done.ready()) == 2 and float(np.abs(done["enhancement"][0]).max()) > 0.1
