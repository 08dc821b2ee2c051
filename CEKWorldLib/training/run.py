"""A training run from configuration to model folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState

from CEKWorldLib import __version__
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.bundle import load_model, save_model
from CEKWorldLib.models.folders import refuse_foreign
from CEKWorldLib.models.world import WorldModel, channels_last
from CEKWorldLib.training.card import Ancestor, model_card, model_metadata
from CEKWorldLib.training.configuration import TrainingConfiguration, read_configuration
from CEKWorldLib.training.loop import Loop
from CEKWorldLib.training.packing import write_start
from CEKWorldLib.training.source import SlabSource


def train(
    configuration: TrainingConfiguration,
    work: Path,
    output: Path,
    device: torch.device,
    seed: int,
    workers: int,
    init: str | None = None,
) -> str:
    """Opens the data, runs the stages in order, and writes the model folder; a second call goes on where it stopped.

    Args:
        work: checkpoints, log and bank.
        output: the model folder to write.
        seed: of weights and batches.
        workers: simulator processes.
        init: model to start from, by name or folder; fresh weights when None.

    Returns:
        sha256 of the weights; empty in all processes but the main one, which writes.

    Raises:
        CEKWorldError: ``output`` holds something that is no model, or the data or ``init`` cannot be read.
    """
    refuse_foreign(output)  # which is replaced at the end
    ancestor = None if init is None else Ancestor.of(init)
    processes = PartialState()
    with processes.main_process_first():
        source = configuration.data.source(work, workers)
    torch.manual_seed(seed)
    model = channels_last(WorldModel(configuration.model)).to(device)
    if init is None:
        standardise_latents(model, source, seed)
    else:
        _start_from(model, init)
    metadata = model_metadata(configuration, seed, __version__, ancestor)
    card = model_card(configuration, metadata, ancestor)
    if processes.is_main_process:
        write_start(work, model, [plan.name for plan in configuration.stages], metadata, card)
    for plan in configuration.stages:
        Loop(model, plan.make(), plan.schedule, source, work, plan.name, seed).run()
    if not processes.is_main_process:
        return ""
    return save_model(model, output, metadata, card)


@torch.no_grad()
def standardise_latents(model: WorldModel, source: SlabSource, seed: int, batches: int = 24, size: int = 256) -> None:
    """Sets the autoencoder's latent scale so that training latents have unit standard deviation per channel."""
    device = next(model.parameters()).device
    squares = []
    for step in range(batches):
        batch = source.draw(4, 4, size, seed + 1, step, device)
        latents = model.autoencoder.encode(batch.enhancement.flatten(0, 1)[:, None])
        squares.append(latents.square().mean((0, 2, 3)).cpu().numpy())
    rms = np.sqrt(np.mean(squares, axis=0))
    model.autoencoder.latent_std.copy_(torch.from_numpy(rms))


def _start_from(model: WorldModel, init: str) -> None:
    """Gives a model the weights, and the scale of the latents, of a trained one.

    Raises:
        CEKWorldError: its networks have other sizes.
    """
    try:
        model.load_state_dict(load_model(init).state_dict())
    except RuntimeError as error:
        raise CEKWorldError(
            f"The model '{init}' does not fit the configuration '{model.name}': their networks differ in size. Train "
            "with the configuration that the model was made with, or without --init."
        ) from error


def run(
    configuration: str,
    output: Path,
    device: str,
    seed: int,
    workers: int,
    init: str | None = None,
    exams: Path | None = None,
) -> None:
    """The command line's entry: bank, checkpoints and log go to ``output``, the model folder to ``output/model``."""
    plan = read_configuration(configuration)
    if exams is not None:
        plan = replace(plan, data=replace(plan.data, exams=exams))
    processes = PartialState(cpu=device == "cpu")
    place = processes.device if device == "auto" else torch.device(device)
    model = output / "model"
    digest = train(plan, output, model, place, seed, workers, init)
    if processes.is_main_process:
        print(f"Model written to {model} (weights sha256 {digest[:16]}...).")
