"""Servers that are no archive, or one that fails: each is named, and every file is accounted for."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pydicom
import pytest
from dicom_exam import exported_exam

from CEKWorldLib.cli.main import main
from CEKWorldLib.dicom.phases import ExportedPhases
from CEKWorldLib.errors import CEKWorldError

pytest.importorskip("dicomweb_client", reason="install the extra: pip install 'cekworld[archive]'")
pytest.importorskip("pynetdicom", reason="install the extra: pip install 'cekworld[archive]'")

from pynetdicom import AE
from pynetdicom.sop_class import Verification

from CEKWorldLib.dicom.archive import send


@pytest.fixture
def exported(tmp_path) -> ExportedPhases:
    return exported_exam(tmp_path)


def test_an_archive_nobody_answers_for_is_asked_again_and_then_accounted_for(exported, tmp_path, capfd):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        port = unused.getsockname()[1]
        for address in (f"http://127.0.0.1:{port}/dicom-web", f"dicom://ANY@127.0.0.1:{port}"):
            reports: list[tuple[int, int]] = []
            sent = send(exported.folder, address, lambda *report, to=reports: to.append(report), wait_s=0.01)
            assert len(sent) == 48
            assert {entry.refusal for entry in sent} == {"the archive cannot be reached"}
            assert reports == [(48, 48)]  # the second batch was not even tried


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], secured: ssl.SSLContext | None = None) -> Iterator[int]:
    """Answers on a port of this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if secured:
            server.socket = secured.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


class _Moody(BaseHTTPRequestHandler):
    """A DICOMweb service that is busy at first, then accepts all but one object."""

    busy = 2
    asked = 0

    def do_POST(self) -> None:  # the name http.server calls
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).asked += 1
        if type(self).asked <= self.busy:
            self.send_error(503)
            return
        parts = [part.split(b"\r\n\r\n", 1)[1] for part in body.split(b"--0f3cf5c0")[1:-1]]
        uids = [pydicom.dcmread(pydicom.filebase.DicomBytesIO(part)).SOPInstanceUID for part in parts]
        answer = pydicom.Dataset()
        answer.ReferencedSOPSequence = [self.item(uid) for uid in uids[1:]]
        answer.FailedSOPSequence = [self.item(uids[0], FailureReason=0xA700)]
        text = answer.to_json().encode()
        self.send_response(202)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    @staticmethod
    def item(uid: str, **more: int) -> pydicom.Dataset:
        data = pydicom.Dataset()
        data.ReferencedSOPInstanceUID = uid
        for keyword, value in more.items():
            setattr(data, keyword, value)
        return data

    def log_message(self, *args) -> None:
        """Keeps the test's output clean."""


def test_a_busy_archive_is_asked_again_and_a_refused_object_is_named(exported, tmp_path, capfd, monkeypatch):
    monkeypatch.delenv("CEKWORLD_ARCHIVE_USER", raising=False)
    with serving(_Moody) as port:
        address = f"http://127.0.0.1:{port}/dicom-web"
        sent = send(exported.folder / "phase_001", address, wait_s=0.01)
        assert _Moody.asked == 3
        assert [entry.accepted for entry in sent] == [False] + [True] * 11
        assert "0xa700" in sent[0].refusal
        assert main(["send", str(exported.folder / "phase_001"), "--to", address]) == 2
        said = capfd.readouterr()
        assert "11 of 12 files accepted" in said.out
        assert "1 file(s) not accepted" in said.err and "slice_0001.dcm" in said.err


class _Puzzling(BaseHTTPRequestHandler):
    """Something else than an archive: it says yes to everything, and what it says then is no account."""

    kind, body, missing, location = "", b"", 0, ""

    def do_POST(self) -> None:  # the name http.server calls
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(302 if self.location else 200)
        if self.location:
            self.send_header("Location", self.location)
        self.send_header("Content-Type", self.kind)
        self.send_header("Content-Length", str(len(self.body) + self.missing))
        self.end_headers()
        self.wfile.write(self.body)

    do_GET = do_POST

    def log_message(self, *args) -> None:
        """Keeps the test's output clean."""


