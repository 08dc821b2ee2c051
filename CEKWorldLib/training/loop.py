"""The training loop: optimiser, moving average of the weights, log, checkpoints that resume to the exact step.

Several processes (GPUs, nodes, or CPU cores, started by ``accelerate launch`` or ``torchrun``) draw a batch each and
average their gradients, so a run's result depends on how many there are but on nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from torch import nn
from tqdm import tqdm

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.world import WorldModel
from CEKWorldLib.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from CEKWorldLib.training.log import TrainingLog
from CEKWorldLib.training.precision import Precision, autocast
from CEKWorldLib.training.read_ahead import Draw, ReadAhead
from CEKWorldLib.training.sample_sheet import write_sample_sheet
from CEKWorldLib.training.source import SlabSource
from CEKWorldLib.training.stages import Stage
from CEKWorldLib.training.throughput import Throughput
from CEKWorldLib.training.toml_file import whole_numbers
from CEKWorldLib.training.weighting import TermWeights, Weighting

SIZE_STEP = 32  # the networks halve an image five times


@dataclass(frozen=True)
class Schedule:
    """How long and how hard one stage trains.

    Attributes:
        steps: optimiser steps.
        slices, times: batch of N slices at T times each, in every process.
        size: image side in pixels, in steps of ``SIZE_STEP``; below 256 a window is cut out of each slice.
        learning_rate: peak; it rises over the first 5 % and falls to zero along a cosine.
        weighting: how the stage's terms add up.
        precision: of the losses' computation.
    """

    steps: int
    slices: int
    times: int
    size: int = 256
    learning_rate: float = 5e-4
    weighting: Weighting = "sum"
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        for word, known in ((self.weighting, Weighting), (self.precision, Precision)):
            if word not in get_args(known):
                raise CEKWorldError(f"A stage knows no '{word}'; choose from {', '.join(get_args(known))}.")
        counts = {"steps": (self.steps, 0), "slices": (self.slices, 1), "times": (self.times, 1)}
        whole_numbers("A stage", **counts, size=(self.size, SIZE_STEP))
        if self.size % SIZE_STEP or self.learning_rate < 0:
            raise CEKWorldError(f"A stage takes a size in steps of {SIZE_STEP}, and a learning_rate from 0 on.")

    def rate(self, step: int) -> float:
        warm = min(1.0, (step + 1) / max(1.0, 0.05 * self.steps))
        return self.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * step / self.steps))


class Loop:
    """Trains one stage of a model on what a source gives, in place.

    Args:
        source: where batches come from.
        folder: where the checkpoint and ``log.csv`` go.
        name: of the stage; checkpoints of other stages are left alone.
        seed: all randomness of step k follows from (seed, k).
    """

    checkpoint_every = 100
    log_every = 20
    sheet_every: int | None = 500
    rollbacks_allowed = 3
    ema_decay = 0.99
    gradient_norm = 1.0

    def __init__(
        self,
        model: WorldModel,
        stage: Stage,
        schedule: Schedule,
        source: SlabSource,
        folder: Path,
        name: str,
        seed: int,
    ) -> None:
        self.model, self.stage, self.schedule, self.source = model, stage, schedule, ReadAhead(source)
        self.folder, self.name, self.seed = folder, name, seed
        self.device = next(model.parameters()).device
        model.requires_grad_(False)
        self.weights: dict[str, nn.Parameter] = {}
        for module in stage.trained(model):
            module.requires_grad_(True)
        self.weights = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.term_weights = TermWeights(schedule.weighting).to(self.device)
        self.weights |= {f"term_weights.{n}": p for n, p in self.term_weights.named_parameters()}
        self.average = {n: p.detach().clone() for n, p in self.weights.items()}
        self.optimiser = torch.optim.AdamW(
            self.weights.values(), lr=schedule.learning_rate, weight_decay=1e-3, fused=True
        )
        self.processes = PartialState()
        self.progress = Progress()
        self.throughput = Throughput()

    @property
    def checkpoint(self) -> Path:
        return self.folder / f"{self.name}.safetensors"

    def run(self) -> None:
        """Trains to the end of the schedule, from the checkpoint where there is one; leaves the averaged weights.

        Raises:
            CEKWorldError: gradients were not finite, and returning to the last checkpoint did not help.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            self.progress = self._load()
        self.model.train()
        leads = self.processes.is_main_process
        log = TrainingLog(self.folder, self.name, self.progress.step) if leads else None
        steps = tqdm(total=self.schedule.steps, desc=self.name, unit="step", disable=not leads)
        with self.source, steps as bar:
            while self.progress.step < self.schedule.steps:
                bar.update(self.progress.step - bar.n)
                terms = self._advance()
                if terms is None:
                    self._roll_back()
                    if log:
                        log.go_back(self.progress.step)
                elif log:
                    self._record(terms, log, bar)
            bar.update(self.progress.step - bar.n)
        if log:
            log.close()
            bar.write(self.throughput.sentence(self.name, self.device, self.processes.num_processes))
        self.processes.wait_for_everyone()
        self._take_average()
        self.model.eval()

    def _advance(self) -> dict[str, float] | None:
        """One optimiser step; None where the gradient is not finite, which all processes see in their average."""
        schedule, step = self.schedule, self.progress.step
        draw = self._draw_of(step)
        with self.throughput.waiting():
            batch = self.source.draw(*draw)
        if step + 1 < schedule.steps:
            self.source.begin(self._draw_of(step + 1))
        generator = torch.Generator().manual_seed(draw.seed * 1_000_003 + draw.step)
        for group in self.optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        self.optimiser.zero_grad(set_to_none=True)
        with autocast(schedule.precision, self.device):
            terms = self.stage.losses(self.model, batch, generator)
        self.term_weights(terms, step / schedule.steps).backward()
        self._average_gradients()
        norm = nn.utils.clip_grad_norm_(self.weights.values(), self.gradient_norm)
        if not torch.isfinite(norm):
            return None
        self.optimiser.step()
        self.progress = replace(self.progress, step=step + 1)
        decay = min(self.ema_decay, (step + 1) / (step + 11))
        with torch.no_grad():
            for name, weight in self.weights.items():
                self.average[name].lerp_(weight, 1.0 - decay)
        values = {name: term.item() for name, term in terms.items()}
        self.throughput.add(schedule.slices)
        return values

    def _draw_of(self, step: int) -> Draw:
        """What this process trains on at a step; another batch after every return to a checkpoint."""
        number = step * self.processes.num_processes + self.processes.process_index
        seed = self.seed + 7919 * self.progress.rollbacks
        return Draw(self.schedule.slices, self.schedule.times, self.schedule.size, seed, number, self.device)

    def _average_gradients(self) -> None:
        if self.processes.num_processes == 1:
            return
        gradients = [weight.grad for weight in self.weights.values() if weight.grad is not None]
        mean = reduce(torch.cat([g.flatten() for g in gradients]), "mean")
        for gradient, part in zip(gradients, mean.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def _record(self, terms: dict[str, float], log: TrainingLog, bar: tqdm) -> None:
        step, last = self.progress.step, self.progress.step == self.schedule.steps
        if step % self.log_every == 0:
            bar.set_postfix({k: f"{v:.4f}" for k, v in terms.items()})
            log.write(step, terms, self.schedule.rate(step - 1), self.throughput)
        if step % self.checkpoint_every == 0 or last:
            save_checkpoint(self.checkpoint, self.weights, self.average, self.optimiser, self.progress)
        if self.sheet_every and (step % self.sheet_every == 0 or last):
            sheet = self.folder / "samples" / f"{self.name}-{step:06d}.png"
            write_sample_sheet(self.model, self.source, sheet, f"{self.name}, step {step}")

    def _roll_back(self) -> None:
        """Returns to the last checkpoint, and goes on with other batches."""
        self.processes.wait_for_everyone()  # for a checkpoint the main process is writing
        rollbacks = self.progress.rollbacks + 1
        if rollbacks > self.rollbacks_allowed or not self.checkpoint.exists():
            raise CEKWorldError(
                f"Training stage '{self.name}' met gradients that are not finite at step {self.progress.step}, after "
                f"{rollbacks - 1} returns to a checkpoint. What it has so far is kept in {self.folder}. Lower its "
                "learning rate and start again."
            )
        self.progress = replace(self._load(), rollbacks=rollbacks)

    def _load(self) -> Progress:
        return load_checkpoint(self.checkpoint, self.weights, self.average, self.optimiser)

    def _take_average(self) -> None:
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(self.average[name])
