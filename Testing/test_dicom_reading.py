"""DICOM folders: slices in order and in place, and one clear sentence for everything that is not one MR volume."""

from __future__ import annotations

import os
import shutil
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.dicom_protocol import acquisition_of
from CEKWorldLib.exam.protocol import Acquisition
from CEKWorldLib.exam.reading import read_exam

NAME = "ZZPHI^CANARY"
TILT = np.radians(15)
ORIENTATION = [0, 1, 0, float(np.sin(TILT)), 0, -float(np.cos(TILT))]  # sagittal, tilted
NORMAL = np.cross(ORIENTATION[:3], ORIENTATION[3:])
START = np.array([-12.0, -40.0, 55.0])
STEP_MM = 2.5


def slices(count=6, seed=0):
    return np.random.default_rng(seed).integers(10, 900, (count, 24, 32)).astype(np.uint16)


def write(folder: Path, voxels, uid=None, prefix="im", heights=None, **tags):
    """Writes one classic MR series, files numbered against the slice order; returns the files by slice."""
    folder.mkdir(parents=True, exist_ok=True)
    uid = uid or generate_uid()
    files = []
    for index, plane in enumerate(voxels):
        height = STEP_MM * index if heights is None else heights[index]
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = MRImageStorage
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.PatientName, data.PatientID, data.Modality = NAME, NAME, "MR"
        data.SeriesInstanceUID, data.SeriesNumber, data.InstanceNumber = uid, 3, index + 1
        data.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
        data.Rows, data.Columns = plane.shape
        data.PixelSpacing, data.SliceThickness = [1.5, 0.75], 4
        data.ImageOrientationPatient = [f"{value:.10f}" for value in ORIENTATION]
        data.ImagePositionPatient = [f"{value:.10f}" for value in START + height * NORMAL]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, 0
        data.PixelData = plane.astype(np.uint16).tobytes()
        for key, value in tags.items():
            setattr(data, key, value(index) if callable(value) else value)
        files.append(folder / f"{prefix}{len(voxels) - index:03d}.dcm")
        data.save_as(files[-1], enforce_file_format=True)
    return files


def refusal(path, series=None, limit=400):
    with pytest.raises(CEKWorldError) as caught:
        read_exam(path, series=series)
    message = str(caught.value)
    assert NAME not in message and "\n" not in message and len(message) < limit
    return message


def test_slices_are_sorted_along_their_normal_and_lie_where_the_header_says(tmp_path):
    voxels = slices()
    write(tmp_path, voxels)
    volume = read_exam(tmp_path).pre
    assert np.array_equal(volume.voxels, voxels)
    assert volume.spacing == pytest.approx((0.75, 1.5, STEP_MM))
    place = volume.to_image().TransformIndexToPhysicalPoint((7, 9, 4))
    along = 7 * 0.75 * np.array(ORIENTATION[:3]) + 9 * 1.5 * np.array(ORIENTATION[3:]) + 4 * STEP_MM * NORMAL
    assert np.allclose(place, START + along, atol=1e-6)


def test_the_real_series_is_that_of_simpleitk(shared_data):
    folder = shared_data / "dicom_t1_real"
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    oracle, exam = reader.Execute(), read_exam(folder)
    volume = exam.pre.to_image()
    assert np.array_equal(sitk.GetArrayFromImage(volume), sitk.GetArrayFromImage(oracle).astype(np.float32))
    for index in [(0, 0, 0), (273, 0, 0), (0, 383, 0), (0, 0, 39), (273, 383, 39)]:
        expected = oracle.TransformIndexToPhysicalPoint(index)
        assert np.allclose(volume.TransformIndexToPhysicalPoint(index), expected, atol=1e-3)
    assert exam.warnings == ()


def test_one_file_stands_for_its_series(tmp_path):
    voxels = slices()
    file = write(tmp_path, voxels)[2]
    write(tmp_path, slices(3, seed=1), prefix="other", SeriesNumber=4)
    exam = read_exam(file)
    assert np.array_equal(exam.pre.voxels, voxels)
    assert exam.source == file
    assert np.array_equal(read_exam(file, series=3).pre.voxels, voxels)
    assert file.name in refusal(file, 4) and "no series 4" in refusal(file, 4)


