"""Model folders: weights, configuration and card in MONAI-bundle layout, checked before use.

    NAME/
      configs/metadata.json   what the model is, its data, its limits (MONAI bundle metadata)
      configs/model.json      the network's configuration
      models/model.safetensors
      docs/README.md          the model card
      manifest.json           sha256 and size of every file above

Weights are safetensors alone and are checked against the manifest before a tensor is made.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.configuration import Configuration
from CEKWorldLib.models.world import WorldModel, channels_last

if TYPE_CHECKING:
    from CEKWorldLib.models.paper import PaperWorldModel

SHIPPED = Path(__file__).parents[2] / "Resources" / "models"
_WEIGHTS, _CONFIGURATION, _METADATA, _CARD = (
    Path("models/model.safetensors"),
    Path("configs/model.json"),
    Path("configs/metadata.json"),
    Path("docs/README.md"),
)
_LARGEST_BYTES = 8 << 30


def list_models() -> list[str]:
    """Names of the shipped models."""
    return sorted(p.parent.name for p in SHIPPED.glob("*/manifest.json"))


def model_folder(name_or_folder: str | Path) -> Path:
    """The folder of a shipped model's name, or the folder itself.

    Raises:
        CEKWorldError: neither a name nor a model folder.
    """
    for folder in (SHIPPED / str(name_or_folder), Path(name_or_folder)):
        if (folder / "manifest.json").is_file():
            return folder
    raise CEKWorldError(
        f"There is no model '{name_or_folder}'. Give one of {', '.join(list_models()) or '(none shipped)'}, or a "
        "folder that holds manifest.json."
    )


def verify(folder: Path) -> str:
    """Checks every file of a model folder against its manifest and gives the sha256 of the weights.

    Raises:
        CEKWorldError: a file is missing or differs, naming it.
    """
    manifest = _read_json(folder / "manifest.json")
    if str(_WEIGHTS) not in manifest:
        raise CEKWorldError(f"{folder / 'manifest.json'} lists no {_WEIGHTS}. Fetch the model folder again.")
    for name, entry in manifest.items():
        path = folder / name
        if not path.is_file():
            raise CEKWorldError(f"The model file {path} is missing. Fetch the model folder again.")
        if path.stat().st_size != entry["bytes"] or _sha256(path) != entry["sha256"]:
            raise CEKWorldError(f"The model file {path} is damaged or was changed (sha256). Fetch the model again.")
    return manifest[str(_WEIGHTS)]["sha256"]


def load_model(name_or_folder: str | Path = "compact") -> WorldModel:
    """A world model on the CPU, in evaluation mode.

    Raises:
        CEKWorldError: the folder is not whole, is not safetensors, or does not fit the configuration.
    """
    folder = model_folder(name_or_folder)
    digest = verify(folder)
    model = _built(_read_json(folder / _CONFIGURATION))
    expected = model.state_dict()
    path = folder / _WEIGHTS
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
    """The network a configuration describes; the published one is imported where it is asked for alone."""
    if configuration.get("architecture") != "paper":
        return WorldModel(Configuration.from_dict(configuration))
    try:
        from CEKWorldLib.models.paper import PaperSizes, PaperWorldModel
    except ModuleNotFoundError as error:
        raise CEKWorldError(
            f"This model needs the package {error.name}; install it with: pip install 'cekworld[paper]'."
        ) from error
    return cast(WorldModel, PaperWorldModel(PaperSizes.from_dict(configuration)))  # the same interface


def save_model(model: WorldModel | PaperWorldModel, folder: Path, metadata: dict[str, Any], card: str) -> str:
    """Writes a model folder whole or not at all; weights as float16. Gives the sha256 of the weights."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        for name in (_WEIGHTS, _CONFIGURATION, _CARD):
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
        save_file({k: v.detach().half().contiguous() for k, v in model.state_dict().items()}, staging / _WEIGHTS)
        _write_json(staging / _CONFIGURATION, model.configuration.as_dict())
        _write_json(staging / _METADATA, metadata)
        (staging / _CARD).write_text(card)
        manifest: dict[str, dict[str, Any]] = {
            str(name): {"sha256": _sha256(staging / name), "bytes": (staging / name).stat().st_size}
            for name in (_WEIGHTS, _CONFIGURATION, _METADATA, _CARD)
        }
        _write_json(staging / "manifest.json", manifest)
        staging.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return manifest[str(_WEIGHTS)]["sha256"]


def model_metadata(name_or_folder: str | Path) -> dict[str, Any]:
    """The metadata of a model folder."""
    return _read_json(model_folder(name_or_folder) / _METADATA)


def _difference(found: set[str], expected: set[str]) -> str:
    missing, extra = sorted(expected - found)[:3], sorted(found - expected)[:3]
    return "; ".join(
        part for part in (f"missing {missing}" if missing else "", f"unexpected {extra}" if extra else "") if part
    )


def _sha256(path: Path) -> str:
    if path.stat().st_size > _LARGEST_BYTES:
        raise CEKWorldError(f"{path} is larger than {_LARGEST_BYTES >> 30} GB, which no CEKWorld model is.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CEKWorldError(f"The model file {path} cannot be read ({type(error).__name__}).") from error


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n")
