"""No command says anything of the patient, whatever happens."""

from __future__ import annotations

import shutil
import socket
import tempfile
from contextlib import closing
from pathlib import Path

import pydicom
import pytest
from commands import COMMANDS, write_inputs
from dicom_exam import PROVENANCE, TIMES_S, images, synthesized, write_exam
from pydicom import config

from CEKWorldLib.cli.main import OK, USER_ERROR, main
from CEKWorldLib.dicom.anonymize import anonymized
from CEKWorldLib.dicom.archive import send
from CEKWorldLib.dicom.phases import export_phases
from CEKWorldLib.dicom.source import read_source
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.export.seq_nrrd import write_sequence

CANARY = "ZZPHI"


@pytest.fixture(scope="module")
def exam(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exam") / "pre"
    write_exam(folder)
    return folder


def test_anonymized_phases_hold_nothing_of_the_patient_and_still_belong_together(exam, tmp_path):
    source = anonymized(read_source(exam))
    done = export_phases(synthesized(exam), source, PROVENANCE, tmp_path)
    originals = [pydicom.dcmread(f) for f in exam.iterdir()]
    kinds = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")
    telling = {str(d[keyword].value) for d in originals for keyword in kinds}
    telling |= {CANARY, "Müller", "19610203", "20240229", "235930", "Station"}
    for file in done.folder.rglob("*.dcm"):
        raw = file.read_bytes()
        assert [text for text in telling if text.encode() in raw] == []
    phases = images(done.folder)
    assert len({image.StudyInstanceUID for phase in phases for image in phase}) == 1
    assert phases[0][0].PatientIdentityRemoved == "YES"
    assert phases[0][0].PatientID != images(
        export_phases(synthesized(exam), anonymized(read_source(exam)), PROVENANCE, tmp_path).folder
    )[0][0].PatientID  # fmt: skip


def test_uids_that_break_the_rules_are_replaced_like_others(exam, tmp_path):
    folder = tmp_path / "exam"
    folder.mkdir()
    for number, file in enumerate(sorted(exam.iterdir()), start=1):
        data = pydicom.dcmread(file)
        with config.disable_value_validation():
            data.SOPInstanceUID, data.SeriesInstanceUID = f"1.2.003.{number}", "1.2.004.5"
            data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
            data.save_as(folder / file.name)
    source = anonymized(read_source(folder))
    assert len({header.SOPInstanceUID for header in source.headers}) == 6
    assert len({header.SeriesInstanceUID for header in source.headers}) == 1
    done = export_phases(synthesized(folder), source, PROVENANCE, tmp_path / "out")
    assert not any(b"1.2.00" in file.read_bytes() for file in done.folder.rglob("*.dcm"))


def test_the_command_exports_quietly_about_the_patient(exam, tmp_path, capfd, caplog):
    series = synthesized(exam)
    facts = {"model": "compact", "model_sha256": "ab" * 32, "seed": "3", "Synthetic": "1"}
    path = tmp_path / "phases.seq.nrrd"
    write_sequence(path, series.grid, TIMES_S, series.frames, {f"CEKWorld.{k}": v for k, v in facts.items()})
    caplog.set_level("DEBUG")
    assert main(["export-dicom", str(path), "--source", str(exam), "--output", str(tmp_path / "out")]) == 0
    said = capfd.readouterr()
    (folder,) = (tmp_path / "out").iterdir()
    assert str(folder) in said.out and "4 SYNTHETIC phases, 24 images" in said.out
    image = images(folder)[2][0]
    assert "seed=3" in image.DerivationDescription and "t=+90.500 s" in image.DerivationDescription
    names = [str(p) for p in tmp_path.rglob("*")]
    assert CANARY not in said.out + said.err + caplog.text + "".join(names)
    assert main(["export-dicom", str(path), "--source", str(exam), "--output", str(exam / "out")]) == 2
    assert "--output lies in the folder of the source" in capfd.readouterr().err


# Every command, on exams whose headers and voxels are in order and on ones where something goes wrong.


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder)
    return folder


def spoil(folder: Path) -> None:
    """Values of the wrong kind, which pydicom and highdicom quote when they meet them."""
    for file in sorted(folder.rglob("*.dcm")):
        data = pydicom.dcmread(file)
        with config.disable_value_validation():
            data.add_new("AcquisitionDate", "LO", "ZZPHI date")
            data.add_new("SliceThickness", "LO", "ZZPHI thick")
            data.add_new("PatientAge", "AS", "ZZPHI years")
            data.add_new("PixelSpacing", "LO", "ZZPHI spacing")
            data.save_as(file)


@pytest.mark.parametrize("good", [True, False], ids=["good", "spoiled"])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_names_the_patient_on_screen_in_logs_or_in_names_of_files(
    command, good, inputs, tmp_path, capfd, caplog, recwarn, monkeypatch
):
    folder, out, temporary = tmp_path / "in", tmp_path / "out", tmp_path / "temporary"
    shutil.copytree(inputs, folder)
    out.mkdir()
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    made: list[str] = []
    for name in ("mkdir", "open"):  # every file and folder there ever was, the temporary ones too
        watch(monkeypatch, name, made)
    if not good:
        spoil(folder)
    caplog.set_level("DEBUG")
    caplog.clear()
    recwarn.clear()
    assert main(COMMANDS[command](folder, out)) == (OK if good else USER_ERROR)
    said = capfd.readouterr()
    shown = [said.out, said.err, caplog.text, *(str(w.message) for w in recwarn), *made]
    assert [text for text in shown if CANARY in text] == []
    assert list(temporary.iterdir()) == []
    texts = [path for path in out.rglob("*") if path.suffix not in (".dcm", ".png")]
    assert [path.name for path in texts if path.is_file() and CANARY.encode() in path.read_bytes()] == []
    assert good or list(out.iterdir()) == []


def watch(monkeypatch, name: str, made: list[str]) -> None:
    """Notes the path of every call of a method of Path."""
    original = getattr(Path, name)

    def noting(self: Path, *args, **kwargs):
        made.append(str(self.name))
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Path, name, noting)


def test_sending_says_nothing_of_the_patient_where_nobody_answers_and_where_a_file_is_damaged(
    inputs, tmp_path, capfd, caplog
):
    folder = tmp_path / "files"
    shutil.copytree(inputs / "pre", folder)
    spoil(folder)
    caplog.set_level("DEBUG")
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    for address in (f"http://127.0.0.1:{port}/dicom-web", f"dicom://NOBODY@127.0.0.1:{port}"):
        sent = send(folder, address, wait_s=0.0)
        assert not any(entry.accepted for entry in sent)
        assert CANARY not in "".join(entry.refusal for entry in sent)
    (folder / "im001.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"ZZPHI" * 20)
    with pytest.raises(CEKWorldError, match="im001.dcm is damaged") as caught:
        send(folder, address)
    said = capfd.readouterr()
    assert CANARY not in said.out + said.err + caplog.text + str(caught.value)