def test_subfolders_other_files_and_second_copies_do_no_harm(tmp_path):
    voxels = slices()
    files = write(tmp_path / "DICOM" / "S1", voxels)
    shutil.copy(files[1], tmp_path / "copy.dcm")
    (tmp_path / "README.txt").write_text("no image")
    os.mkfifo(tmp_path / "pipe.dcm")  # reading it would wait for ever
    assert np.array_equal(read_exam(tmp_path).pre.voxels, voxels)


def test_a_series_is_found_where_links_lead_and_only_once(tmp_path):
    voxels = slices()
    write(tmp_path / "store" / "S1", voxels)
    (tmp_path / "store" / "round").symlink_to(tmp_path / "store")
    study = tmp_path / "study"
    study.mkdir()
    for link in ("S1", "again"):
        (study / link).symlink_to(tmp_path / "store")
    assert np.array_equal(read_exam(study).pre.voxels, voxels)


def test_each_slice_is_rescaled_by_its_own_slope(tmp_path):
    voxels = slices()
    write(tmp_path, voxels, RescaleSlope=lambda k: 0.5 + 0.25 * k, RescaleIntercept=lambda k: 10 * k)
    expected = [plane * (0.5 + 0.25 * k) + 10 * k for k, plane in enumerate(voxels)]
    assert np.allclose(read_exam(tmp_path).pre.voxels, expected)


def test_the_acquisition_is_read_and_silence_is_none(tmp_path):
    write(tmp_path / "a", slices(), RepetitionTime=4.2, EchoTime=1.8, FlipAngle=12, MagneticFieldStrength=3,
          ScanOptions=["PFP", "FS"])  # fmt: skip
    write(tmp_path / "b", slices(), RepetitionTime="", MagneticFieldStrength=15000, ScanOptions="PFP")
    write(tmp_path / "c", slices(), SeriesDescription="t1 vibe fs tra")
    write(tmp_path / "d", slices())
    assert read_exam(tmp_path / "a").acquisition == Acquisition(4.2, 1.8, 12.0, 3.0, True)
    assert read_exam(tmp_path / "b").acquisition == Acquisition(None, None, None, 1.5, False)
    assert read_exam(tmp_path / "c").acquisition.fat_saturated is True
    assert read_exam(tmp_path / "d").acquisition == Acquisition()


@pytest.mark.parametrize(
    ("description", "expected"),
    [("AX T1 NON FAT SAT", False), ("t1_fl3d_tra_non_fs", False), ("no fatsat", False), ("T1 w/o FS", False),
     ("without fat sat", False), ("t1 nonfs", False), ("not fat-sat", False), ("non-contrast t1 fs", True),
     ("ax t1 FatSat", True), ("t1 two fs", True), ("t1 tra", None)],
)  # fmt: skip
def test_fat_saturation_that_a_description_denies_is_none(description, expected):
    data = Dataset()
    data.SeriesDescription = description
    assert acquisition_of(data).fat_saturated is expected
    data.ScanOptions = "FS"  # the scanner's own word
    assert acquisition_of(data).fat_saturated is True


@pytest.mark.parametrize(
    "tags", [{"ContrastBolusAgent": "GADOVIST"}, {"SeriesDescription": "t1 dyn 3"}, {"ProtocolName": "AX T1 +C"}]
)
def test_contrast_in_the_header_warns_without_quoting_it(tmp_path, tags):
    write(tmp_path, slices(), **tags)
    (warning,) = read_exam(tmp_path).warnings
    assert "already contrast-enhanced" in warning and "GADOVIST" not in warning


@pytest.mark.parametrize("agent", ["", "NONE"])
def test_an_empty_contrast_agent_does_not_warn(tmp_path, agent):
    write(tmp_path, slices(), ContrastBolusAgent=agent, SeriesDescription="t1 pre")
    assert read_exam(tmp_path).warnings == ()


