"""The panel's exports: into a DICOM database, as a sequence, as a page; judged by what is written."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
from dicom_exam import NAME, PATIENT_ID, write_exam
from panel_exam import ARRIVAL_S, PHASES_S, TIMES, add_point, add_sequence
from panel_user import synthesize
from pydicom import dcmread

from CEKWorldLib.exam.reading import read_exam
from CEKWorldLib.gui.choices import Preset
from CEKWorldLib.scene.geometry import set_geometry
from CEKWorldLib.scene.images import image_of

COUNT = 2 + len(PHASES_S)  # phases: at injection, at arrival, and those asked for


def descriptions(database) -> list[str]:
    return sorted({str(header.SeriesDescription) for header in database.headers.values()})


def test_phases_of_a_volume_that_was_not_dicom_become_a_study_of_their_own_with_regions_and_curves(desktop):
    node = synthesize(desktop, exportMaps=True)
    desktop.parameters.regionNode = add_point(desktop.scene, node)
    desktop.ui.exportDicomButton.click()
    assert desktop.errors == []
    headers = list(desktop.database.headers.values())
    images = [header for header in headers if header.Modality == "MR" and header.SeriesNumber >= 9001]
    assert {header.StudyInstanceUID for header in headers} == {headers[0].StudyInstanceUID}
    phases = [header for header in images if "t=" in header.SeriesDescription]
    assert len(phases) == 4 * COUNT and all(header.SyntheticData == "YES" for header in phases)
    assert {"SEG", "SR"} <= {header.Modality for header in headers}
    report = next(header for header in headers if header.Modality == "SR")
    assert report.CurrentRequestedProcedureEvidenceSequence[0].StudyInstanceUID == headers[0].StudyInstanceUID
    assert f"{len(headers)} DICOM files" in desktop.ui.exportStatusLabel.text


@pytest.fixture
def dicom_exam(desktop, tmp_path):
    """A volume that Slicer's database knows the files of."""
    files = write_exam(tmp_path / "exam", slices=4, rows=64, columns=64)
    desktop.database.take(str(tmp_path / "exam"))
    exam = read_exam(tmp_path / "exam").pre
    node = desktop.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "T1")
    node.SetAndObserveImageData(image_of(exam.voxels))
    set_geometry(node, exam)
    uids = [dcmread(file, stop_before_pixels=True).SOPInstanceUID for file in files]
    node.SetAttribute("DICOM.instanceUIDs", " ".join(uids))
    desktop.database.headers.clear()
    return node


def synthesize_node(desktop, node, **choices) -> None:
    parameters = desktop.parameters
    parameters.inputNode, parameters.preset, parameters.times = node, Preset.LIST, TIMES
    for name, value in choices.items():
        setattr(parameters, name, value)
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: not desktop.panel.run.is_running, "the synthesis")
    assert desktop.ui.progressLabel.text == "", desktop.ui.progressLabel.text


def test_phases_of_a_dicom_volume_join_its_patient_and_study_and_its_protocol_reaches_the_model(desktop, dicom_exam):
    from in_process_worker import InProcessTransport

    from CEKWorldLib.worker.messages import Prepare

    synthesize_node(desktop, dicom_exam)
    prepare = next(r for r in InProcessTransport.made[-1].requests if isinstance(r, Prepare))
    assert prepare.acquisition.repetition_time_ms == 4.5 and prepare.acquisition.flip_angle_deg == 12
    desktop.ui.exportDicomButton.click()
    assert desktop.errors == []
    headers = desktop.database.headers.values()
    assert len(headers) == 4 * COUNT
    assert {str(header.PatientID) for header in headers} == {PATIENT_ID}
    assert {tuple(header.ImageType[:2]) for header in headers} == {("DERIVED", "SECONDARY")}
    said = [*desktop.statuses, *desktop.errors, desktop.ui.exportStatusLabel.text, desktop.ui.progressLabel.text]
    assert not any(part in text for text in said for part in (NAME, PATIENT_ID, "ZZPHI"))


