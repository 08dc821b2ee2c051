"""The state of a training stage on disk: weights, their moving average, the optimiser's memory, and how far it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.export.atomic import replacing


@dataclass(frozen=True)
class Progress:
    """How far a stage is.

    Attributes:
        step: optimiser steps done.
        rollbacks: times it returned to a checkpoint; batches after each are other ones.
    """

    step: int = 0
    rollbacks: int = 0


def save_checkpoint(
    path: Path,
    weights: Mapping[str, nn.Parameter],
    average: Mapping[str, Tensor],
    optimiser: torch.optim.Optimizer,
    progress: Progress,
) -> None:
    """Writes a safetensors file, whole or not at all."""
    tensors: dict[str, Tensor] = {}
    state = optimiser.state_dict()["state"]
    for index, (name, weight) in enumerate(weights.items()):
        tensors[f"weight.{name}"] = weight.detach()
        tensors[f"average.{name}"] = average[name]
        for key, value in state.get(index, {}).items():
            tensors[f"optimiser.{key}.{name}"] = value
    metadata = {key: json.dumps(value) for key, value in asdict(progress).items()}
    with replacing(path) as temporary:
        save_file({k: v.contiguous() for k, v in tensors.items()}, temporary, metadata)


def load_checkpoint(
    path: Path,
    weights: Mapping[str, nn.Parameter],
    average: Mapping[str, Tensor],
    optimiser: torch.optim.Optimizer,
) -> Progress:
    """Restores what ``save_checkpoint`` wrote, in place, on the device of the weights.

    Raises:
        CEKWorldError: the file is damaged, or of a stage that trains other weights.
    """
    try:
        return _restored(path, weights, average, optimiser)
    except (OSError, SafetensorError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise CEKWorldError(
            f"The checkpoint {path} is damaged, or of another configuration. Delete it to train its stage from the "
            "beginning, or give another --output."
        ) from error


def _restored(
    path: Path,
    weights: Mapping[str, nn.Parameter],
    average: Mapping[str, Tensor],
    optimiser: torch.optim.Optimizer,
) -> Progress:
    with safe_open(path, "pt") as file:
        progress = Progress(**{key: json.loads(value) for key, value in file.metadata().items()})
    tensors = load_file(path, device=str(next(iter(weights.values())).device))
    state: dict[int, dict[str, Tensor]] = {index: {} for index in range(len(weights))}
    places = {name: index for index, name in enumerate(weights)}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, entry, name = key.split(".", 2)
            state[places[name]][entry] = value
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(tensors[f"weight.{name}"])
            average[name].copy_(tensors[f"average.{name}"])
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return progress
