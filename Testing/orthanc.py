"""A real archive for tests: Orthanc (Debian orthanc, orthanc-dicomweb) on loopback, its files in a test's folder."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

AE_TITLE = "ORTHANC"
USER, PASSWORD = "tester", "a password of the test alone"
_PLUGIN = "libOrthancDicomWeb.so"
_PLUGIN_FOLDERS = ("/usr/share/orthanc/plugins", "/usr/lib/orthanc", "/usr/local/share/orthanc/plugins")
_START_S = 60.0


@dataclass(frozen=True)
class Orthanc:
    """A running archive.

    Attributes:
        http_port: of the DICOMweb service.
        dicom_port: of the C-STORE service.
    """

    http_port: int
    dicom_port: int

    @property
    def dicom_web(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    @property
    def dimse(self) -> str:
        return f"dicom://{AE_TITLE}@127.0.0.1:{self.dicom_port}"


@contextmanager
def running_orthanc(folder: Path) -> Iterator[Orthanc]:
    """Starts an archive of its own, with a password, and stops it at the end.

    Skips the test where the programs are not installed.
    """
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
    plugin = next((Path(place, _PLUGIN) for place in _PLUGIN_FOLDERS if Path(place, _PLUGIN).exists()), None)
    if program is None:
        pytest.skip("Orthanc not found; install the Debian package orthanc")
    if plugin is None:
        pytest.skip("Orthanc's DICOMweb plugin not found; install the Debian package orthanc-dicomweb")
    archive = Orthanc(*_free_ports())
    configuration = {
        "Name": "CEKWorld tests",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": archive.http_port,
        "HttpBindAddresses": ["127.0.0.1"],
        "DicomPort": archive.dicom_port,
        "DicomAet": AE_TITLE,
        "DicomAlwaysAllowFind": True,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "Plugins": [str(plugin)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        _wait(process, archive, folder / "orthanc.log")
        yield archive
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


def _wait(process: subprocess.Popen, archive: Orthanc, log: Path) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(archive.dicom_web + "/studies", timeout=5)
        except urllib.error.HTTPError:
            return  # it answers, and asks for the password
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"Orthanc did not start: {log.read_text(errors='replace')[-2000:]}")
