"""Folders of DICOM files that appear whole or not at all, under a name no earlier export has."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from CEKWorldLib.dicom.quiet import quiet
from CEKWorldLib.errors import CEKWorldError

_NAME = "cekworld-"
_PREFIX, _SUFFIX = ".cekworld-export-", ".partial"
_ABANDONED_S = 24 * 3600.0  # no export takes a day: an older partial folder is what a killed one left


@dataclass(frozen=True)
class NewFolder:
    """A folder in the making.

    Attributes:
        staging: where to write; hidden, and readable by its owner alone.
        target: what it is going to be.
    """

    staging: Path
    target: Path


@contextmanager
def new_folder(parent: Path) -> Iterator[NewFolder]:
    """Makes a new folder in ``parent``; whatever ends the block early, an error or Ctrl-C, leaves no trace of it.

    The name holds the time and a random number, and nothing of the patient.

    Args:
        parent: is made where it does not exist.

    Raises:
        CEKWorldError: the disk is full, or nothing can be written there.
    """
    name = f"{_NAME}{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
    private = parent / f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"
    new = NewFolder(private / name, parent / name)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(parent)
        private.mkdir(mode=0o700)
        new.staging.mkdir()
        yield new
        new.staging.rename(new.target)
    except OSError as error:
        reason = error.strerror or "input/output error"
        raise CEKWorldError(f"Cannot write to {parent}: {reason}. Free some space or choose another folder.") from None
    finally:
        shutil.rmtree(private, ignore_errors=True)


def exports_in(parent: Path) -> list[Path]:
    """The folders that `new_folder` made there."""
    return sorted(path for path in parent.glob(f"{_NAME}*") if path.is_dir())


def write_dataset(dataset: Dataset, path: Path) -> None:
    """Writes a dataset as a DICOM file in Explicit VR Little Endian.

    Raises:
        CEKWorldError: a value cannot be encoded; the message does not quote it.
        OSError: the file cannot be written.
    """
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    try:
        with quiet():
            dataset.save_as(buffer, enforce_file_format=True)
    except Exception:  # the writer raises whatever the value does, and quotes it
        raise CEKWorldError(
            f"A value of the source's DICOM header cannot be written to {path.name}; export the source again."
        ) from None
    path.write_bytes(buffer.getbuffer())


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*{_SUFFIX}"):
        with suppress(OSError):  # another process may be removing it as well
            if time.time() - folder.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)
