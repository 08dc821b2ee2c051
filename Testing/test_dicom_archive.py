"""Archives: what is sent to a real Orthanc comes back as it was, and what goes wrong is said for every file."""

from __future__ import annotations

import csv
import socket
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from dicom_exam import exported_exam, write_exam
from orthanc import AE_TITLE, PASSWORD, USER, Orthanc, running_orthanc

from CEKWorldLib.cli.main import main
from CEKWorldLib.dicom.credentials import credentials_for
from CEKWorldLib.dicom.phases import ExportedPhases
from CEKWorldLib.errors import Cancelled, CEKWorldError

pytest.importorskip("dicomweb_client", reason="install the extra: pip install 'cekworld[archive]'")
pytest.importorskip("pynetdicom", reason="install the extra: pip install 'cekworld[archive]'")

from dicomweb_client import DICOMwebClient
from dicomweb_client.session_utils import create_session_from_user_pass
from pynetdicom import AE
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from CEKWorldLib.dicom.archive import BATCH, send

CANARY = "ZZPHI"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


@pytest.fixture
def login(monkeypatch):
    monkeypatch.setenv("CEKWORLD_ARCHIVE_USER", USER)
    monkeypatch.setenv("CEKWORLD_ARCHIVE_PASSWORD", PASSWORD)


@pytest.fixture
def exported(tmp_path) -> ExportedPhases:
    return exported_exam(tmp_path)


def client(archive: Orthanc) -> DICOMwebClient:
    return DICOMwebClient(archive.dicom_web, session=create_session_from_user_pass(USER, PASSWORD))


def by_dicom_web(archive: Orthanc) -> str:
    return archive.dicom_web


def by_c_store(archive: Orthanc) -> str:
    return archive.dimse


@pytest.mark.parametrize("address", [by_dicom_web, by_c_store])
def test_stored_phases_are_found_and_come_back_with_pixels_geometry_and_uids(archive, login, exported, address):
    reports: list[tuple[int, int]] = []
    sent = send(exported.folder, address(archive), progress=lambda *report: reports.append(report))
    files = sorted(exported.folder.rglob("*.dcm"))
    assert [entry.file for entry in sent] == files and len(files) == 48 > BATCH
    assert all(entry.accepted for entry in sent)
    assert reports == [(32, 48), (48, 48)]

    web = client(archive)
    found = web.search_for_series(exported.study_uid, fields=["SeriesDescription", "NumberOfSeriesRelatedInstances"])
    found = [pydicom.Dataset.from_json(item) for item in found]
    assert {item.SeriesInstanceUID for item in found} == set(exported.series_uids)
    assert {item.NumberOfSeriesRelatedInstances for item in found} == {12}
    assert all(item.SeriesDescription.startswith("SYNTHETIC t=") for item in found)

    back = {
        image.SOPInstanceUID: image
        for uid in exported.series_uids
        for image in web.retrieve_series(exported.study_uid, uid)
    }
    assert set(back) == {entry.sop_instance_uid for entry in sent}
    for file in files:
        image = pydicom.dcmread(file)
        stored = back[image.SOPInstanceUID]
        assert np.array_equal(stored.pixel_array, image.pixel_array)
        stored.PixelData = image.PixelData = b""
        assert stored == image  # every attribute: geometry, UIDs, marks


def test_phases_are_found_by_c_find_too(archive, login, exported):
    send(exported.folder, archive.dimse)
    entity = AE("CEKWORLD")
    entity.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    association = entity.associate("127.0.0.1", archive.dicom_port, ae_title=AE_TITLE)
    question = pydicom.Dataset()
    question.QueryRetrieveLevel = "SERIES"
    question.StudyInstanceUID, question.SeriesInstanceUID = exported.study_uid, ""
    answers = list(association.send_c_find(question, StudyRootQueryRetrieveInformationModelFind))
    association.release()
    assert {answer.SeriesInstanceUID for _, answer in answers if answer} == set(exported.series_uids)


def test_sending_twice_keeps_one_copy(archive, login, exported):
    for _ in range(2):
        assert all(entry.accepted for entry in send(exported.folder, archive.dicom_web))
    assert len(client(archive).search_for_instances(exported.study_uid)) == exported.files


def test_the_command_lists_what_was_accepted_and_says_nothing_of_the_patient(
    archive, login, exported, tmp_path, capfd, caplog
):
    caplog.set_level("DEBUG")
    listed = tmp_path / "accepted.csv"
    for address in (archive.dicom_web, archive.dimse):
        assert main(["send", str(exported.folder), "--to", address, "--list", str(listed)]) == 0
        said = capfd.readouterr()
        assert "48 of 48 files accepted" in said.out
        assert CANARY not in said.out + said.err + caplog.text + listed.read_text()
        assert PASSWORD not in said.out + said.err + caplog.text
    rows = list(csv.DictReader(listed.open()))
    assert {row["outcome"] for row in rows} == {"accepted"} and len(rows) == 48
    assert {row["SOPInstanceUID"] for row in rows} == {pydicom.dcmread(row["file"]).SOPInstanceUID for row in rows}


