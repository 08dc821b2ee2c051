"""DICOM folders as they come from the wild: several studies, gaps, tilted stacks, compression, shared UIDs."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from dicom_series_writer import STEP_MM, STUDY, clock, frames_of, item, write_classic, write_enhanced
from pydicom.uid import JPEGLSLossless, RLELossless

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.series_reading import find_series_of, read_series

FRAMES = frames_of(3)
NINE = 9 * 3600.0
RISING = {"AcquisitionTime": lambda phase, _k: clock(NINE + 60 * phase)}


def test_time_series_of_two_studies_are_chosen_by_uid_where_their_numbers_are_the_same(tmp_path):
    other = frames_of(3, seed=1)
    for name, frames in (("1", FRAMES), ("2", other)):
        uids = {"StudyInstanceUID": f"{STUDY}.{name}", "SeriesInstanceUID": f"{STUDY}.{name}.5"}
        write_classic(tmp_path / name, frames, **RISING, **uids)
    with pytest.raises(CEKWorldError, match=rf"choose the series {STUDY}\.1\.5 or {STUDY}\.2\.5"):
        read_series(tmp_path)
    assert np.array_equal(read_series(tmp_path, series=f"{STUDY}.2.5").frames, other)
    with pytest.raises(CEKWorldError, match="StudyInstanceUID"):
        read_series(tmp_path, series=5)


def test_phases_of_one_exam_spread_over_two_studies_are_not_joined(tmp_path):
    study = {"StudyInstanceUID": lambda phase, _k: f"{STUDY}.{phase}"}
    write_classic(tmp_path, FRAMES, lambda phase: 5 + phase, **RISING, **study)
    with pytest.raises(CEKWorldError, match=r"only single volumes \(they differ in StudyInstanceUID\)"):
        read_series(tmp_path)


def test_a_slice_that_no_phase_has_is_missed(tmp_path):
    files = write_classic(tmp_path, frames_of(3, slices=6), **RISING)
    for phase in files:
        phase[2].unlink()
    with pytest.raises(CEKWorldError, match=r"missing or unevenly spaced slices .*5\.00 mm apart"):
        read_series(tmp_path)


def test_a_sheared_stack_as_of_a_tilted_gantry_is_refused(tmp_path):
    sheared = {"ImagePositionPatient": lambda _p, k: [-12.0, -20.0 + 3 * k, 30.0 + STEP_MM * k]}
    write_classic(tmp_path, FRAMES, **RISING, **sheared)
    with pytest.raises(CEKWorldError, match="shift sideways by 6.0 mm"):
        read_series(tmp_path)


def test_slices_that_are_not_parallel_are_refused(tmp_path):
    turned = {"ImageOrientationPatient": lambda _p, k: [np.cos(0.1 * k), np.sin(0.1 * k), 0, 0, 0, -1]}
    write_classic(tmp_path, FRAMES, **RISING, **turned)
    with pytest.raises(CEKWorldError, match="mixes orientations"):
        read_series(tmp_path)


def test_second_copies_of_images_are_left_out_and_images_that_share_a_uid_are_kept(tmp_path):
    files = write_classic(tmp_path, FRAMES, **RISING)
    for phase in files:
        for file in phase:
            (tmp_path / f"copy_{file.name}").write_bytes(file.read_bytes())
    assert np.array_equal(read_series(tmp_path).frames, FRAMES)
    write_classic(tmp_path / "shared", FRAMES, **RISING, SOPInstanceUID="1.2.3")
    assert np.array_equal(read_series(tmp_path / "shared").frames, FRAMES)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_compressed_phases_are_read_to_the_bit(tmp_path, syntax):
    if syntax == JPEGLSLossless:
        pytest.importorskip("jpeg_ls", reason="pyjpegls is not installed")
    for phase in write_classic(tmp_path, FRAMES, **RISING):
        for file in phase:
            data = pydicom.dcmread(file)
            data.compress(syntax, generate_instance_uid=False)
            data.save_as(file)
    assert np.array_equal(read_series(tmp_path).frames, FRAMES)


@pytest.mark.parametrize(("program", "package"), [("dcmcjpeg", "dcmtk"), ("dcmcjpls", "dcmtk")])
@pytest.mark.parametrize("slope", [None, 0.37])
def test_phases_compressed_by_an_archives_own_programs_are_read_to_the_bit(tmp_path, program, package, slope):
    if shutil.which(program) is None:
        pytest.skip(f"{program} not found; install the Debian package {package}")
    for phase in write_classic(tmp_path, FRAMES, **RISING, RescaleSlope=slope, RescaleIntercept=slope and -3.0):
        for file in phase:
            subprocess.run([program, str(file), str(file)], check=True)  # without options: lossless
            assert pydicom.dcmread(file).file_meta.TransferSyntaxUID.is_compressed
    expected = FRAMES if slope is None else FRAMES * slope - 3.0
    assert np.allclose(read_series(tmp_path).frames, expected, rtol=1e-6, atol=0)


def test_a_compression_nobody_here_decodes_is_named(tmp_path):
    files = write_classic(tmp_path, FRAMES, **RISING)
    data = pydicom.dcmread(files[1][1])
    data.compress(RLELossless, generate_instance_uid=False)
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.57"  # JPEG Lossless, which these bytes are not
    data.save_as(files[1][1])
    with pytest.raises(CEKWorldError, match=rf"{files[1][1].name} is compressed as JPEG Lossless"):
        read_series(tmp_path)


def test_a_signal_scale_that_differs_from_phase_to_phase_becomes_one(tmp_path):
    # Philips: stored values fill their range anew in every phase, and slope and intercept tell the signal.
    slopes, intercepts = (0.25, 1.5, 3.0), (0.0, -2.0, 7.0)
    scales = {"RescaleSlope": lambda p, _k: slopes[p], "RescaleIntercept": lambda p, _k: intercepts[p]}
    signal = np.stack([FRAMES[0] * slope + intercept for slope, intercept in zip(slopes, intercepts, strict=True)])
    write_classic(tmp_path, np.repeat(FRAMES[:1], 3, axis=0), **RISING, **scales)
    assert np.allclose(read_series(tmp_path).frames, signal)


@pytest.mark.parametrize("offset", ["", "+0100", "-0330"])
def test_the_offset_from_utc_changes_no_interval_and_no_injection(tmp_path, offset):
    # AcquisitionDateTime carries the offset, ContrastBolusStartTime of the same header is local time without one.
    times = {"AcquisitionDateTime": lambda p, _k: f"202410{27 + (p == 2)}{clock(86_330 + 60 * p)}{offset}"}
    write_classic(tmp_path, FRAMES, **times, ContrastBolusStartTime=clock(86_345), TimezoneOffsetFromUTC=offset or None)
    assert read_series(tmp_path).times_s == pytest.approx([-15, 45, 105])


def test_other_images_of_the_study_do_not_hide_the_series(tmp_path):
    write_classic(tmp_path, FRAMES, **RISING)
    write_classic(tmp_path / "more", FRAMES, lambda _p: 6, "echo", EchoTime=lambda p, _k: 2.0 + p, **RISING)
    write_classic(tmp_path / "more", FRAMES[:1, :1], lambda _p: 99, "shot", PhotometricInterpretation="RGB")
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 40)
    (tmp_path / "notes.txt").write_text("text")
    read = read_series(tmp_path)
    assert np.array_equal(read.frames, FRAMES) and any("EchoTime" in note for note in read.notes)


def test_all_phases_of_one_file_may_be_larger_than_a_volume_and_no_larger_than_a_series(tmp_path):
    file = tmp_path / "all.dcm"
    write_enhanced(file, frames_of(8, slices=160), lambda p: {
        "TemporalPositionSequence": item(TemporalPositionTimeOffset=60.0 * p)})  # fmt: skip
    data = pydicom.dcmread(file)
    data.Rows = data.Columns = 512
    data.save_as(file)
    assert find_series_of(file).shape == (8, 160, 512, 512)
    data.Rows = data.Columns = 1024
    data.save_as(file)
    with pytest.raises(CEKWorldError, match=r"all\.dcm is too large \(1280 frames of 1024 x 1024 pixels\)"):
        find_series_of(file)