def test_several_series_are_listed_and_one_can_be_picked(tmp_path):
    first, second = slices(), slices(4, seed=1)
    write(tmp_path, first, uid="1.2.3.4", SeriesDescription=NAME)
    write(tmp_path, second, uid="1.2.3.5", prefix="b", SeriesNumber=12)
    write(tmp_path, slices(2), uid="1.2.3.6", prefix="c", SeriesNumber=13, Modality="CT")
    message = refusal(tmp_path)
    assert "series 3: MR, 6 files of 32 x 24; series 12: MR, 4 files of 32 x 24" in message and "CT" not in message
    for series in (12, "12", "1.2.3.5"):
        assert np.array_equal(read_exam(tmp_path, series=series).pre.voxels, second)
    assert np.array_equal(read_exam(tmp_path, series="3").pre.voxels, first)
    assert "several series" in refusal(tmp_path, "1.2.3")
    assert "no series 99" in refusal(tmp_path, 99)
    assert "modality CT" in refusal(tmp_path, 13)


def test_series_that_share_a_number_are_told_apart_by_uid(tmp_path):
    write(tmp_path, slices(), uid="1.2.3.4")
    write(tmp_path, slices(), uid="1.2.3.5", prefix="b")
    assert "series 3 (1.2.3.4)" in refusal(tmp_path)


def test_a_whole_uid_means_its_own_series_though_another_begins_with_it(tmp_path):
    voxels = slices()
    write(tmp_path, voxels, uid="1.2.3.4")
    write(tmp_path, slices(seed=1), uid="1.2.3.45", prefix="b")
    assert np.array_equal(read_exam(tmp_path, series="1.2.3.4").pre.voxels, voxels)


def test_other_modalities_are_refused(tmp_path):
    write(tmp_path, slices(), Modality="CT")
    assert "modality CT, not MR" in refusal(tmp_path)


@pytest.mark.parametrize(("tag", "values"), [("TriggerTime", (0, 60000)), ("EchoTime", (1.2, 2.4)),
                                             ("TemporalPositionIdentifier", (1, 2))])  # fmt: skip
def test_several_phases_in_one_series_are_refused_naming_what_differs(tmp_path, tag, values):
    for phase, value in enumerate(values):
        write(tmp_path, slices(seed=phase), uid="1.2.3", prefix=f"p{phase}", **{tag: value})
    message = refusal(tmp_path)
    assert "2 images of the same slice" in message and tag in message and "pre-contrast phase" in message


def test_a_real_time_series_of_one_slice_is_refused_as_phases(shared_data):
    assert "67 images of the same slice" in refusal(shared_data / "dicom_qiba_dro_v4" / "dcemri_testversion4_001.dcm")


def test_a_missing_slice_is_refused_naming_its_neighbours(tmp_path):
    files = write(tmp_path, slices())
    files[3].unlink()
    message = refusal(tmp_path)
    assert "missing" in message and files[2].name in message and files[4].name in message and "5.00 mm" in message


def test_slightly_uneven_slices_warn_and_rounding_does_not(tmp_path):
    write(tmp_path / "a", slices(4), heights=[0, 2.5, 5.1, 7.5])
    write(tmp_path / "b", slices(4), heights=[0, 2.503, 4.999, 7.5])
    assert "uneven" in read_exam(tmp_path / "a").warnings[0]
    assert read_exam(tmp_path / "b").warnings == ()


def test_mixed_orientations_and_sizes_and_sheared_stacks_are_refused(tmp_path):
    write(
        tmp_path / "a",
        slices(),
        ImageOrientationPatient=lambda k: [1, 0, 0, 0, 1, 0] if k == 3 else [0, 1, 0, 0, 0, -1],
    )
    write(tmp_path / "b", slices(), PixelSpacing=lambda k: [1, 1] if k else [2, 2])
    sheared = START + 2.5 * np.arange(6)[:, None] * NORMAL + np.arange(6)[:, None] * (0, 1.0, 0)
    write(tmp_path / "c", slices(), ImagePositionPatient=lambda k: [f"{value:.8f}" for value in sheared[k]])
    assert "mixes orientations" in refusal(tmp_path / "a")
    assert "different sizes" in refusal(tmp_path / "b")
    assert "shift sideways" in refusal(tmp_path / "c")


@pytest.mark.parametrize(
    ("tags", "words"),
    [({"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "phase image"),
     ({"ImageType": ["DERIVED", "PRIMARY", "ADC"]}, "ADC image"),
     ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]}, "mosaic"),
     ({"PhotometricInterpretation": "MONOCHROME1"}, "inverted"),
     ({"ImagePositionPatient": None}, "ImagePositionPatient"),
     ({"PixelSpacing": [0, 0]}, "invalid"),
     ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "invalid orientation")],
)  # fmt: skip
def test_images_that_cannot_be_used_are_refused_by_name(tmp_path, tags, words):
    write(tmp_path, slices(1), **tags)
    message = refusal(tmp_path)
    assert words in message and "im001.dcm" in message