@pytest.mark.parametrize(
    "kind, body, missing, location, outcome",
    [("text/html", b"<html>Please log in</html>", 0, "", "not confirmed by the archive"),
     ("application/dicom+json", b"{", 0, "", "not confirmed by the archive"),
     ("application/dicom+json", b"[]", 0, "", "not confirmed by the archive"),
     ("application/dicom+xml", b"<NativeDicomModel", 0, "", "not confirmed by the archive"),
     ("application/dicom+json", b"{}", 50, "", "the archive cannot be reached"),
     ("text/html", b"", 0, "/elsewhere", "elsewhere or nowhere")],
)  # fmt: skip
def test_a_server_that_is_no_archive_is_never_taken_for_one(
    exported, monkeypatch, kind, body, missing, location, outcome
):
    monkeypatch.delenv("CEKWORLD_ARCHIVE_USER", raising=False)
    handler = type("Handler", (_Puzzling,), dict(kind=kind, body=body, missing=missing, location=location))
    with serving(handler) as port:
        try:
            sent = send(exported.folder / "phase_001", f"http://127.0.0.1:{port}/dicom-web", wait_s=0.01)
            assert {entry.refusal for entry in sent} == {outcome} and len(sent) == 12
        except CEKWorldError as error:
            assert outcome in str(error)


def _certificate(folder: Path, host: str) -> tuple[str, str]:
    """A self-signed certificate of a host, and its key, by OpenSSL."""
    names = [str(folder / f"{host}.{kind}") for kind in ("pem", "key")]
    host_options = ["-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-out", names[0], "-keyout", names[1]]
    subprocess.run([*command, *host_options], check=True, capture_output=True)
    return names[0], names[1]


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")
def test_a_certificate_that_is_not_trusted_is_called_so_and_its_authority_can_be_named(exported, tmp_path, monkeypatch):
    monkeypatch.delenv("CEKWORLD_ARCHIVE_USER", raising=False)
    monkeypatch.setattr(_Moody, "busy", 0)
    for host in ("localhost", "archive.example.org"):
        certificate, key = _certificate(tmp_path, host)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        with serving(_Moody, context) as port:
            address = f"https://localhost:{port}/dicom-web"
            monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
            with pytest.raises(CEKWorldError, match=r"not trusted \(self.signed certificate\).* REQUESTS_CA_BUNDLE"):
                send(exported.folder / "phase_001", address)
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
            with pytest.raises(CEKWorldError, match="REQUESTS_CA_BUNDLE names cannot be read"):
                send(exported.folder / "phase_001", address)
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate)
            if host == "localhost":
                assert [entry.accepted for entry in send(exported.folder / "phase_001", address)][1:] == [True] * 11
            else:
                with pytest.raises(CEKWorldError, match="not trusted .*mismatch.*check the address"):
                    send(exported.folder / "phase_001", address)


def test_a_plain_server_at_a_secure_address_is_named_as_one(exported):
    with serving(_Moody) as port:
        address = f"https://localhost:{port}/dicom-web"
        (refusal,) = {entry.refusal for entry in send(exported.folder / "phase_001", address, wait_s=0.01)}
        assert refusal.startswith("no secure connection to the archive")


class _Expiring(_Moody):
    """An archive whose session ends after the first batch."""

    busy, asked = 0, 0

    def do_POST(self) -> None:  # the name http.server calls
        if self.asked:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_error(401)
        else:
            super().do_POST()


def test_what_was_accepted_before_the_archive_refused_access_is_accounted_for(exported, monkeypatch):
    monkeypatch.delenv("CEKWORLD_ARCHIVE_USER", raising=False)
    with serving(_Expiring) as port:
        sent = send(exported.folder, f"http://127.0.0.1:{port}/dicom-web", wait_s=0.01)
        assert [entry.accepted for entry in sent] == [False] + [True] * 31 + [False] * 16
        assert "refuses access (HTTP 401)" in sent[-1].refusal


def test_an_archive_that_takes_no_mr_images_says_so_for_each_file(exported):
    entity = AE("ECHO")
    entity.add_supported_context(Verification)
    server = entity.start_server(("127.0.0.1", 0), block=False)
    try:
        port = server.socket.getsockname()[1]
        sent = send(exported.folder / "phase_001", f"dicom://ECHO@127.0.0.1:{port}", wait_s=0.01)
        assert len(sent) == 12 and not any(entry.accepted for entry in sent)
    finally:
        server.shutdown()