def test_without_the_right_password_nothing_is_stored(archive, exported, monkeypatch):
    monkeypatch.delenv("CEKWORLD_ARCHIVE_USER", raising=False)
    with pytest.raises(CEKWorldError, match="refuses access .HTTP 401"):
        send(exported.folder, archive.dicom_web)
    monkeypatch.setenv("CEKWORLD_ARCHIVE_USER", USER)
    monkeypatch.setenv("CEKWORLD_ARCHIVE_PASSWORD", "wrong")
    with pytest.raises(CEKWorldError, match="refuses access") as caught:
        send(exported.folder, archive.dicom_web)
    assert "wrong" not in str(caught.value)
    assert client(archive).search_for_studies(search_filters={"StudyInstanceUID": exported.study_uid}) == []


def test_passwords_in_netrc_are_not_used(archive, exported, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text(f'machine 127.0.0.1 login {USER} password "{PASSWORD}"\n')
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.delenv("CEKWORLD_ARCHIVE_USER", raising=False)
    with pytest.raises(CEKWorldError, match="refuses access"):
        send(exported.folder, archive.dicom_web)


def test_cancel_stops_between_batches(archive, login, exported):
    stop = threading.Event()
    with pytest.raises(Cancelled, match="32 of 48"):
        send(exported.folder, archive.dicom_web, progress=lambda done, total: stop.set(), cancel=stop)


@pytest.mark.parametrize(
    "address",
    ["archive", "ftp://archive/dicom", "dicom://archive:4242", "dicom://A@archive", "https:///dicom-web",
     "dicom://A@archive:abc", "https://archive:99999/dicom-web", "http://[::1/dicom-web",
     "dicom://MORE_THAN_SIXTEEN@archive:104", "dicom://Ä@archive:104"],
)  # fmt: skip
def test_other_addresses_are_refused(tmp_path, address):
    with pytest.raises(CEKWorldError, match="address is not one"):
        send(tmp_path, address)


def test_credentials_stay_out_of_addresses_and_off_open_networks(tmp_path, login):
    with pytest.raises(CEKWorldError, match="holds a password") as caught:
        send(tmp_path, "https://me:secret@archive/dicom-web")
    assert "secret" not in str(caught.value)
    with pytest.raises(CEKWorldError, match="unencrypted"):
        send(tmp_path, "http://archive.example/dicom-web")
    assert PASSWORD not in repr(credentials_for("localhost", encrypted=False))


def test_the_keyring_is_asked_where_the_environment_is_silent(monkeypatch):
    asked = []

    def get_credential(service: str, user: str | None) -> SimpleNamespace:
        asked.append((service, user))
        return SimpleNamespace(username="me", password="secret")

    keyring = SimpleNamespace(get_credential=get_credential, errors=SimpleNamespace(KeyringError=RuntimeError))
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.delenv("CEKWORLD_ARCHIVE_USER", raising=False)
    found = credentials_for("archive.example", encrypted=True)
    assert (found.user, found.password, asked) == ("me", "secret", [("cekworld:archive.example", None)])
    monkeypatch.setenv("CEKWORLD_ARCHIVE_USER", "me")
    monkeypatch.delenv("CEKWORLD_ARCHIVE_PASSWORD", raising=False)
    assert credentials_for("archive.example", encrypted=True).password == "secret"
    assert asked[1:] == [("cekworld:archive.example", "me")]
    monkeypatch.setenv("CEKWORLD_ARCHIVE_TOKEN", "abc")
    assert credentials_for("archive.example", encrypted=True).token == "abc" and len(asked) == 2

    def locked(service: str, user: str | None) -> None:
        raise RuntimeError("locked")

    monkeypatch.delenv("CEKWORLD_ARCHIVE_TOKEN")
    monkeypatch.setattr(keyring, "get_credential", locked)
    with pytest.raises(CEKWorldError, match="keyring cannot be read"):
        credentials_for("archive.example", encrypted=True)


def test_what_a_killed_export_left_is_not_sent(tmp_path):
    shown, hidden = tmp_path / ".data" / "cekworld-1", tmp_path / ".data" / ".cekworld-export-0.partial" / "cekworld-2"
    for folder in (shown, hidden):
        write_exam(folder, slices=2)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        sent = send(tmp_path / ".data", f"dicom://ANY@127.0.0.1:{unused.getsockname()[1]}", wait_s=0.01)
    assert len(sent) == 2 and {entry.file.parent for entry in sent} == {shown}


def test_a_folder_without_dicom_files_is_refused(tmp_path):
    (tmp_path / "note.txt").write_text("nothing")
    for folder, message in ((tmp_path, "holds no DICOM files"), (Path(tmp_path, "absent"), "does not exist")):
        with pytest.raises(CEKWorldError, match=message):
            send(folder, "dicom://ANY@127.0.0.1:104")