def test_regions_of_a_sequence_that_slicer_loaded_from_dicom_join_the_patient_and_study(desktop, tmp_path):
    files = write_exam(tmp_path / "Doe, Jane", slices=4, rows=64, columns=64)
    grid = read_exam(tmp_path / "Doe, Jane").pre
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "DCE")
    for n, rise in enumerate((1.0, 2.1, 2.5, 1.9)):
        phase = slicer.vtkMRMLScalarVolumeNode()
        phase.SetAndObserveImageData(image_of(np.full(grid.shape, 100 * rise, np.float32)))
        set_geometry(phase, grid)
        sequence.SetDataNodeAtValue(phase, str(n))
    # All that Slicer's DICOM import (MultiVolumeImporterPlugin.load) says of a sequence: files, but no instances.
    sequence.SetAttribute("MultiVolume.FrameFileList", ",".join(str(file) for file in files))
    sequence.SetAttribute("MultiVolume.FrameLabels", "0,60000,90000,360000")
    sequence.SetAttribute("MultiVolume.FrameIdentifyingDICOMTagName", "AcquisitionTime")
    desktop.parameters.inputNode = sequence
    desktop.ui.showSeriesButton.click()
    desktop.parameters.regionNode = add_point(desktop.scene, desktop.panel.session.output)
    desktop.ui.exportDicomButton.click()
    assert desktop.errors == []
    headers = desktop.database.headers.values()
    assert {"SEG", "SR"} <= {header.Modality for header in headers}
    assert {str(header.PatientID) for header in headers} == {PATIENT_ID}
    assert {header.StudyInstanceUID for header in headers} == {dcmread(files[0]).StudyInstanceUID}


def test_nothing_checked_is_refused(desktop):
    synthesize(desktop, exportPhases=False, exportResults=False)
    desktop.ui.exportDicomButton.click()
    assert "nothing to export" in desktop.errors[0] and not desktop.database.headers


def test_maps_without_regions_are_refused_instead_of_left_out(desktop):
    synthesize(desktop, exportMaps=True)
    desktop.ui.exportDicomButton.click()
    assert "measure a region" in desktop.errors[0] and not desktop.database.headers


def test_results_without_any_dicom_images_are_refused_with_the_way_out(desktop):
    node = synthesize(desktop, exportPhases=False)
    desktop.parameters.regionNode = add_point(desktop.scene, node)
    desktop.ui.exportDicomButton.click()
    assert "export the phases with them" in desktop.errors[0] and not desktop.database.headers


def test_cancelling_the_export_leaves_the_database_and_the_disk_as_they_were(desktop, monkeypatch, tmp_path):
    synthesize(desktop)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("CEKWorldLib.gui.slicer_application.ProgressDialog.report", lambda *_: False)
    desktop.ui.exportDicomButton.click()
    assert desktop.errors == [] and "Stopped" in desktop.statuses[-1]
    assert not desktop.database.headers and list(tmp_path.iterdir()) == []


def test_a_closed_database_is_told(desktop):
    synthesize(desktop)
    desktop.database.isOpen = False
    desktop.ui.exportDicomButton.click()
    assert "not open" in desktop.errors[0]


def test_the_sequence_holds_the_phases_with_times_in_seconds_and_their_origin(desktop):
    synthesize(desktop)
    desktop.ui.timeSlider.setValue(77.0)
    desktop.wait_until(lambda: "t=+77 s, exact" in desktop.ui.shownLabel.text, "a time between phases")
    desktop.ui.sequenceButton.click()
    sequence = desktop.scene.GetFirstNodeByClass("vtkMRMLSequenceNode")
    times = [float(sequence.GetNthIndexValue(n)) for n in range(sequence.GetNumberOfDataNodes())]
    assert times == [0.0, ARRIVAL_S, *PHASES_S]  # not 77 s, which was only looked at
    assert sequence.GetIndexUnit() == "s" and sequence.GetAttribute("CEKWorld.Synthetic") == "1"
    assert sequence.GetName() in desktop.ui.exportStatusLabel.text


def test_the_report_is_one_page_that_says_synthetic_and_by_which_model(desktop, tmp_path):
    node = synthesize(desktop)
    desktop.parameters.regionNode = add_point(desktop.scene, node)
    desktop.dialogs.append(str(tmp_path / "report.html"))
    desktop.ui.reportButton.click()
    page = (tmp_path / "report.html").read_text()
    assert "SYNTHETIC" in page and "closed form" in page and "spot" in page
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_report_needs_a_region_and_a_closed_dialog_writes_nothing(desktop, tmp_path):
    synthesize(desktop)
    desktop.dialogs.append(str(tmp_path / "report.html"))
    desktop.ui.reportButton.click()
    assert "draw one" in desktop.errors[0]
    desktop.dialogs.append("")
    desktop.ui.reportButton.click()
    assert len(desktop.errors) == 1 and list(tmp_path.iterdir()) == []


def test_an_acquired_series_is_not_issued_a_second_time(desktop):
    desktop.parameters.inputNode = add_sequence(desktop.scene)
    desktop.ui.showSeriesButton.click()
    desktop.ui.exportDicomButton.click()
    assert "nothing to export" in desktop.errors[0]
    assert np.isfinite(slicer.util.arrayFromVolume(desktop.panel.session.output)).all()
