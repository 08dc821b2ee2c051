"""Weights of terms, learned and scheduled; precision; throughput: what a training step is made of beside its losses."""

from __future__ import annotations

import time

import pytest
import torch
from tiny_model import tiny_model

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.training.batches import Batch, pixel_weight
from CEKWorldLib.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from CEKWorldLib.training.consistency import Consistency
from CEKWorldLib.training.flow_stage import FlowStage
from CEKWorldLib.training.loop import Schedule
from CEKWorldLib.training.precision import autocast
from CEKWorldLib.training.stages import DecoderStage, RegressionStage
from CEKWorldLib.training.throughput import Throughput
from CEKWorldLib.training.weighting import TermWeights

TERMS = {"velocity": torch.tensor(2.0), "alignment": torch.tensor(0.5), "difference": torch.tensor(0.1)}
BOTH = Consistency(alignment=1.0, axis="region", difference=1.0, difference_share=1.0)


def batch(slices: int = 2, times: int = 3, size: int = 64) -> Batch:
    generator = torch.Generator().manual_seed(4)
    enhancement = torch.rand(slices, times, size, size, generator=generator)
    return Batch(
        stack=torch.rand(slices, 3, size, size, generator=generator),
        enhancement=enhancement,
        times_s=torch.tensor([30.0, 60.0, 200.0]).expand(slices, times),
        arrival_s=torch.full((slices,), 20.0),
        condition=torch.zeros(slices, 15),
        weight=pixel_weight(enhancement, torch.zeros_like(enhancement[:, :1])),
        labels=torch.zeros(slices, size, size, dtype=torch.long),
    )


def test_the_plain_sum_is_the_sum():
    assert TermWeights()(TERMS, 0.3).item() == pytest.approx(2.6)


def test_learned_weights_begin_as_the_plain_sum():
    assert TermWeights("learned")(TERMS, 0.0).item() == pytest.approx(2.6)


def test_learned_weights_settle_at_one_over_the_term():
    """Where exp(-s) L + s is least, exp(-s) = 1 / L (Kendall et al. 2018)."""
    weights = TermWeights("learned")
    optimiser = torch.optim.Adam(weights.parameters(), lr=2e-3)
    for _ in range(600):
        optimiser.zero_grad()
        weights(TERMS, 0.5).backward()
        optimiser.step()
    assert [weights.factor(name, 0.5) for name in TERMS] == pytest.approx([0.5, 2.0, 10.0], rel=0.05)


@pytest.mark.parametrize("value", [-1e6, -1.0, 0.0, 1.0, 1e6])
def test_a_learned_weight_is_positive_and_bounded_whatever_is_learned(value):
    weights = TermWeights("learned")
    weights.log_variances["alignment"].data.fill_(value)
    assert 0.04 < weights.factor("alignment", 0.0) < 21


def test_a_term_the_weights_do_not_know_keeps_its_own():
    weights = TermWeights("learned")
    assert weights({"tissue": torch.tensor(0.7)}, 0.0).item() == pytest.approx(0.7)


def test_every_learned_weight_has_a_gradient_even_in_a_step_without_its_term():
    weights = TermWeights("learned")
    weights({"velocity": torch.tensor(2.0)}, 0.0).backward()
    assert all(parameter.grad is not None for parameter in weights.parameters())
    assert weights.log_variances["difference"].grad == 0.0


def test_scheduled_weights_hand_over_from_alignment_to_difference():
    weights = TermWeights("scheduled")
    factors = [[weights.factor(name, share) for name in TERMS] for share in (0.0, 0.5, 1.0)]
    assert factors == [[1.0, 1.0, 0.0], [1.0, 0.75, 0.5], [1.0, 0.5, 1.0]]


def test_learned_weights_survive_a_checkpoint(tmp_path):
    def state() -> tuple:
        weights = dict(TermWeights("learned").named_parameters())
        return weights, {n: p.detach().clone() for n, p in weights.items()}, torch.optim.AdamW(weights.values())

    learned, average, optimiser = state()
    for parameter in learned.values():
        parameter.data.fill_(0.25)
    save_checkpoint(tmp_path / "x.safetensors", learned, average, optimiser, Progress(3))
    fresh, average, optimiser = state()
    assert load_checkpoint(tmp_path / "x.safetensors", fresh, average, optimiser) == Progress(3)
    assert all(parameter.item() == 0.25 for parameter in fresh.values())


@pytest.mark.parametrize("stage", [DecoderStage(), RegressionStage(), FlowStage(BOTH)], ids=lambda s: type(s).__name__)
def test_every_stage_computes_in_bfloat16_near_what_it_does_in_float32(stage):
    model, single = tiny_model(), batch()
    for module in stage.trained(model):
        module.requires_grad_(True)
    losses = []
    for precision in ("float32", "bfloat16"):
        with autocast(precision, torch.device("cpu")):
            terms = stage.losses(model, single, torch.Generator().manual_seed(1))
        loss = TermWeights()(terms, 0.0)
        loss.backward()
        losses.append(loss.item())
    assert losses[1] == pytest.approx(losses[0], rel=0.1)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients and all(torch.isfinite(g).all() for g in gradients)


def test_difference_learning_on_a_share_of_steps_keeps_its_mean():
    """Half of the steps at twice the weight."""
    model, single = tiny_model(), batch()

    def values(share: float) -> list[float]:
        stage = FlowStage(Consistency(difference=1.0, difference_share=share), noise_start_share=1.0)
        every = [stage.losses(model, single, torch.Generator().manual_seed(n)) for n in range(40)]
        return [terms["difference"].item() if "difference" in terms else 0.0 for terms in every]

    with torch.no_grad():
        always, half = values(1.0), values(0.5)
    assert 10 < sum(value > 0 for value in half) < 30 and all(value > 0 for value in always)
    assert sum(half) == pytest.approx(sum(always), rel=0.4)


@pytest.mark.parametrize("wrong", [{"weighting": "learnt"}, {"precision": "half"}])
def test_a_word_no_stage_knows_is_refused(wrong):
    with pytest.raises(CEKWorldError, match="choose from"):
        Schedule(1, 1, 1, **wrong)


def test_throughput_tells_waiting_from_training():
    throughput = Throughput()
    with throughput.waiting():
        time.sleep(0.06)
    time.sleep(0.02)
    throughput.add(8)
    assert 0.3 < throughput.waiting_share < 0.95
    sentence = throughput.sentence("flow", torch.device("cpu"), 2)
    assert "slices/s on 2 x cpu" in sentence and "% of the time waiting for data" in sentence
