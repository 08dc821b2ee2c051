"""Sources of all kinds, odd and damaged ones too: taken over as they are, or refused in one sentence."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dciodvfy import complaints
from dicom_exam import PROVENANCE, images, synthesized, write_exam
from dicom_series_writer import STEP_MM, frames_of, item, write_enhanced
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import config
from pydicom.dataelem import RawDataElement
from pydicom.uid import generate_uid

from CEKWorldLib.cli.main import USER_ERROR, main
from CEKWorldLib.dicom.anonymize import anonymized
from CEKWorldLib.dicom.marking import Provenance
from CEKWorldLib.dicom.phases import export_phases
from CEKWorldLib.dicom.results import export_results
from CEKWorldLib.dicom.source import Source, new_study, read_source
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.series_reading import read_series
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.kinetics.roi import roi_curves

CANARY = "ZZPHI"


@pytest.fixture(scope="module")
def exam(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exam") / "pre"
    write_exam(folder)
    return folder


def test_of_a_source_with_several_phases_the_first_acquired_stands_for_each_slice(exam, tmp_path):
    first = set()
    for file in exam.iterdir():
        data = pydicom.dcmread(file)
        first.add(data.SOPInstanceUID)
        data.save_as(tmp_path / f"z{file.name}")
        # Later, listed first, and its place a rounding error away.
        x, *rest = data.ImagePositionPatient
        data.ImagePositionPatient = [float(x) + 1e-6, *rest]
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.AcquisitionTime, data.InstanceNumber = "235959", 1
        data.save_as(tmp_path / f"a{file.name}")
    source = read_source(tmp_path)
    assert len(source.images) == len(source.headers) == 6
    assert {image.header.SOPInstanceUID for image in source.images} == first


def test_a_series_that_is_not_the_sources_is_refused_of_a_file_and_of_no_source_too(exam, tmp_path, capsys):
    with pytest.raises(CEKWorldError, match=r"\.dcm has no series 99"):
        read_source(next(exam.iterdir()), "99")
    arguments = ["export-dicom", str(tmp_path / "phases.seq.nrrd"), "--output", str(tmp_path / "out")]
    assert main([*arguments, "--source-series", "99"]) == USER_ERROR
    assert "--source as well" in capsys.readouterr().err


@pytest.mark.parametrize(
    "group",
    [lambda p: {"FrameContentSequence": item(TemporalPositionIndex=40 - p)},
     lambda p: {"TemporalPositionSequence": item(TemporalPositionTimeOffset=60.0 * (39 - p))},
     lambda p: {"FrameContentSequence": item(FrameAcquisitionDateTime=f"202402290910{39 - p:02d}")}],
)  # fmt: skip
def test_of_one_file_with_all_phases_the_frames_acquired_first_stand_for_the_slices(tmp_path, group):
    file = tmp_path / "all.dcm"
    write_enhanced(file, frames_of(40), group)
    assert [image.frame for image in read_source(file).images] == [40, 80, 120]  # the last one stored is the earliest


def test_of_frames_that_nothing_puts_in_order_the_first_one_stored_stands_for_each_slice(tmp_path):
    file = tmp_path / "all.dcm"
    write_enhanced(file, frames_of(40), lambda _phase: {})
    assert [image.frame for image in read_source(file).images] == [1, 41, 81]


@pytest.mark.parametrize("prepare", [lambda source: source, anonymized])
def test_frames_of_an_enhanced_source_are_named_by_their_number(shared_data, tmp_path, prepare):
    file = shared_data / "dicom_enhanced_mr" / "Siemens_XA10_6_1.dcm"
    done = export_phases(synthesized(file, (0.0, 60.0)), prepare(read_source(file)), PROVENANCE, tmp_path)
    original = pydicom.dcmread(file, stop_before_pixels=True)
    for image in images(done.folder)[1]:
        (reference,) = image.SourceImageSequence
        assert reference.ReferencedSOPClassUID == original.SOPClassUID
        frame = original.PerFrameFunctionalGroupsSequence[reference.ReferencedFrameNumber - 1]
        place = frame.PlanePositionSequence[0].ImagePositionPatient
        assert np.allclose(image.ImagePositionPatient, place, atol=1e-4)


def test_slices_of_an_enhanced_source_keep_their_thickness_where_there_are_gaps(tmp_path):
    file = tmp_path / "pre.dcm"
    write_enhanced(file, frames_of(1), lambda _phase: {})
    data = pydicom.dcmread(file)
    data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness = 2
    data.save_as(file)
    (image, *_), *_ = images(export_phases(synthesized(file), read_source(file), PROVENANCE, tmp_path / "out").folder)
    assert (image.SliceThickness, image.SpacingBetweenSlices) == (2, STEP_MM)


def test_phases_are_refused_where_they_do_not_lie_on_the_source(exam, tmp_path):
    series = synthesized(exam)
    x, y, z = series.grid.origin
    elsewhere = replace(series, grid=replace(series.grid, origin=(x + 1.0, y, z)))
    with pytest.raises(CEKWorldError, match="does not lie where"):
        export_phases(elsewhere, read_source(exam), PROVENANCE, tmp_path)
    with pytest.raises(CEKWorldError, match="acquired"):
        export_phases(replace(series, synthetic=False), read_source(exam), PROVENANCE, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_was_not_dicom_gives_a_complete_new_study_that_says_so(exam, tmp_path):
    first, second = (export_phases(synthesized(exam), new_study("breast"), PROVENANCE, tmp_path) for _ in range(2))
    image = images(first.folder)[0][0]
    assert "not DICOM" in image.StudyDescription and "not DICOM" in str(image.PatientName)
    assert image.BodyPartExamined == "BREAST" and "SourceImageSequence" not in image
    assert first.study_uid != second.study_uid
    assert image.PatientID != images(second.folder)[0][0].PatientID


def test_damaged_header_values_are_left_out_and_never_quoted(exam, tmp_path, caplog, recwarn):
    for file in exam.iterdir():
        data = pydicom.dcmread(file)
        data.add_new("PatientAge", "AS", "ZZPHI years")
        data.add_new("EchoTrainLength", "LO", "ZZPHI")
        (tmp_path / "source").mkdir(exist_ok=True)
        data.save_as(tmp_path / "source" / file.name)
        data.add_new("AcquisitionDate", "LO", "ZZPHI")
        (tmp_path / "dated").mkdir(exist_ok=True)
        data.save_as(tmp_path / "dated" / file.name)
    caplog.clear()
    recwarn.clear()
    with pytest.raises(CEKWorldError) as caught:  # a date that is none: the acquisition cannot be placed in time
        read_source(tmp_path / "dated")
    assert CANARY not in str(caught.value) and caught.value.__cause__ is None
    done = export_phases(synthesized(exam), read_source(tmp_path / "source"), PROVENANCE, tmp_path / "out")
    image = images(done.folder)[0][0]
    assert "PatientAge" not in image and image["EchoTrainLength"].is_empty
    assert CANARY not in caplog.text and not [w for w in recwarn if CANARY in str(w.message)]


def test_every_malformed_source_is_read_or_refused_in_one_sentence(shared_data):
    files = [file for file in sorted((shared_data / "dicom_malformed").rglob("*")) if file.is_file()]
    assert files
    refused = 0
    for file in files:
        try:
            read_source(file)
        except CEKWorldError as error:
            refused += 1
            assert str(error).endswith(".") and "\n" not in str(error)
    assert refused > len(files) / 2


def test_provenance_that_was_not_recorded_is_said_to_be_unknown():
    text = Provenance.of({"model": "compact"}).derivation(12.0)
    assert "model=compact" in text and "sha256=not recorded" in text and "seed=not recorded" in text
    assert len(Provenance("m" * 2000, "", 0).derivation()) == 1024


def results_of(series: TimeSeries, source: Source, output: Path) -> list[pydicom.Dataset]:
    """Regions, report and one map of a series, written and read back."""
    mask = np.zeros(series.grid.shape, bool)
    mask[1:3, 5:9, 6:10] = True
    results = roi_curves(series.frames, series.times_s, {"spot": mask})
    folder = export_results(source, series.grid, results, {"ser": np.ones(series.grid.shape)}, output, PROVENANCE)
    return [pydicom.dcmread(folder / name) for name in ("regions.dcm", "curves.dcm", "ser.dcm")]


def test_results_of_an_enhanced_source_name_the_frames_they_lie_on(shared_data, tmp_path):
    # Siemens repeats spacing and orientation in every frame, where highdicom does not look for them.
    file = shared_data / "dicom_enhanced_mr" / "Siemens_XA10_6_1.dcm"
    original = pydicom.dcmread(file, stop_before_pixels=True)
    series = synthesized(file)
    made = results_of(series, read_source(file), tmp_path)
    for data in made:
        data.save_as(tmp_path / "judged.dcm")
        assert complaints(tmp_path / "judged.dcm") == []
    regions, report, _ = made
    assert len(regions.PerFrameFunctionalGroupsSequence) == 2
    for frame in regions.PerFrameFunctionalGroupsSequence:
        (reference,) = frame.DerivationImageSequence[0].SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == original.SOPInstanceUID
        named = original.PerFrameFunctionalGroupsSequence[reference.ReferencedFrameNumber - 1]
        place = named.PlanePositionSequence[0].ImagePositionPatient
        assert np.allclose(frame.PlanePositionSequence[0].ImagePositionPatient, place, atol=1e-3)
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    uids = {item.ReferencedSOPInstanceUID for one in evidence for item in one.ReferencedSOPSequence}
    assert {original.SOPInstanceUID, regions.SOPInstanceUID} <= uids


def test_results_of_one_file_with_all_phases_name_the_frames_of_their_slice_in_every_phase(tmp_path):
    file = tmp_path / "all.dcm"
    write_enhanced(file, frames_of(3, slices=4), lambda p: {
        "TemporalPositionSequence": item(TemporalPositionTimeOffset=90.0 * p)})  # fmt: skip
    data = pydicom.dcmread(file)
    data.FrameOfReferenceUID = "1.2.3.4"
    data.save_as(file)
    regions, *_ = results_of(read_series(file), read_source(file), tmp_path / "out")
    named = [
        [reference.ReferencedFrameNumber for reference in frame.DerivationImageSequence[0].SourceImageSequence]
        for frame in regions.PerFrameFunctionalGroupsSequence
    ]
    assert sorted(named) == [[4, 5, 6], [7, 8, 9]]  # of slices 2 and 3; the file holds slice after slice


def test_results_of_a_source_of_several_multi_frame_files_refer_to_all_of_them(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for number in (0, 1):
        write_enhanced(source / f"{number}.dcm", frames_of(1, slices=2), lambda _phase: {})
        data = pydicom.dcmread(source / f"{number}.dcm")
        for k, frame in enumerate(data.PerFrameFunctionalGroupsSequence):
            frame.PlanePositionSequence[0].ImagePositionPatient = [-12.0, -20.0, 30.0 + STEP_MM * (2 * number + k)]
        data.FrameOfReferenceUID = "1.2.3.4"
        data.save_as(source / f"{number}.dcm")
    regions, *_ = results_of(synthesized(source), read_source(source), tmp_path / "out")
    files = {str(pydicom.dcmread(file).SOPInstanceUID) for file in source.iterdir()}
    assert {item.ReferencedSOPInstanceUID for item in regions.SourceImageSequence} == files


def test_images_that_share_a_uid_are_refused_by_name(exam, tmp_path):
    for file in sorted(exam.iterdir()):
        data = pydicom.dcmread(file)
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
        data.save_as(tmp_path / file.name)
    with pytest.raises(CEKWorldError, match=r"im00\d.dcm and im00\d.dcm have the same SOPInstanceUID"):
        read_source(tmp_path)


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID"])
@pytest.mark.parametrize("empty", [True, False])
def test_an_image_that_nothing_can_refer_to_is_refused_by_name(exam, tmp_path, keyword, empty):
    for number, file in enumerate(sorted(exam.iterdir())):
        data = pydicom.dcmread(file)
        if number == 1 and empty:
            setattr(data, keyword, "")
        elif number == 1:
            delattr(data, keyword)
        data.save_as(tmp_path / file.name)
    with pytest.raises(CEKWorldError, match=rf"im00\d.dcm has no {keyword}"):
        read_source(tmp_path)


ODD = {
    "US": [0, 1, 65_535], "IS": ["", "-1", "ZZPHI"], "DS": ["", "0", "-1", "1e30", "ZZPHI"], "UI": ["", "ZZPHI", "1.2"],
    "DA": ["", "20241399", "ZZPHI"], "TM": ["", "995959", "ZZPHI"],
}  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> tuple[Path, TimeSeries]:
    folder = tmp_path_factory.mktemp("small")
    write_exam(folder, slices=3, rows=16, columns=16)
    return folder, synthesized(folder, (0.0, 90.0, 300.0))


@given(st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_odd_headers_give_objects_or_one_sentence_that_names_a_file_and_nothing_partial(small, data):
    folder, series = small
    with tempfile.TemporaryDirectory() as place:
        source, output = Path(place, "source"), Path(place, "output")
        source.mkdir()
        headers = {file.name: pydicom.dcmread(file) for file in sorted(folder.iterdir())}
        elements = [e for e in next(iter(headers.values())) if e.VR != "OW" and not e.tag.is_private]
        element = data.draw(st.sampled_from(elements))
        odd = data.draw(st.sampled_from([None, *ODD.get(element.VR, ["", "ZZPHI", "\\", "ZZPHI" * 30])]))
        names = data.draw(st.sampled_from([list(headers), list(headers)[:1]]))
        for name, header in headers.items():
            if name in names and odd is None:
                del header[element.tag]
            elif name in names:
                with config.disable_value_validation():
                    header[element.tag] = RawDataElement(
                        element.tag, element.VR, 0, _encoded(element.VR, odd), 0, False, True
                    )
            header.save_as(source / name)
        start = time.process_time()
        try:
            read = read_source(source)
            export_phases(series, read, PROVENANCE, output)
            results_of(series, read, output)
        except CEKWorldError as error:
            message = str(error)
            assert CANARY not in message and "\n" not in message and message.endswith(".")
            assert any(name in message for name in (*headers, *WRITTEN, source.name, "The series", "The source"))
        assert time.process_time() - start < 10
        assert [path for path in output.rglob("*") if path.name.startswith(".")] == []


WRITTEN = ("slice_0001.dcm", "regions.dcm", "curves.dcm", "ser.dcm")


def _encoded(kind: str, value: int | str) -> bytes:
    return value.to_bytes(2, "little") if isinstance(value, int) else value.encode()
