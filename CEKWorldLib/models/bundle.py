"""Models out of model folders, whose layout is in ``folders``, and into them.

Weights are safetensors alone and are checked against the manifest before a tensor is made.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.architectures import build, configuration_of
from CEKWorldLib.models.folders import (
    CARD,
    CONFIGURATION,
    METADATA,
    WEIGHTS,
    model_folder,
    read_json,
    replacing_folder,
    verify,
    write_json,
    write_manifest,
)
from CEKWorldLib.models.world import WorldModel, channels_last

if TYPE_CHECKING:
    from CEKWorldLib.models.paper import PaperWorldModel


def load_model(name_or_folder: str | Path = "compact") -> WorldModel:
    """A world model on the CPU, in evaluation mode.

    Raises:
        CEKWorldError: the folder is not whole, is not safetensors, or does not fit the configuration.
    """
    folder = model_folder(name_or_folder)
    digest = verify(folder)
    model = _built(read_json(folder / CONFIGURATION))
    expected = model.state_dict()
    path = folder / WEIGHTS
    try:
        with safe_open(path, "pt") as file:
            names = set(file.keys())
            if names != set(expected):
                raise CEKWorldError(f"{path} does not fit its configuration: {_difference(names, set(expected))}.")
            for name, tensor in expected.items():
                stored = file.get_slice(name).get_shape()
                if list(tensor.shape) != stored:
                    raise CEKWorldError(f"{path}: tensor {name} has shape {stored}, not {list(tensor.shape)}.")
            model.load_state_dict({name: file.get_tensor(name).float() for name in names})
    except SafetensorError as error:
        raise CEKWorldError(f"{path} is not a safetensors file ({error}). Fetch the model again.") from error
    model.sha256 = digest
    return channels_last(model).eval().requires_grad_(False)


def _built(configuration: dict[str, Any]) -> WorldModel:
    try:
        return build(configuration_of(configuration))
    except TypeError as error:  # entries that are missing, unknown or of a wrong kind
        raise CEKWorldError(
            "The model's configuration fits no network of this version of CEKWorld; update CEKWorld, or fetch the "
            "model again."
        ) from error


def save_model(model: WorldModel | PaperWorldModel, folder: Path, metadata: dict[str, Any], card: str) -> str:
    """Writes a model folder whole or not at all; weights as float16. Gives the sha256 of the weights."""
    with replacing_folder(folder) as staging:
        for name in (WEIGHTS, CONFIGURATION, CARD):
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            save_file({k: v.detach().half().contiguous() for k, v in model.state_dict().items()}, staging / WEIGHTS)
        except SafetensorError as error:  # which a full disk is too
            raise CEKWorldError(f"Cannot write {folder}: {error}. Free some space or choose another folder.") from error
        (staging / WEIGHTS).chmod(0o644)  # safetensors lets nobody else read, and a host serves many
        write_json(staging / CONFIGURATION, model.configuration.as_dict())
        write_json(staging / METADATA, metadata)
        (staging / CARD).write_text(card)
        return write_manifest(staging)


def _difference(found: set[str], expected: set[str]) -> str:
    missing, extra = sorted(expected - found)[:3], sorted(found - expected)[:3]
    return "; ".join(
        part for part in (f"missing {missing}" if missing else "", f"unexpected {extra}" if extra else "") if part
    )
