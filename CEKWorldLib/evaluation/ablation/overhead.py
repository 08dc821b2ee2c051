"""What LAL and LDL cost: a training step with both against one with neither, on the same batch."""

from __future__ import annotations

import time

import numpy as np
import torch

from CEKWorldLib.evaluation.ablation.rows import BOTH
from CEKWorldLib.models.world import WorldModel
from CEKWorldLib.training.batches import Batch
from CEKWorldLib.training.flow_stage import FlowStage


def overhead(model: WorldModel, batch: Batch, repeats: int = 24) -> float:
    """Mean cost of both terms in one step over the mean cost of the step without them; forward and backward.

    The two take turns, so that whatever else the machine does hits both. On a CPU processor time counts.
    """
    plain, both = FlowStage(noise_start_share=1.0), FlowStage(BOTH, noise_start_share=1.0)
    model.requires_grad_(False)
    for module in plain.trained(model):
        module.requires_grad_(True)
    seconds = np.array([[_step(model, stage, batch, seed) for stage in (plain, both)] for seed in range(repeats + 2)])
    without, with_both = seconds[2:].mean(axis=0)  # the first two warm up
    return float(with_both / without - 1.0)


def _step(model: WorldModel, stage: FlowStage, batch: Batch, seed: int) -> float:
    cuda = batch.stack.device.type == "cuda"
    clock = time.perf_counter if cuda else time.process_time
    generator = torch.Generator().manual_seed(seed)
    if cuda:
        torch.cuda.synchronize()
    begun = clock()
    terms = stage.losses(model, batch, generator)
    torch.stack(list(terms.values())).sum().backward()
    if cuda:
        torch.cuda.synchronize()
    elapsed = clock() - begun
    model.zero_grad(set_to_none=True)
    return elapsed
