"""C-STORE (PS3.4 annex B) through pynetdicom."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pydicom
from pynetdicom import AE

from CEKWorldLib.dicom.quiet import quiet
from CEKWorldLib.dicom.transfer import Unavailable
from CEKWorldLib.errors import CEKWorldError

AE_TITLE = "CEKWORLD"
TIMEOUT_S = 30.0
_SUCCESS, _WARNINGS = 0x0000, 0xB000  # B000 to BFFF: stored, with a remark
_OUT_OF_RESOURCES = 0xA700  # A700 to A7FF: worth another attempt


class CStore:
    """Stores files in an archive that speaks DICOM's own protocol.

    Args:
        host: name or address.
        port: of its storage service.
        ae_title: of the archive.
    """

    def __init__(self, host: str, port: int, ae_title: str) -> None:
        self._host, self._port, self._title = host, port, ae_title

    def store(self, files: Mapping[Path, str]) -> dict[Path, str]:
        """See ``Transfer.store``."""
        with quiet():
            return self._store({path: pydicom.dcmread(path) for path in files})

    def _store(self, datasets: Mapping[Path, pydicom.FileDataset]) -> dict[Path, str]:
        entity = AE(AE_TITLE)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = TIMEOUT_S
        kinds = {(data.SOPClassUID, data.file_meta.TransferSyntaxUID) for data in datasets.values()}
        for sop_class, syntax in kinds:
            entity.add_requested_context(sop_class, syntax)
        association = entity.associate(self._host, self._port, ae_title=self._title)
        if association.is_rejected:
            raise CEKWorldError(
                f"The archive refuses the association; check the AE title ({self._title}) and that it knows {AE_TITLE}."
            )
        if not association.is_established:
            raise Unavailable("the archive cannot be reached")
        answers: dict[Path, str] = {}
        try:
            for path, data in datasets.items():
                try:
                    status = association.send_c_store(data).get("Status")
                except ValueError:  # no context for this kind of object was accepted
                    answers[path] = "the archive takes no objects of this kind"
                    continue
                except RuntimeError:  # the association is gone
                    status = None
                if status is None:
                    raise Unavailable("the archive broke off the connection", answers)
                if status & 0xFF00 == _OUT_OF_RESOURCES:
                    raise Unavailable("the archive is out of resources", answers)
                stored = status == _SUCCESS or status & 0xF000 == _WARNINGS
                answers[path] = "" if stored else f"refused with status {status:#06x}"
        finally:
            if association.is_established:
                association.release()
        return answers