def test_a_truncated_slice_is_refused_by_name_and_no_partial_volume_comes_back(tmp_path):
    files = write(tmp_path, slices())
    files[2].write_bytes(files[2].read_bytes()[:-100])
    assert files[2].name in refusal(tmp_path)


def test_an_empty_folder_and_one_without_dicom_are_refused(tmp_path):
    assert "is empty" in refusal(tmp_path)
    (tmp_path / "notes.txt").write_text("nothing")
    assert "no DICOM images" in refusal(tmp_path) and "notes.txt" in refusal(tmp_path)


def test_a_locked_file_is_refused_by_name(tmp_path, monkeypatch):
    write(tmp_path, slices())

    def locked(file, **_kwargs):
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(pydicom, "dcmread", locked)
    assert "im001.dcm cannot be opened" in refusal(tmp_path)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_siemens_enhanced_file_is_the_volume_simpleitk_reads(shared_data, number):
    path = shared_data / "dicom_enhanced_mr" / f"Siemens_XA10_6_{number}.dcm"
    oracle, exam = sitk.ReadImage(str(path)), read_exam(path)
    assert np.array_equal(exam.pre.voxels, sitk.GetArrayFromImage(oracle).astype(np.float32))
    assert np.allclose(exam.pre.spacing, oracle.GetSpacing(), atol=1e-4)
    assert np.allclose(exam.pre.origin, oracle.GetOrigin(), atol=1e-4)
    assert np.allclose(exam.pre.direction, oracle.GetDirection(), atol=1e-4)
    assert exam.acquisition == Acquisition(500.0, 30.0, 52.0, 3.0, exam.acquisition.fat_saturated)


def test_enhanced_files_with_two_image_types_or_without_places_are_refused(shared_data):
    folder = shared_data / "dicom_enhanced_mr"
    assert "FrameType" in refusal(folder / "Philips_enhanced_IM_0027_fMAP.dcm")
    for path in folder.glob("emri_small*.dcm"):
        assert "10 frames without saying where" in refusal(path)
    for path in folder.glob("parametric_map*.dcm"):
        assert "not MR" in refusal(path)


READABLE = {"MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_expb.dcm", "MR_small_implicit.dcm",
            "MR_small_jp2klossless.dcm", "MR_small_padded.dcm"}  # fmt: skip
if find_spec("jpeg_ls"):  # the decoder comes with highdicom
    READABLE.add("MR_small_jpeg_ls_lossless.dcm")


@pytest.mark.parametrize("alone_in_folder", [True, False])
@pytest.mark.filterwarnings("ignore")
def test_every_malformed_file_is_read_rightly_or_refused_by_name_at_once(shared_data, tmp_path, alone_in_folder):
    expected = pydicom.dcmread(shared_data / "dicom_malformed" / "MR_small.dcm").pixel_array
    files = sorted((shared_data / "dicom_malformed").iterdir())
    assert len(files) > 20
    for file in files:
        folder = tmp_path / file.stem
        folder.mkdir(exist_ok=True)
        shutil.copy(file, folder)
        path = folder if alone_in_folder else folder / file.name
        start = time.perf_counter()
        if file.name in READABLE:
            assert np.array_equal(read_exam(path).pre.voxels, expected[None]), file.name
        else:
            assert file.name in refusal(path), file.name
        assert time.perf_counter() - start < 5


def test_damaged_bytes_anywhere_give_a_volume_or_one_sentence(tmp_path):
    """Flips bytes in headers and pixels of a good series; 150 seeded variants."""
    file = write(tmp_path, slices(1))[0]
    good = np.frombuffer(file.read_bytes(), np.uint8)
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(150):
        damaged = good.copy()
        where = rng.integers(128, len(good) - 1500, 4)
        damaged[where] = rng.integers(0, 256, 4)
        file.write_bytes(damaged.tobytes())
        try:
            assert read_exam(tmp_path).pre.voxels.ndim == 3
        except CEKWorldError as error:
            assert NAME not in str(error)
            refused += 1
    assert refused > 20
