"""Sends DICOM files to an archive, by DICOMweb or by C-STORE, and keeps account of every one of them."""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pydicom
from pydicom.errors import InvalidDicomError

from CEKWorldLib.dicom.credentials import credentials_for
from CEKWorldLib.dicom.quiet import quiet
from CEKWorldLib.dicom.transfer import Transfer, Unavailable
from CEKWorldLib.errors import Cancelled, CEKWorldError
from CEKWorldLib.exam.dicom_files import is_dicom
from CEKWorldLib.export.atomic import replacing
from CEKWorldLib.synthesis.progress import Cancel, is_cancelled

BATCH = 32  # files per request or association: 4 MB of 256 x 256 slices
_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")  # PS3.5 table 6.2-1
_NO_ADDRESS = (
    "The archive's address is not one CEKWorld can send to; give https://host/dicom-web or dicom://AE_TITLE@host:port."
)
ATTEMPTS, FIRST_WAIT_S = 4, 1.0  # waits of 1, 2 and 4 s outlast a restart of most services

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Sent:
    """What became of one file.

    Attributes:
        file: where it is.
        sop_instance_uid: which object it holds.
        refusal: why the archive does not have it; empty where it confirmed that it has.
    """

    file: Path
    sop_instance_uid: str
    refusal: str

    @property
    def accepted(self) -> bool:
        return not self.refusal


def send(
    folder: Path | str,
    address: str,
    progress: Report | None = None,
    cancel: Cancel | None = None,
    wait_s: float = FIRST_WAIT_S,
) -> list[Sent]:
    """Sends every DICOM file of a folder. Sending again is harmless: objects keep their UIDs.

    Args:
        folder: searched with its subfolders, except for hidden ones.
        address: ``https://host/dicom-web``, or ``dicom://AE_TITLE@host:port`` for C-STORE.
        progress: called with (files answered for, files in all) after each batch.
        cancel: asked before each batch.
        wait_s: before the first repetition, doubled for each further one.

    Returns:
        One entry per file, in the order of their paths, whether accepted or not.

    Raises:
        CEKWorldError: no DICOM files, a missing library, or an address, certificate or credentials that do not work
            from the start.
        Cancelled: the user asked to stop; what was accepted so far stays in the archive.
    """
    transfer = _transfer(address)
    files = _files(Path(folder))
    sent: list[Sent] = []
    for start in range(0, len(files), BATCH):
        if is_cancelled(cancel):
            raise Cancelled(f"Stopped; the archive has answered for {len(sent)} of {len(files)} files.")
        try:
            answers, unanswered = _send_batch(transfer, dict(files[start : start + BATCH]), wait_s)
        except CEKWorldError as error:
            if not sent:
                raise
            answers, unanswered = {}, str(error).rstrip(".")  # credentials run out: the account of the others stays
        # An archive that stays silent is not waited for batch after batch: the rest gets the same reason.
        batch = files[start:] if unanswered else files[start : start + BATCH]
        sent += [Sent(path, uid, answers.get(path, unanswered)) for path, uid in batch]
        if progress:
            progress(len(sent), len(files))
        if unanswered:
            break
    return sent


def write_list(sent: Sequence[Sent], path: Path) -> None:
    """Writes the account as CSV: file, SOPInstanceUID, accepted or the reason for refusal.

    Raises:
        CEKWorldError: the file cannot be written.
    """
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file", "SOPInstanceUID", "outcome"))
        writer.writerows((entry.file, entry.sop_instance_uid, entry.refusal or "accepted") for entry in sent)


def _transfer(address: str) -> Transfer:
    try:
        url = urlsplit(address)
        port = url.port
    except ValueError:  # a port that is no number from 0 to 65535, or half a bracket
        raise CEKWorldError(_NO_ADDRESS) from None
    if url.password:
        raise CEKWorldError(
            "The archive's address holds a password; give it in the environment instead (docs/dicom.md)."
        )
    try:
        if url.scheme in ("http", "https") and url.hostname:
            from CEKWorldLib.dicom.stow import DicomWeb

            return DicomWeb(address, credentials_for(url.hostname, encrypted=url.scheme == "https"))
        title = url.username or ""
        if url.scheme == "dicom" and url.hostname and port and _AE_TITLE.fullmatch(title):
            from CEKWorldLib.dicom.cstore import CStore

            return CStore(url.hostname, port, title)
    except ImportError as error:
        raise CEKWorldError(f"Sending needs {error.name}; install it with: pip install 'cekworld[archive]'") from error
    raise CEKWorldError(_NO_ADDRESS)


def _files(folder: Path) -> list[tuple[Path, str]]:
    """DICOM files with their SOPInstanceUID, in the order of their paths."""
    if not folder.exists():
        raise CEKWorldError(f"{folder} does not exist; check the path.")
    found = sorted(path for path in (_visible(folder) if folder.is_dir() else [folder]) if path.is_file())
    files: list[tuple[Path, str]] = []
    for path in found:
        try:
            if not is_dicom(path):
                continue
            with quiet():
                header = pydicom.dcmread(path, specific_tags=["SOPInstanceUID"], stop_before_pixels=True)
            files.append((path, str(header.SOPInstanceUID)))
        except (InvalidDicomError, AttributeError, ValueError) as error:
            raise CEKWorldError(f"{path.name} is damaged and cannot be sent; export it again.") from error
        except OSError as error:
            raise CEKWorldError(f"{path.name} cannot be opened ({error.strerror}); check its permissions.") from error
    if not files:
        raise CEKWorldError(f"{folder} holds no DICOM files; name the folder of an export.")
    return files


def _visible(folder: Path) -> Iterator[Path]:
    """What a folder holds at any depth, without what is hidden: exports that run or were killed keep their files so."""
    for path in folder.rglob("*"):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _send_batch(transfer: Transfer, files: dict[Path, str], wait_s: float) -> tuple[dict[Path, str], str]:
    """Sends a few files, the unanswered ones again while the archive is out of reach or busy.

    Returns:
        The answers as `Transfer.store` gives them, and why files stayed unanswered; empty where none did.
    """
    answers: dict[Path, str] = {}
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(wait_s * 2 ** (attempt - 1))
        try:
            answers |= transfer.store({path: uid for path, uid in files.items() if path not in answers})
            return answers, ""
        except Unavailable as error:
            answers |= error.answers
            reason = str(error)
    return answers, reason
