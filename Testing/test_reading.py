"""NRRD and NIfTI files: right voxels in the right place, or one clear sentence."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.reading import read_exam

TILT = np.radians(20)
DIRECTION = (1, 0, 0, 0, float(np.cos(TILT)), -float(np.sin(TILT)), 0, float(np.sin(TILT)), float(np.cos(TILT)))


def scan(shape=(5, 24, 32), dtype=np.int16, seed=0):
    return np.random.default_rng(seed).integers(10, 900, shape).astype(dtype)


def image(voxels, vector=False):
    result = sitk.GetImageFromArray(voxels, isVector=vector)
    if voxels.ndim == 3 and not vector:
        result.SetSpacing((0.75, 1.25, 4.0))
        result.SetOrigin((-30.0, 12.5, 88.0))
        result.SetDirection(DIRECTION)
    return result


def write(path, voxels, vector=False):
    sitk.WriteImage(image(voxels, vector), str(path))
    return path


def refusal(path, **how):
    with pytest.raises(CEKWorldError) as caught:
        read_exam(path, **how)
    message = str(caught.value)
    assert path.name in message and "\n" not in message and len(message) < 400
    return message


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.nhdr", "scan.nii", "scan.nii.gz", "SCAN.NRRD"])
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, np.float64])
def test_voxels_and_geometry_are_those_of_the_file(tmp_path, name, dtype):
    voxels = scan(dtype=dtype)
    exam = read_exam(write(tmp_path / name.lower(), voxels).rename(tmp_path / name), anatomy="breast")
    assert exam.pre.voxels.dtype == np.float32
    assert np.array_equal(exam.pre.voxels, voxels.astype(np.float32))
    assert exam.pre.spacing == pytest.approx((0.75, 1.25, 4.0))
    assert exam.pre.origin == pytest.approx((-30.0, 12.5, 88.0))
    assert exam.pre.direction == pytest.approx(DIRECTION, abs=1e-6)
    assert (exam.anatomy, exam.source, exam.warnings) == ("breast", tmp_path / name, ())


def test_a_scaled_nifti_has_the_values_and_places_nibabel_gives(tmp_path):
    affine = np.array([[-0.9, 0, 0.1, 30], [0, 1.1, 0, -20], [0.1, 0, 3.0, 5], [0, 0, 0, 1.0]])
    affine[:3, :3] = np.linalg.qr(affine[:3, :3])[0] @ np.diag([0.9, 1.1, 3.0])
    stored = nibabel.Nifti1Image(scan((32, 24, 5)), affine)
    stored.header.set_slope_inter(0.5, 3.0)
    stored.header.set_xyzt_units("mm")
    nibabel.save(stored, tmp_path / "scan.nii.gz")
    oracle = nibabel.load(tmp_path / "scan.nii.gz")
    volume = read_exam(tmp_path / "scan.nii.gz").pre
    assert np.allclose(volume.voxels, oracle.get_fdata().transpose(2, 1, 0), rtol=1e-6)
    for index in [(0, 0, 0), (31, 0, 0), (0, 23, 0), (7, 8, 4)]:
        lps = volume.to_image().TransformIndexToPhysicalPoint(index)
        assert np.allclose(np.array(lps) * (-1, -1, 1), (oracle.affine @ (*index, 1))[:3], atol=1e-4)


@pytest.mark.parametrize("slope, intercept", [(0.0, 10.5), (0.0, 0.0), (-1.0, 5000.0)])
def test_a_scaling_is_what_nibabel_takes_it_for(tmp_path, slope, intercept):
    path = write(tmp_path / "scan.nii", scan())
    header = bytearray(path.read_bytes())
    header[112:120] = struct.pack("<2f", slope, intercept)  # scl_slope and scl_inter; 0 says that nothing is scaled
    path.write_bytes(header)
    assert np.array_equal(read_exam(path).pre.voxels, nibabel.load(path).get_fdata().T)


def test_axes_that_are_not_at_right_angles_are_called_so_not_damage(tmp_path):
    sheared = np.array([[2.0, 0, 0, -10], [0, 2.0, 0.6, -20], [0, 0, 3.0, 30], [0, 0, 0, 1]])
    image = nibabel.Nifti1Image(np.random.default_rng(0).integers(1, 900, (24, 20, 5)).astype(np.int16), sheared)
    nibabel.save(image, tmp_path / "scan.nii.gz")
    assert "scan.nii.gz has axes that are not at right angles" in refusal(tmp_path / "scan.nii.gz")


def test_the_real_brain_lies_where_nibabel_puts_it(shared_data):
    path = shared_data / "brain_pre_post_real" / "TCGA-DU-7294_t1_pre_bet.nii.gz"
    oracle, volume = nibabel.load(path), read_exam(path).pre
    assert np.array_equal(volume.voxels, oracle.get_fdata(dtype=np.float32).transpose(2, 1, 0))
    lps = volume.to_image().TransformIndexToPhysicalPoint((100, 200, 30))
    assert np.allclose(np.array(lps) * (-1, -1, 1), (oracle.affine @ (100, 200, 30, 1))[:3], atol=1e-3)


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz"])
def test_a_single_slice_is_a_volume_of_one_slice(tmp_path, suffix):
    voxels = scan((40, 48))
    assert np.array_equal(read_exam(write(tmp_path / f"slice{suffix}", voxels)).pre.voxels[0], voxels)


def test_a_fourth_dimension_of_one_is_dropped_and_more_are_refused(tmp_path):
    one, three = tmp_path / "one.nii.gz", tmp_path / "three.nii.gz"
    nibabel.save(nibabel.Nifti1Image(scan((32, 24, 5, 1)), np.eye(4)), one)
    nibabel.save(nibabel.Nifti1Image(scan((32, 24, 5, 3)), np.eye(4)), three)
    assert read_exam(one).pre.shape == (5, 24, 32)
    assert "4-D (3 volumes)" in refusal(three)


def test_vectors_colours_and_complex_numbers_are_refused(tmp_path):
    assert "vectors, colours" in refusal(write(tmp_path / "vector.nrrd", scan((5, 24, 32, 2)), vector=True))
    assert "vectors, colours" in refusal(write(tmp_path / "rgb.nrrd", scan((5, 24, 32, 3), np.uint8), vector=True))
    assert "complex" in refusal(write(tmp_path / "complex.nrrd", scan(dtype=np.complex64)))


def test_a_slicer_multivolume_is_refused_with_its_number_of_phases(shared_data):
    assert "60 volumes" in refusal(shared_data / "pkmodeling_dro" / "DRO5min5secinf.nrrd")


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize("kept", [0.99, 0.5, 200, 30])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_truncated_file_is_refused(tmp_path, name, kept, compressed):
    path = tmp_path / name
    sitk.WriteImage(image(scan((12, 64, 64))), str(path), compressed)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if kept < 1 else kept])
    assert "damaged or truncated" in refusal(path)


def test_a_header_without_its_data_file_is_refused(tmp_path):
    path = write(tmp_path / "scan.nhdr", scan())
    for data in tmp_path.glob("scan.raw*"):
        data.unlink()
    assert "damaged or truncated" in refusal(path)


def detached(path, field, voxels):
    """Writes an NRRD header whose voxels are where a field says."""
    sizes = " ".join(map(str, reversed(voxels.shape)))
    path.write_text(
        f"NRRD0004\ntype: uint16\ndimension: 3\nsizes: {sizes}\nencoding: raw\nendian: little\n{field}\n\n",
        newline="",
    )
    return path


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("field", ["data file: {}", "DataFile: {}", "DATA FILE:   {}", "data file: LIST 3\n{}"])
@pytest.mark.parametrize("relative", [False, True])
def test_voxels_outside_of_the_folder_of_their_header_are_refused(tmp_path, newline, field, relative):
    voxels = scan(dtype=np.uint16)
    (tmp_path / "voxels.raw").write_bytes(voxels.tobytes())
    (tmp_path / "exam").mkdir()
    place = "./../voxels.raw" if relative else tmp_path / "voxels.raw"
    path = detached(tmp_path / "exam" / "scan.nrrd", field.format(place), voxels)
    path.write_bytes(path.read_bytes().replace(b"\n", newline.encode()))
    assert "outside of its folder" in refusal(path)


def test_voxels_in_files_beside_or_below_their_header_are_read(tmp_path):
    voxels = scan(dtype=np.uint16)
    (tmp_path / "raw").mkdir()
    (tmp_path / "voxels.raw").write_bytes(voxels.tobytes())
    for index, plane in enumerate(voxels):
        (tmp_path / "raw" / f"{index}.raw").write_bytes(plane.tobytes())
    names = "\n".join(f"raw/{index}.raw" for index in range(len(voxels)))
    for field in ("data file: voxels.raw", "data file: raw/%d.raw 0 4 1", f"data file: LIST\n{names}"):
        path = detached(tmp_path / "scan.nhdr", field, voxels)
        path.write_text(path.read_text().rstrip("\n") + "\n")
        assert np.array_equal(read_exam(path).pre.voxels, voxels), field


@pytest.mark.parametrize("suffix", ["h5", "tif", "mrc"])
def test_a_file_of_another_format_under_the_name_of_an_nrrd_is_refused(tmp_path, suffix):
    path = write(tmp_path / f"scan.{suffix}", scan(dtype=np.uint8)).rename(tmp_path / "scan.nrrd")
    assert "damaged or truncated" in refusal(path)


@pytest.mark.parametrize(
    "content", [b"not an image at all\n" * 40, b"NRRD0004\ntype: short\ndimension: 3\n", os.urandom(4096)]
)
@pytest.mark.parametrize("name", ["scan.nrrd", "scan.nii", "scan.nii.gz"])
def test_other_content_under_an_image_name_is_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    assert "damaged or truncated" in refusal(path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_2_is_called_so_not_damage(tmp_path, suffix):
    path = tmp_path / f"scan{suffix}"
    nibabel.save(nibabel.Nifti2Image(scan().T, np.eye(4)), path)
    assert "NIfTI-2" in refusal(path)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "scan.nii").touch()
    assert "empty file" in refusal(tmp_path / "scan.nii")


def test_a_header_that_promises_too_much_is_refused_before_memory_is_asked_for(tmp_path):
    path = tmp_path / "huge.nrrd"
    path.write_bytes(b"NRRD0004\ntype: float\ndimension: 3\nsizes: 60000 60000 600\nencoding: raw\nendian: little\n\n")
    assert "too large" in refusal(path)


def test_nan_in_a_file_is_refused(tmp_path):
    voxels = scan(dtype=np.float32)
    voxels[2, 3, 4] = np.nan
    assert "NaN" in refusal(write(tmp_path / "scan.nrrd", voxels))


def test_a_locked_file_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "scan.nrrd", scan())

    def locked(self, *_args, **_kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", locked)  # a mode of 000 does not stop root, who runs tests in containers
    assert "Permission denied" in refusal(path)


def test_a_missing_path_and_other_formats_are_refused(tmp_path):
    assert "does not exist" in refusal(tmp_path / "nowhere.nrrd")
    for name in ("invivo.mat", "scan.txt", "scan"):
        (tmp_path / name).write_bytes(pickle.dumps(scan()))
        assert "NRRD" in refusal(tmp_path / name) and "DICOM folder" in refusal(tmp_path / name)


def test_a_series_to_choose_is_refused_where_there_is_none(tmp_path):
    assert "no series 5 to choose" in refusal(write(tmp_path / "scan.nrrd", scan()), series="5")


def test_a_post_contrast_file_name_warns(tmp_path):
    assert "postGd".lower() in read_exam(write(tmp_path / "t1_postGd.nrrd", scan())).warnings[0]


def test_a_name_that_is_not_utf8_is_refused_and_does_not_end_the_process(tmp_path):
    path = write(tmp_path / "scan.nrrd", scan()).rename(tmp_path / os.fsdecode(b"br\xfcst.nrrd"))
    with pytest.raises(CEKWorldError, match=r"^br\?st\.nrrd has a name that is not UTF-8") as caught:
        read_exam(path)
    str(caught.value).encode()  # can be printed, and sent to a page
