"""Model folders: weights, configuration and card in MONAI-bundle layout, found and checked without PyTorch.

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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from CEKWorldLib.errors import CEKWorldError

MANIFEST = "manifest.json"
SHIPPED = Path(__file__).parents[2] / "Resources" / "models"
WEIGHTS, CONFIGURATION, METADATA, CARD = (
    Path("models/model.safetensors"),
    Path("configs/model.json"),
    Path("configs/metadata.json"),
    Path("docs/README.md"),
)
_LARGEST_BYTES = 8 << 30


def list_models() -> list[str]:
    """Names of the shipped models."""
    return sorted(p.parent.name for p in SHIPPED.glob(f"*/{MANIFEST}"))


def model_folder(name_or_folder: str | Path) -> Path:
    """The folder of a shipped model's name, or the folder itself.

    Raises:
        CEKWorldError: neither a name nor a model folder.
    """
    for folder in (SHIPPED / str(name_or_folder), Path(name_or_folder)):
        if (folder / MANIFEST).is_file():
            return folder
    raise CEKWorldError(
        f"There is no model '{name_or_folder}'. Give one of {', '.join(list_models()) or '(none shipped)'}, or a "
        f"folder that holds {MANIFEST}."
    )


def verify(folder: Path) -> str:
    """Checks every file of a model folder against its manifest and gives the sha256 of the weights.

    Raises:
        CEKWorldError: a file is missing or differs, naming it.
    """
    manifest = read_json(folder / MANIFEST)
    entries = [entry for entry in manifest.values() if isinstance(entry, dict) and {"bytes", "sha256"} <= entry.keys()]
    if str(WEIGHTS) not in manifest or len(entries) < len(manifest):
        raise CEKWorldError(f"{folder / MANIFEST} is no list of model files. Fetch the model folder again.")
    for name, entry in manifest.items():
        path = folder / name
        if not path.is_file():
            raise CEKWorldError(f"The model file {path} is missing. Fetch the model folder again.")
        if path.stat().st_size != entry["bytes"] or sha256_of(path) != entry["sha256"]:
            raise CEKWorldError(f"The model file {path} is damaged or was changed (sha256). Fetch the model again.")
    return manifest[str(WEIGHTS)]["sha256"]


def refuse_foreign(folder: Path) -> None:
    """Refuses a folder to write to that holds something, but no model: it would be deleted.

    Raises:
        CEKWorldError: it is there, and its manifest is none of ours.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        manifest = read_json(folder / MANIFEST)
    except CEKWorldError:
        manifest = {}
    if str(WEIGHTS) not in manifest:
        raise CEKWorldError(f"{folder} is there and is no model folder. Give another --output.")


def model_metadata(name_or_folder: str | Path) -> dict[str, Any]:
    """The metadata of a model folder."""
    return read_json(model_folder(name_or_folder) / METADATA)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Gives an empty folder to fill, which takes the place of ``folder`` at the end; an error leaves all as it was."""
    folder = Path(os.path.realpath(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    both = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    staging, replaced = both / "new", both / "old"
    try:
        staging.mkdir()
        yield staging
        staging.chmod(0o755)
        if folder.exists():
            folder.rename(replaced)  # deleting takes a while, in which a stop would cost both models
        staging.rename(folder)
    finally:
        if replaced.exists() and not folder.exists():
            replaced.rename(folder)
        shutil.rmtree(both, ignore_errors=True)


def write_manifest(folder: Path) -> str:
    """Writes the manifest of a model folder whose other files are there; gives the sha256 of the weights."""
    manifest: dict[str, dict[str, Any]] = {
        str(name): {"sha256": sha256_of(folder / name), "bytes": (folder / name).stat().st_size}
        for name in (WEIGHTS, CONFIGURATION, METADATA, CARD)
    }
    write_json(folder / MANIFEST, manifest)
    return manifest[str(WEIGHTS)]["sha256"]


def read_card(folder: Path) -> str:
    """The card of a model folder.

    Raises:
        CEKWorldError: it cannot be read.
    """
    try:
        return (folder / CARD).read_text()
    except (OSError, ValueError) as error:
        raise CEKWorldError(f"The model file {folder / CARD} cannot be read. Fetch the model again.") from error


def rewrite_card(folder: Path, card: str) -> None:
    """Gives a whole model folder another card; what else lies there stays.

    Raises:
        CEKWorldError: the folder is damaged or cannot be written.
    """
    verify(folder)
    try:
        with replacing_folder(folder) as staging:
            shutil.copytree(folder, staging, dirs_exist_ok=True)
            (staging / CARD).write_text(card)
            write_manifest(staging)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CEKWorldError(f"Cannot write {folder}: {reason}. Copy the model to a folder of your own.") from error


def sha256_of(path: Path) -> str:
    """Checksum of a file.

    Raises:
        CEKWorldError: larger than any model.
    """
    if path.stat().st_size > _LARGEST_BYTES:
        raise CEKWorldError(f"{path} is larger than {_LARGEST_BYTES >> 30} GB, which no CEKWorld model is.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """The values in a file of a model folder.

    Raises:
        CEKWorldError: it cannot be read.
    """
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CEKWorldError(f"The model file {path} cannot be read ({type(error).__name__}).") from error
    if not isinstance(values, dict):
        raise CEKWorldError(f"The model file {path} holds no named values. Fetch the model again.")
    return values


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes values as a file of a model folder."""
    path.write_text(json.dumps(values, indent=2) + "\n")
