"""One safetensors file with tensors and JSON facts, written whole or not at all, and checked when read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from CEKWorldLib.errors import CEKWorldError

FORMAT = "CEKWorld session 1"


def write_archive(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Writes beside the target and renames, so that no reader ever meets half a file.

    Raises:
        CEKWorldError: the file cannot be written (disk full, no permission); nothing is left behind.
    """
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    metadata = {"format": FORMAT, "facts": json.dumps(facts), "sha256": _digest(contiguous)}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(contiguous, temporary, metadata)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        raise CEKWorldError(
            f"{path} could not be written ({_reason(error)}); free some space there or choose another folder."
        ) from error
    finally:
        _discard(temporary)


def _discard(path: Path) -> None:
    # Where the folder itself could not be made or read, there is nothing to discard either.
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def read_archive(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads what ``write_archive`` wrote.

    Raises:
        CEKWorldError: no such file, not a CEKWorld session, or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise CEKWorldError(f"{path} is not a CEKWorld session; choose a file that CEKWorld saved.")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            facts = json.loads(metadata["facts"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise CEKWorldError(f"{path} cannot be read as a CEKWorld session ({_reason(error)}).") from error
    if _digest(tensors) != metadata.get("sha256"):
        raise CEKWorldError(f"{path} is damaged: its checksum does not match. Synthesize the exam again.")
    return tensors, facts


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _reason(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error)).strip().rstrip(".")
