"""Synthesized phases as DICOM: in the source's study and place, marked, conformant, whole or not at all."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dciodvfy import complaints
from dicom_exam import NAME, ORIENTATION, PROVENANCE, TIMES_S, images, synthesized, write_exam
from pydicom import config
from pydicom.uid import MRImageStorage

from CEKWorldLib.dicom.anonymize import anonymized
from CEKWorldLib.dicom.phases import export_phases
from CEKWorldLib.dicom.source import new_study, read_source
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.reading import read_exam
from CEKWorldLib.exam.series_reading import read_series
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.exam.volume import Volume


@pytest.fixture(scope="module")
def exam(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exam") / "pre"
    write_exam(folder)
    return folder


@pytest.fixture(scope="module")
def exported(exam, tmp_path_factory):
    """One export to look at from many sides."""
    return export_phases(synthesized(exam), read_source(exam), PROVENANCE, tmp_path_factory.mktemp("export"))


def test_phases_join_the_study_patient_and_frame_of_reference_of_the_source(exam, exported):
    source = pydicom.dcmread(next(exam.iterdir()))
    for phase in images(exported.folder):
        for image in phase:
            for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientBirthDate", "StudyDate"):
                assert image[keyword].value == source[keyword].value
            assert (image.SOPClassUID, str(image.PatientName), image.Laterality) == (MRImageStorage, NAME, "L")
    assert exported.study_uid == source.StudyInstanceUID


def test_each_phase_is_a_series_of_its_own_and_no_uid_occurs_twice(exam, exported):
    phases = images(exported.folder)
    assert [{image.SeriesInstanceUID for image in phase} for phase in phases] == [{u} for u in exported.series_uids]
    assert [phase[0].SeriesNumber for phase in phases] == [9001, 9002, 9003, 9004]
    originals = {pydicom.dcmread(f).SOPInstanceUID for f in exam.iterdir()}
    counts = Counter(image.SOPInstanceUID for phase in phases for image in phase)
    assert len(counts) == exported.files == 24 and not originals & set(counts)


def test_each_image_names_the_source_image_of_its_slice(exam, exported):
    place = {pydicom.dcmread(f).SOPInstanceUID: pydicom.dcmread(f).ImagePositionPatient for f in exam.iterdir()}
    for image in images(exported.folder)[2]:
        (reference,) = image.SourceImageSequence
        assert reference.ReferencedSOPClassUID == MRImageStorage
        assert np.allclose(image.ImagePositionPatient, place[reference.ReferencedSOPInstanceUID], atol=1e-6)
        assert np.allclose(image.ImageOrientationPatient, ORIENTATION, atol=1e-8)
        assert image.PixelSpacing == [1.5, 1.25] and image.SliceThickness == 3


def test_images_say_that_they_are_synthetic_what_made_them_and_when_they_would_be(exported):
    for t, phase in zip(TIMES_S, images(exported.folder), strict=True):
        for image in phase:
            assert (image.SyntheticData, image.ContentQualification, image.BurnedInAnnotation) == (
                "YES",
                "RESEARCH",
                "NO",
            )
            assert list(image.ImageType) == ["DERIVED", "SECONDARY", "OTHER"]
            assert image.RecognizableVisualFeatures == "NO"  # a breast
            assert image.SeriesDescription.startswith("SYNTHETIC t=") and "SYNTHETIC" in image.ImageComments
            purposes = [
                item.PurposeOfReferenceCodeSequence[0].CodeValue for item in image.ContributingEquipmentSequence
            ]
            assert purposes == ["109100", "109101"]
            for fact in (PROVENANCE.model, PROVENANCE.model_sha256, "seed=7", f"t={t:+.3f} s", "no contrast agent"):
                assert fact in image.DerivationDescription


def test_a_synthesized_phase_is_not_taken_for_an_acquired_volume_without_a_word(exported, exam):
    (warning,) = read_exam(exported.folder / "phase_003").warnings
    assert "A model made these images" in warning
    assert read_exam(exam).warnings == ()


def test_clock_times_are_the_sources_plus_t_even_past_midnight(exported):
    times = [(image.AcquisitionDate, image.AcquisitionTime) for image, *_ in images(exported.folder)]
    assert times == [
        ("20240229", "235900.250000"), ("20240229", "235930.250000"),
        ("20240301", "000100.750000"), ("20240301", "000330.250000"),
    ]  # fmt: skip
    for number, (image, *_) in enumerate(images(exported.folder), 1):
        assert (image.ContentDate, image.ContentTime) == (image.AcquisitionDate, image.AcquisitionTime)
        assert (image.TemporalPositionIdentifier, image.NumberOfTemporalPositions) == (number, 4)
        assert "TemporalResolution" not in image


@pytest.mark.parametrize(
    "spelled, start",
    [({"AcquisitionTime": "10:15:30"}, ("20240229", "101530.000000")),  # ACR-NEMA, as the reader takes it
     ({"AcquisitionDate": "2024.03.01", "AcquisitionTime": "1015"}, ("20240301", "101500.000000")),
     ({"AcquisitionDateTime": "20240301101530.5+0100"}, ("20240301", "101530.500000")),
     ({"AcquisitionDateTime": "20240301"}, ("20240229", "235930.250000"))],  # no time of day
)  # fmt: skip
def test_the_sources_time_is_found_however_it_is_spelled(tmp_path, spelled, start):
    for file in write_exam(tmp_path / "pre", slices=2):
        data = pydicom.dcmread(file)
        with config.disable_value_validation():
            for keyword, value in spelled.items():
                setattr(data, keyword, value)
            data.save_as(file)
    done = export_phases(synthesized(tmp_path / "pre", (0.0,)), read_source(tmp_path / "pre"), PROVENANCE, tmp_path)
    image = images(done.folder)[0][0]
    assert (image.AcquisitionDate, image.AcquisitionTime) == start


def test_creation_times_are_by_the_clock_that_the_header_names(tmp_path):
    clocks = []
    for offset in ("+1200", "-1100"):
        source = tmp_path / offset
        for file in write_exam(source, slices=2):
            data = pydicom.dcmread(file)
            data.TimezoneOffsetFromUTC = offset
            data.save_as(file)
        done = export_phases(synthesized(source, (0.0,)), read_source(source), PROVENANCE, tmp_path / "out")
        image = images(done.folder)[0][0]
        assert image.TimezoneOffsetFromUTC == offset
        created = f"{image.InstanceCreationDate}{image.InstanceCreationTime}"
        clocks.append(datetime.strptime(f"{created}{offset}", "%Y%m%d%H%M%S.%f%z"))
    assert abs((datetime.now(UTC) - clocks[0]).total_seconds()) < 300
    assert abs((clocks[1] - clocks[0]).total_seconds()) < 300


def test_even_times_state_their_interval_in_ms(exam, tmp_path):
    done = export_phases(synthesized(exam, (0.0, 12.5, 25.0)), read_source(exam), PROVENANCE, tmp_path)
    assert images(done.folder)[0][0].TemporalResolution == 12500


def test_no_image_claims_an_injection_a_trigger_a_rescale_or_private_facts(exported):
    for image in (image for phase in images(exported.folder) for image in phase):
        keywords = {element.keyword for element in image.iterall()}
        assert not [k for k in keywords if k.startswith(("Contrast", "Rescale")) or k == "TriggerTime"]
        assert not any(element.tag.is_private for element in image.iterall())


def test_percent_enhancement_of_stored_pixels_is_that_in_memory(exam, exported):
    series = synthesized(exam)
    stored = np.stack([[image.pixel_array for image in phase] for phase in images(exported.folder)]).astype(float)
    assert np.array_equal(stored[1], series.frames[1])  # whole numbers of the source stay as they are
    bright = series.frames[1] >= 200  # where rounding to whole numbers is below 0.25 %
    expected = 100 * (series.frames[3] / series.frames[1] - 1)[bright]
    assert np.abs(100 * (stored[3] / stored[1] - 1)[bright] - expected).max() < 0.5
    windows = {(image.WindowCenter, image.WindowWidth) for phase in images(exported.folder) for image in phase}
    assert len(windows) == 1


def test_signal_too_fine_for_whole_numbers_is_scaled_alike_in_all_phases_and_says_so(exam, tmp_path):
    whole = synthesized(exam)
    fine = replace(whole, frames=whole.frames / 4000)
    done = export_phases(fine, read_source(exam), PROVENANCE, tmp_path)
    phases = images(done.folder)
    mapping = phases[0][0].RealWorldValueMappingSequence[0]
    stored = np.stack([[image.pixel_array for image in phase] for phase in phases])
    assert np.abs(stored * mapping.RealWorldValueSlope - fine.frames).max() <= mapping.RealWorldValueSlope / 2 * 1.001
    bright = fine.frames[1] > 0.05
    expected = 100 * (fine.frames[3] / fine.frames[1] - 1)[bright]
    assert np.abs(100 * (stored[3][bright] / stored[1][bright] - 1) - expected).max() < 0.5
    assert f"times {1 / mapping.RealWorldValueSlope:g}" in done.notes[0]


def test_voxels_below_zero_are_counted_and_others_not_finite_refused(exam, tmp_path):
    series = synthesized(exam)
    series.frames[2, 0, 0, :5] = -3
    done = export_phases(series, read_source(exam), PROVENANCE, tmp_path)
    assert "5 voxels below zero" in done.notes[-1]
    series.frames[2, 0, 0, 0] = np.nan
    with pytest.raises(CEKWorldError, match="NaN"):
        export_phases(series, read_source(exam), PROVENANCE, tmp_path)


@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, 1, 1), (1, -1, 1), (-1, -1, -1)])
def test_left_handed_and_flipped_volumes_keep_every_voxel_in_its_place(exam, tmp_path, flip):
    series = synthesized(exam)
    size = np.array(series.grid.shape[::-1])
    direction = np.array(series.grid.direction).reshape(3, 3)
    signs = np.array(flip[::-1])
    corner = np.where(signs < 0, size - 1, 0) * series.grid.spacing
    grid = Volume(
        series.grid.voxels[:: flip[0], :: flip[1], :: flip[2]],
        series.grid.spacing,
        tuple(np.asarray(series.grid.origin) + direction @ corner),
        tuple((direction * signs).ravel()),
    )
    turned = TimeSeries(series.frames[:, :: flip[0], :: flip[1], :: flip[2]], series.times_s, grid, synthetic=True)
    done = export_phases(turned, read_source(exam), PROVENANCE, tmp_path)
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(done.folder / "phase_004"))
    read = sitk.ReadImage(files)
    assert np.linalg.det(np.array(read.GetDirection()).reshape(3, 3)) == pytest.approx(1)
    for i, j, k in ((0, 0, 0), (31, 39, 5), (3, 17, 2)):
        point = grid.to_image().TransformIndexToPhysicalPoint((i, j, k))
        assert read[read.TransformPhysicalPointToIndex(point)] == round(float(turned.frames[3, k, j, i]))


def test_dciodvfy_finds_nothing_beyond_the_allowed_list(exam, exported, tmp_path):
    new = export_phases(synthesized(exam), new_study("breast"), PROVENANCE, tmp_path / "new")
    nobody = export_phases(synthesized(exam), anonymized(read_source(exam)), PROVENANCE, tmp_path / "nobody")
    fine = replace(synthesized(exam), frames=synthesized(exam).frames / 4000)
    scaled = export_phases(fine, read_source(exam), PROVENANCE, tmp_path / "scaled")
    for done in (exported, new, nobody, scaled):
        assert complaints(done.folder / "phase_003" / "slice_0002.dcm") == []


def test_a_real_scan_with_a_dirty_header_gives_clean_images(shared_data, tmp_path):
    folder = shared_data / "dicom_t1_real"
    done = export_phases(synthesized(folder, (0.0, 60.0)), read_source(folder), PROVENANCE, tmp_path)
    assert complaints(done.folder / "phase_002" / "slice_0007.dcm") == []
    originals = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, sorted(folder.glob("*.dcm")))}
    for image in images(done.folder)[1]:
        original = originals[image.SourceImageSequence[0].ReferencedSOPInstanceUID]
        assert np.allclose(image.ImagePositionPatient, original.ImagePositionPatient, atol=1e-4)
        assert np.allclose(image.ImageOrientationPatient, original.ImageOrientationPatient, atol=1e-4)
        assert image.FrameOfReferenceUID == original.FrameOfReferenceUID


def test_every_attribute_the_standard_requires_is_there(exam, exported, tmp_path):
    tables = Path(highdicom.__file__).parent / "_standard"
    modules = json.loads((tables / "iod_module_map.json").read_text())["mr-image"]
    attributes = json.loads((tables / "module_attribute_map.json").read_text())
    required = [
        (module["key"], attribute["keyword"], attribute["type"])
        for module in modules
        if module["usage"] == "M"
        for attribute in attributes[module["key"]]
        if not attribute["path"] and attribute["type"] in ("1", "2")
    ]
    assert len(required) > 30
    new = export_phases(synthesized(exam), new_study(), PROVENANCE, tmp_path)
    for done in (exported, new):
        image = images(done.folder)[0][0]
        assert [name for _, name, kind in required if name not in image or (kind == "1" and image[name].is_empty)] == []


def test_exported_phases_are_read_back_as_the_same_series(exported, exam):
    series, read = synthesized(exam), read_series(exported.folder)
    assert read.synthetic and read.times_s == pytest.approx(TIMES_S, abs=1e-3)
    assert np.abs(read.frames - series.frames).max() <= 0.5
    assert np.allclose(read.grid.origin, series.grid.origin, atol=1e-6)
    assert np.allclose(read.grid.direction, series.grid.direction, atol=1e-8)


@pytest.mark.slow
def test_sixteen_phases_of_64_slices_are_exported_in_20_s_of_one_core(tmp_path):
    write_exam(tmp_path / "pre", 64, 256, 256)
    pre = read_exam(tmp_path / "pre").pre
    frames = (
        np.broadcast_to(pre.voxels, (16, *pre.shape)) * np.linspace(1, 3, 16, dtype=np.float32)[:, None, None, None]
    )
    series = TimeSeries(frames, 20.0 * np.arange(16.0), pre, synthetic=True)
    source = read_source(tmp_path / "pre")
    start = time.process_time()
    done = export_phases(series, source, PROVENANCE, tmp_path / "out")
    taken = time.process_time() - start
    assert done.files == 1024
    assert taken <= 20.0
