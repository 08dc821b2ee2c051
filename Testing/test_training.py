"""Training: batches are functions of the step, stages train what they name, an interrupted run ends the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.format import open_memmap
from tiny_model import TINY, tiny_model

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.world import WorldModel
from CEKWorldLib.training.bank import Bank, build, layout, training_times
from CEKWorldLib.training.batches import draw_batch, pixel_weight
from CEKWorldLib.training.configuration import StagePlan, TrainingConfiguration, read_configuration
from CEKWorldLib.training.loop import Loop, Schedule
from CEKWorldLib.training.run import train
from CEKWorldLib.training.stages import DecoderStage, FlowStage, RefinementStage, RegressionStage

CPU = torch.device("cpu")
# The regression leaves cross-attention tokens to the flow, and the decoder no image is decoded with.
_TRAINED_ELSEWHERE = {
    "decoder": "none",
    "regression": "time_encoder.to_tokens",
    "refinement": "time_encoder.to_tokens",
    "flow": "none",
}
STAGES = {"decoder": DecoderStage, "regression": RegressionStage, "refinement": RefinementStage, "flow": FlowStage}


@pytest.fixture(scope="module")
def bank(tmp_path_factory) -> Bank:
    """Discs that enhance as 1 - exp(-t), brighter discs faster: cheap, and learnable."""
    folder: Path = tmp_path_factory.mktemp("bank")
    for name, (shape, dtype) in layout(3).items():
        open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.dtype(dtype), shape=shape).flush()
    bank = Bank.open(folder, writable=True)
    rng = np.random.default_rng(5)
    rows, columns = np.mgrid[:256, :256]
    for slab in range(3):
        times = training_times(rng, 20.0)
        pre = np.full((256, 256), 0.4)
        gain = np.zeros((256, 256))
        for _ in range(6):
            y, x, r = rng.uniform(40, 216), rng.uniform(40, 216), rng.uniform(12, 35)
            disc = (rows - y) ** 2 + (columns - x) ** 2 < r**2
            pre[disc], gain[disc] = 0.8, 1.0
        since = np.maximum(times - 20.0, 0.0)
        bank["pre"][slab] = pre + 0.02 * rng.standard_normal((4, 256, 256))
        bank["enhancement"][slab] = gain * (1 - np.exp(-since / 40.0))[:, None, None]
        bank["lesion"][slab] = gain > 0
        bank["times_s"][slab], bank["arrival_s"][slab], bank["done"][slab] = times, 20.0, True
    return Bank.open(folder)


def batch_of(bank: Bank, step: int = 0, **changes):
    settings = {"slices": 2, "times": 3, "size": 64, "seed": 0, "step": step, "device": CPU} | changes
    return draw_batch(bank, **settings)


def test_a_batch_is_a_function_of_seed_and_step(bank):
    torch.testing.assert_close(batch_of(bank, 7).stack, batch_of(bank, 7).stack)
    assert not torch.equal(batch_of(bank, 7).times_s, batch_of(bank, 8).times_s)


@pytest.mark.parametrize("crop", [False, True])
def test_a_batch_has_sorted_times_and_fitting_shapes(bank, crop):
    batch = batch_of(bank, crop=crop)
    assert batch.stack.shape == (2, 3, 64, 64) and batch.enhancement.shape == batch.weight.shape == (2, 3, 64, 64)
    assert (batch.times_s.diff(dim=1) > 0).all()


def test_training_times_cover_the_first_minute_densely_and_reach_the_end():
    times = np.concatenate([training_times(np.random.default_rng(n), 20.0) for n in range(40)]) - 20.0
    assert 0.4 < (times < 60).mean() < 0.6 and times.min() < 0 and times.max() > 550


def test_lesions_and_enhancement_weigh_more_than_dark_tissue():
    weight = pixel_weight(torch.tensor([0.0, 0.5, 3.0, 0.0]), torch.tensor([0.0, 0.0, 0.0, 1.0]))
    assert weight.tolist() == [1.0, 4.0, 7.0, 5.0]


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
    Loop(model, DecoderStage(), Schedule(60, 2, 3, 64, True, 5e-3), bank, tmp_path, "d", 0).run()
    Loop(model, RegressionStage(), Schedule(80, 2, 3, 64, False, 5e-3), bank, tmp_path, "r", 0).run()
    batch = batch_of(bank, 99)
    with torch.no_grad():
        features = model.encode_slices(batch.stack, batch.condition, batch.arrival_s)
        mean = model.regress(features.finest, batch.condition, batch.arrival_s, batch.times_s)
        predicted = model.decode(mean, features)
    error = (predicted - batch.enhancement).abs().mean()
    assert error < 0.5 * batch.enhancement.abs().mean()


def test_a_loss_that_is_not_finite_stops_with_the_stage_and_the_step(bank, tmp_path):
    class Broken(DecoderStage):
        def losses(self, model, batch, generator):
            return {"nan": next(model.autoencoder.parameters()).sum() * float("nan")}

    with pytest.raises(CEKWorldError, match="'bad'.*step 0"):
        Loop(tiny_model(), Broken(), Schedule(2, 2, 2, 64), bank, tmp_path, "bad", 0).run()


def test_extra_losses_over_the_times_of_a_slice_join_the_sum(bank):
    stage = RegressionStage({"drift": lambda latents, batch: latents.diff(dim=1).square().mean()})
    terms = stage.losses(tiny_model(), batch_of(bank), torch.Generator())
    assert set(terms) == {"latent", "drift"} and terms["drift"] > 0


def test_shipped_configuration_is_read_whole():
    configuration = read_configuration("compact")
    assert [p.kind for p in configuration.stages][:2] == ["decoder", "regression"]
    assert configuration.model.name == "compact" and configuration.stages[0].make()


@pytest.mark.parametrize(
    "text", ["[model", "[model]\nname='x'", "[model]\nname='x'\ncolour=1\n[bank]\nslabs=1\nseed=0\n[[stages]]"]
)
def test_a_configuration_that_cannot_be_read_is_named(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(CEKWorldError):
        read_configuration(path)


def test_train_goes_from_simulator_to_model_folder(tmp_path):
    stages = tuple(StagePlan(k, k, Schedule(2, 1, 2, 64)) for k in STAGES)
    configuration = TrainingConfiguration(TINY, slabs=2, bank_seed=0, stages=stages)
    digest = train(configuration, tmp_path, tmp_path / "model", CPU, seed=0, workers=1)
    from CEKWorldLib.models.bundle import load_model

    model = load_model(tmp_path / "model")
    assert model.sha256 == digest
    assert (model.autoencoder.latent_std != 1).all()
    assert "Simulated exams only" in (tmp_path / "model/docs/README.md").read_text()
    done = build(tmp_path / "bank", 2, 0, 1)
    assert len(done.ready()) == 2 and float(np.abs(done["enhancement"][0]).max()) > 0.1
