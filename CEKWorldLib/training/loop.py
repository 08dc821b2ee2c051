"""The training loop: optimiser, moving average of the weights, log, checkpoints that resume to the exact step."""

from __future__ import annotations

import csv
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.world import WorldModel
from CEKWorldLib.training.bank import Bank
from CEKWorldLib.training.batches import draw_batch
from CEKWorldLib.training.stages import Stage


@dataclass(frozen=True)
class Schedule:
    """How long and how hard one stage trains.

    Attributes:
        steps: optimiser steps.
        slices, times: batch of N slices at T times each.
        size: image side in pixels.
        crop: cut ``size`` pixels out of the slice instead of shrinking it.
        learning_rate: peak; it rises over the first 5 % and falls to zero along a cosine.
    """

    steps: int
    slices: int
    times: int
    size: int
    crop: bool = False
    learning_rate: float = 5e-4

    def rate(self, step: int) -> float:
        warm = min(1.0, (step + 1) / max(1.0, 0.05 * self.steps))
        return self.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * step / self.steps))


class Loop:
    """Trains one stage of a model on a bank, in place.

    Args:
        folder: where the checkpoint and ``log.csv`` go.
        name: of the stage; checkpoints of other stages are left alone.
        seed: all randomness of step k follows from (seed, k).
    """

    checkpoint_every = 50
    ema_decay = 0.99
    gradient_norm = 1.0

    def __init__(
        self, model: WorldModel, stage: Stage, schedule: Schedule, bank: Bank, folder: Path, name: str, seed: int
    ) -> None:
        self.model, self.stage, self.schedule, self.bank = model, stage, schedule, bank
        self.folder, self.name, self.seed = folder, name, seed
        self.device = next(model.parameters()).device
        model.requires_grad_(False)
        self.weights: dict[str, nn.Parameter] = {}
        for module in stage.trained(model):
            module.requires_grad_(True)
        self.weights = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.average = {n: p.detach().clone() for n, p in self.weights.items()}
        self.optimiser = torch.optim.AdamW(self.weights.values(), lr=schedule.learning_rate, weight_decay=1e-3)
        self.step = 0

    @property
    def checkpoint(self) -> Path:
        return self.folder / f"{self.name}.safetensors"

    def run(self) -> None:
        """Trains to the end of the schedule, from the checkpoint where there is one; leaves the averaged weights."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._resume()
        self.model.train()
        bar = tqdm(total=self.schedule.steps, initial=self.step, desc=self.name, unit="step")
        began = time.monotonic()
        while self.step < self.schedule.steps:
            terms = self._advance()
            bar.update()
            if self.step % 20 == 0:
                bar.set_postfix({k: f"{v:.4f}" for k, v in terms.items()})
                self._log(terms, time.monotonic() - began)
            if self.step % self.checkpoint_every == 0 or self.step == self.schedule.steps:
                self._save()
        bar.close()
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(self.average[name])
        self.model.eval()

    def _advance(self) -> dict[str, float]:
        schedule = self.schedule
        batch = draw_batch(
            self.bank, schedule.slices, schedule.times, schedule.size, self.seed, self.step, self.device, schedule.crop
        )
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = schedule.rate(self.step)
        self.optimiser.zero_grad(set_to_none=True)
        terms = self.stage.losses(self.model, batch, generator)
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            raise CEKWorldError(
                f"Training stage '{self.name}' met a loss that is not finite at step {self.step}; the last checkpoint "
                f"is kept at {self.checkpoint}. Lower the learning rate and start again."
            )
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights.values(), self.gradient_norm)
        self.optimiser.step()
        self.step += 1
        decay = min(self.ema_decay, self.step / (self.step + 10))
        with torch.no_grad():
            for name, weight in self.weights.items():
                self.average[name].lerp_(weight, 1.0 - decay)
        return {name: float(term) for name, term in terms.items()}

    def _log(self, terms: dict[str, float], seconds: float) -> None:
        path = self.folder / "log.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(["stage", "step", "term", "value", "learning_rate", "seconds"])
            for term, value in terms.items():
                rate = self.schedule.rate(self.step - 1)
                writer.writerow([self.name, self.step, term, f"{value:.6g}", f"{rate:.3g}", f"{seconds:.1f}"])

    def _save(self) -> None:
        tensors: dict[str, Tensor] = {}
        for index, (name, weight) in enumerate(self.weights.items()):
            tensors[f"weight.{name}"] = weight.detach()
            tensors[f"average.{name}"] = self.average[name]
            state = self.optimiser.state_dict()["state"].get(index, {})
            for key, value in state.items():
                tensors[f"optimiser.{key}.{name}"] = value
        temporary = self.checkpoint.with_suffix(".partial")
        save_file({k: v.contiguous() for k, v in tensors.items()}, temporary, {"step": json.dumps(self.step)})
        os.replace(temporary, self.checkpoint)

    def _resume(self) -> None:
        if not self.checkpoint.exists():
            return
        with safe_open(self.checkpoint, "pt") as file:
            self.step = json.loads(file.metadata()["step"])
        tensors = load_file(self.checkpoint, device=str(self.device))
        state: dict[int, dict[str, Tensor]] = {}
        with torch.no_grad():
            for index, (name, weight) in enumerate(self.weights.items()):
                weight.copy_(tensors[f"weight.{name}"])
                self.average[name].copy_(tensors[f"average.{name}"])
                state[index] = {
                    key.split(".")[1]: value
                    for key, value in tensors.items()
                    if key.startswith("optimiser.") and key.split(".", 2)[2] == name
                }
        self.optimiser.load_state_dict({"state": state, "param_groups": self.optimiser.state_dict()["param_groups"]})
