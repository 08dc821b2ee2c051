"""A training run from configuration to model folder."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import PartialState
from safetensors import SafetensorError

from CEKWorldLib import __version__
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.bundle import save_model
from CEKWorldLib.models.folders import refuse_foreign
from CEKWorldLib.synthesis.batching import choose_device
from CEKWorldLib.training.beginning import begin
from CEKWorldLib.training.card import Ancestor, model_card, model_metadata
from CEKWorldLib.training.configuration import TrainingConfiguration, read_configuration
from CEKWorldLib.training.loop import Loop
from CEKWorldLib.training.packing import RUN, refuse_another_run, write_start


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
        init: model to start from, by name or folder, or a folder of Stable Diffusion; fresh weights when None.

    Returns:
        sha256 of the weights; empty in all processes but the main one, which writes.

    Raises:
        CEKWorldError: ``output`` holds something that is no model, ``work`` another run, the data or ``init`` cannot be
            read, or the disk is full.
    """
    refuse_foreign(output)  # which is replaced at the end
    ancestor = None if init is None else Ancestor.of(init)
    metadata = model_metadata(configuration, seed, __version__, ancestor)
    refuse_another_run(work, configuration.model.as_dict(), metadata)
    goes_on = (work / RUN).exists()  # asked before the main process writes it
    processes = PartialState()
    try:
        with ExitStack() as opened:
            with processes.main_process_first():
                source = opened.enter_context(configuration.data.source(work, workers))
            model = begin(configuration.model, source, device, seed, init, work if goes_on else None)
            card = model_card(configuration, metadata, ancestor)
            if processes.is_main_process:
                write_start(work, model, [plan.name for plan in configuration.stages], metadata, card)
            for plan in configuration.stages:
                Loop(model, plan.make(), plan.schedule, source, work, plan.name, seed).run()
        return save_model(model, output, metadata, card) if processes.is_main_process else ""
    except (OSError, SafetensorError) as error:
        raise CEKWorldError(
            f"The run cannot read or write in {work}: {error}. Free some space, or give another --output; checkpoints "
            "that are there are kept."
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
    chosen = choose_device(device)
    processes = PartialState(cpu=chosen.type == "cpu")
    place = processes.device if device in ("auto", "cuda") else chosen  # each process has a GPU of its own
    model = output / "model"
    digest = train(plan, output, model, place, seed, workers, init)
    if processes.is_main_process:
        print(f"Model written to {model} (weights sha256 {digest[:16]}...).")
