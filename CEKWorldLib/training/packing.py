"""A model folder from the checkpoints of a run, finished or not: ``cekworld models pack``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.export.atomic import replacing
from CEKWorldLib.models.architectures import build, configuration_of
from CEKWorldLib.models.bundle import save_model
from CEKWorldLib.models.world import WorldModel

START, RUN = "start.safetensors", "run.json"


def write_start(work: Path, model: WorldModel, stages: Sequence[str], metadata: dict[str, Any], card: str) -> None:
    """Writes what checkpoints do not hold: the weights a run starts from, and what it is.

    Args:
        work: folder of the run.
        model: before its first step.
        stages: names, in order.
        metadata, card: of the model folder to be.
    """
    work.mkdir(parents=True, exist_ok=True)
    with replacing(work / START) as path:
        # Copies, because diffusers' downsamplers know their convolution by two names.
        save_file(
            {name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.state_dict().items()}, path
        )
    description = {"model": model.configuration.as_dict(), "stages": list(stages), "metadata": metadata, "card": card}
    with replacing(work / RUN) as path:
        path.write_text(json.dumps(description, indent=1) + "\n")


def load_start(work: Path, model: WorldModel) -> None:
    """Gives a model the weights a run started from.

    Raises:
        CEKWorldError: they are damaged or of another model.
    """
    try:
        model.load_state_dict(load_file(work / START))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise CEKWorldError(
            f"{work / START} is damaged, or of another model. Give another --output to begin a new run."
        ) from error


def refuse_another_run(work: Path, model: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Lets a run go on in its folder, and no other: stages that are done would keep weights of the one before.

    Args:
        work: folder of the run.
        model, metadata: configuration and metadata of the model that is about to be trained.

    Raises:
        CEKWorldError: the folder holds a run of another model, seed, start or other data, naming what differs.
    """
    if not (work / RUN).exists():
        return
    there = _read_run(work)
    mine = json.loads(json.dumps({"model": model} | metadata["training"]))
    before = {"model": there["model"]} | there["metadata"]["training"]
    other = [entry for entry in ("model", "seed", "init", "data") if mine.get(entry) != before.get(entry)]
    if other:
        raise CEKWorldError(
            f"{work} holds a run with another {' and another '.join(other)}. Start it as it was started, or give "
            "another --output."
        )


def pack(work: Path, folder: Path, name: str | None = None) -> str:
    """Writes a model folder of the averaged weights of a run's last checkpoints.

    Args:
        work: folder of the run.
        folder: to write; whole or not at all.
        name: of the model; the run's where None.

    Returns:
        sha256 of the weights.

    Raises:
        CEKWorldError: no run, no checkpoint yet, or damaged files.
    """
    run = _read_run(work)
    configuration = configuration_of(run["model"] | ({"name": name} if name else {}))
    stages, metadata, card = run["stages"], run["metadata"], run["card"]
    checkpoints = {stage: work / f"{stage}.safetensors" for stage in stages}
    reached = {stage: path for stage, path in checkpoints.items() if path.is_file()}
    if not reached:
        raise CEKWorldError(f"{work} holds no checkpoint yet; they are written every 100 steps.")
    model, steps = build(configuration), dict[str, int]()
    load_start(work, model)
    try:
        weights = dict(model.named_parameters())
        with torch.no_grad():
            for stage, path in reached.items():
                averages, steps[stage] = _average(path)
                for name, average in averages.items():
                    weights[name].copy_(average)
    except (OSError, SafetensorError, RuntimeError, KeyError) as error:
        raise CEKWorldError(f"The checkpoints in {work} are damaged or of another model.") from error
    metadata["name"] = configuration.name
    metadata["training"]["steps_done"] = steps
    done = ", ".join(f"{stage} {count} steps" for stage, count in steps.items())
    return save_model(model, folder, metadata, f"{card}\nPacked after: {done}.\n")


def _read_run(work: Path) -> dict[str, Any]:
    """What ``write_start`` said of a run; CEKWorldError where it did not, or is damaged."""
    try:
        run = json.loads((work / RUN).read_text())
        if run.keys() >= {"model", "stages", "metadata", "card"} and "training" in run["metadata"]:
            return run
    except (OSError, ValueError, TypeError, AttributeError):
        pass
    raise CEKWorldError(f"{work} is no folder of a training run: {RUN} is missing or damaged.")


def _average(path: Path) -> tuple[dict[str, torch.Tensor], int]:
    """Averaged weights of a checkpoint, and its steps."""
    with safe_open(path, "pt") as file:
        steps = int(json.loads(file.metadata()["step"]))
        names = [name for name in file.keys() if name.startswith("average.")]  # noqa: SIM118 - no mapping
        return {name.removeprefix("average."): file.get_tensor(name) for name in names}, steps
