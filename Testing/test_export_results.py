"""Results of a series as a folder of DICOM objects: complete or not there at all, and consistent with each other."""

from __future__ import annotations

from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dciodvfy import complaints
from dicom_exam import PROVENANCE, synthesized, write_exam
from orthanc import PASSWORD, USER, running_orthanc

from CEKWorldLib.cli.main import USER_ERROR, main
from CEKWorldLib.dicom import results as module
from CEKWorldLib.dicom.results import export_results
from CEKWorldLib.dicom.source import read_source
from CEKWorldLib.errors import Cancelled, CEKWorldError
from CEKWorldLib.export.seq_nrrd import write_sequence
from CEKWorldLib.kinetics.maps import maps
from CEKWorldLib.kinetics.roi import roi_curves

CHOSEN = ("curve_type", "initial_phase", "percent_enhancement", "ser")


@pytest.fixture(scope="module")
def exam(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exam")
    write_exam(folder)
    return folder


@pytest.fixture(scope="module")
def series(exam):
    return synthesized(exam)


@pytest.fixture(scope="module")
def measured(series):
    mask = np.zeros(series.grid.shape, bool)
    mask[2:4, 10:14, 20:23] = True
    computed = maps(series.frames, series.times_s, threads=1)
    chosen = {name: computed[name] for name in CHOSEN}
    return roi_curves(series.frames, series.times_s, {"lesion": mask}), chosen


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_one_folder_holds_the_regions_their_report_and_each_map(exam, series, measured, tmp_path):
    seen: list[tuple[int, int]] = []
    before = contents(exam)
    source = read_source(exam)
    folder = export_results(source, series.grid, *measured, tmp_path, PROVENANCE, lambda *done: seen.append(done))
    files = {path.name: path for path in folder.iterdir()}
    assert set(files) == {"regions.dcm", "curves.dcm", "curve_types.dcm", "percent_enhancement.dcm", "ser.dcm"}
    assert seen == [(n, 5) for n in range(1, 6)]
    assert contents(exam) == before
    data = {name: pydicom.dcmread(path) for name, path in files.items()}
    assert {one.StudyInstanceUID for one in data.values()} == {source.common.StudyInstanceUID}
    assert len({one.SeriesInstanceUID for one in data.values()}) == 5
    evidence = {uid for _, _, uid, _ in highdicom.sr.srread(files["curves.dcm"]).get_evidence()}
    assert data["regions.dcm"].SOPInstanceUID in evidence
    assert [complaints(path) for path in files.values()] == [[]] * 5


def test_maps_in_the_files_are_those_computed(exam, series, measured, tmp_path):
    folder = export_results(read_source(exam), series.grid, *measured, tmp_path)
    back = highdicom.imread(folder / "percent_enhancement.dcm").get_volume().array[::-1]
    np.testing.assert_array_equal(back, measured[1]["percent_enhancement"])
    types = highdicom.seg.segread(folder / "curve_types.dcm")
    for kind in (1, 2, 3):
        share = types.get_volume(segment_numbers=[kind], combine_segments=True).array > 0
        assert share.sum() == (measured[1]["curve_type"] == kind).sum()


def test_exporting_twice_makes_two_folders_without_a_common_uid(exam, series, measured, tmp_path):
    folders = [export_results(read_source(exam), series.grid, measured[0], {}, tmp_path) for _ in range(2)]
    uids = [{pydicom.dcmread(f).SOPInstanceUID for f in folder.iterdir()} for folder in folders]
    assert [len(own) for own in uids] == [2, 2] and not uids[0] & uids[1]


@pytest.mark.parametrize("end", [OSError(28, "No space left on device"), KeyboardInterrupt(), "cancelled"])
def test_whatever_ends_it_leaves_nothing(end, exam, series, measured, tmp_path, monkeypatch):
    written = []

    def write(dataset, path):
        if len(written) == 2 and end != "cancelled":
            raise end
        written.append(path)
        path.write_bytes(b"a part")

    monkeypatch.setattr(module, "write_dataset", write)
    cancel = (lambda: len(written) == 2) if end == "cancelled" else None
    expected = {OSError: CEKWorldError, KeyboardInterrupt: KeyboardInterrupt, str: Cancelled}[type(end)]
    with pytest.raises(expected):
        export_results(read_source(exam), series.grid, *measured, tmp_path, cancel=cancel)
    assert len(written) == 2 and list(tmp_path.iterdir()) == []


def test_the_command_exports_a_synthesis_marked_as_such(exam, series, tmp_path, capfd):
    sequence, mask = tmp_path / "phases.seq.nrrd", tmp_path / "lesion.nrrd"
    facts = {"CEKWorld.Synthetic": "1", "CEKWorld.model": "compact", "CEKWorld.model_sha256": "ab" * 32}
    write_sequence(sequence, series.grid, series.times_s, list(series.frames), facts)
    labels = np.zeros(series.grid.shape, np.float32)
    labels[3, 10:14, 20:23] = 1
    sitk.WriteImage(series.grid.like(labels).to_image(), str(mask))
    command = ["export-results", str(sequence), "--source", str(exam), "--roi", str(mask), "--output"]
    assert main([*command, str(tmp_path / "out"), "--anonymize"]) == 0
    (folder,) = (tmp_path / "out").iterdir()
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        assert data.SyntheticData == "YES" and data.SeriesDescription.startswith("SYNTHETIC")
        assert b"ZZPHI" not in path.read_bytes() and "compact" in str(data.ContributingEquipmentSequence)
    assert main([*command, str(exam / "inside")]) == USER_ERROR and not (exam / "inside").exists()
    shown = capfd.readouterr()
    assert "SYNTHETIC" in shown.out and "ZZPHI" not in shown.out + shown.err


def test_anonymized_regions_have_numbers_for_names(exam, series, tmp_path):
    sequence = tmp_path / "phases.seq.nrrd"
    write_sequence(sequence, series.grid, series.times_s, list(series.frames), {"CEKWorld.Synthetic": "1"})
    options = []
    for index, name in enumerate(("ZZPHI_JOHN_12345678", "ZZPHI_muscle")):
        labels = np.zeros(series.grid.shape, np.float32)
        labels[3, 10:14, 10 * index : 10 * index + 4] = 1
        sitk.WriteImage(series.grid.like(labels).to_image(), str(tmp_path / f"{name}.nrrd"))
        options += ["--roi", str(tmp_path / f"{name}.nrrd")]
    options += ["--tissue", "ZZPHI_muscle", "--mode", "hottest", "--anonymize"]
    command = ["export-results", str(sequence), "--source", str(exam), "--output", str(tmp_path / "out")]
    assert main([*command, *options]) == 0
    (folder,) = (tmp_path / "out").iterdir()
    assert not any(b"ZZPHI" in path.read_bytes() for path in folder.iterdir())
    names = [str(s.SegmentLabel) for s in pydicom.dcmread(folder / "regions.dcm").SegmentSequence]
    assert {"region 1", "region 2"} <= set(names) and all(name.startswith("region ") for name in names)


@pytest.mark.parametrize("address", ["dicom_web", "dimse"])
def test_a_real_archive_stores_every_kind_and_gives_it_back_unchanged(
    address, exam, series, measured, tmp_path, monkeypatch
):
    pytest.importorskip("pynetdicom", reason="install the extra: pip install 'cekworld[archive]'")
    web_client = pytest.importorskip("dicomweb_client", reason="install the extra: pip install 'cekworld[archive]'")
    from dicomweb_client.session_utils import create_session_from_user_pass

    from CEKWorldLib.dicom.archive import send

    monkeypatch.setenv("CEKWORLD_ARCHIVE_USER", USER)
    monkeypatch.setenv("CEKWORLD_ARCHIVE_PASSWORD", PASSWORD)
    folder = export_results(read_source(exam), series.grid, *measured, tmp_path / "out", PROVENANCE)
    (tmp_path / "archive").mkdir()
    with running_orthanc(tmp_path / "archive") as archive:
        sent = send(folder, getattr(archive, address))
        assert len(sent) == 5 and [entry.refusal for entry in sent] == [""] * 5
        session = create_session_from_user_pass(USER, PASSWORD)
        study = web_client.DICOMwebClient(archive.dicom_web, session=session).retrieve_study(
            read_source(exam).common.StudyInstanceUID
        )
    back = {data.SOPInstanceUID: data for data in study}
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        assert back[data.SOPInstanceUID] == data  # every attribute, pixels included
