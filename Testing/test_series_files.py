"""Time series in one file, times that the user names, and ``cekworld phases``."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_exam import PROVENANCE, synthesized, write_exam
from dicom_series_writer import CANARY, clock, frames_of, write_classic

from CEKWorldLib.cli.main import OK, USER_ERROR, main
from CEKWorldLib.dicom.marking import Provenance
from CEKWorldLib.dicom.phases import export_phases
from CEKWorldLib.dicom.source import read_source
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.phase_times import UnknownTimesError
from CEKWorldLib.exam.series_reading import read_series
from CEKWorldLib.exam.times_file import read_times
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.export.seq_nrrd import write_sequence

FRAMES = np.random.default_rng(0).uniform(1, 900, (3, 4, 18, 20)).astype(np.float32)
TIMES_S = (-20.0, 30.0, 95.5)
TILT = np.radians(20)
DIRECTION = (1.0, 0.0, 0.0, 0.0, np.cos(TILT), -np.sin(TILT), 0.0, np.sin(TILT), np.cos(TILT))
GRID = Volume(FRAMES[0], (0.8, 1.2, 3.0), (-10.0, 22.5, 7.0), DIRECTION)
MULTIVOLUME = {
    "MultiVolume.FrameLabels": "0,50000,115500",
    "MultiVolume.FrameIdentifyingDICOMTagName": "AcquisitionTime",
    "MultiVolume.FrameIdentifyingDICOMTagUnits": "ms",
    "MultiVolume.NumberOfFrames": "3",
}


def refusal(path, error=CEKWorldError, **how):
    with pytest.raises(error) as caught:
        read_series(path, **how)
    message = str(caught.value)
    assert "\n" not in message and path.name in message and len(message) < 500
    return message


def sequence(path, attributes=(), times_s=TIMES_S, **header):
    """A ``.seq.nrrd``; keywords replace lines of its header, such as ``units``."""
    write_sequence(path, GRID, times_s, FRAMES, dict(attributes))
    text, voxels = path.read_bytes().split(b"\n\n", 1)
    lines = text.decode().split("\n")
    for key, value in header.items():
        lines = [f"{key}: {value}" if line.startswith(f"{key}:") else line for line in lines]
    path.write_bytes("\n".join(lines).encode() + b"\n\n" + voxels)
    return path


def nifti(path, frames=FRAMES, step=4.2):
    image = nibabel.Nifti1Image(np.moveaxis(frames, (0, 1, 2, 3), (3, 2, 1, 0)), np.diag([-1.0, -1.5, 3.0, 1.0]))
    image.header["pixdim"][4] = step
    nibabel.save(image, path)
    return path


def assert_same(read, frames=FRAMES, grid=GRID):
    assert np.array_equal(read.frames, frames) and read.frames.dtype == np.float32 and read.frames.flags.c_contiguous
    assert read.times_s.dtype == np.float64
    assert np.allclose(read.grid.spacing, grid.spacing) and np.allclose(read.grid.origin, grid.origin)
    assert np.allclose(read.grid.direction, grid.direction)
    assert np.array_equal(read.volume(1).voxels, frames[1])


@pytest.mark.parametrize("synthetic", ["1", "0"])
def test_a_synthesized_sequence_keeps_its_times_and_its_mark(tmp_path, synthetic):
    read = read_series(sequence(tmp_path / "a.seq.nrrd", {"CEKWorld.Synthetic": synthetic}))
    assert_same(read)
    assert read.times_s.tolist() == list(TIMES_S) and read.zero_source == "sequence index"
    assert read.synthetic is (synthetic == "1")
    assert bool(read.notes) is not read.synthetic  # what the zero of another program's index means is not known


def test_a_sequence_written_by_slicer_is_read(tmp_path):
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    vtk = pytest.importorskip("vtk")
    from vtk.util.numpy_support import numpy_to_vtk

    scene, node = slicer.vtkMRMLScene(), slicer.vtkMRMLSequenceNode()
    scene.AddNode(node)
    node.SetIndexName("time")
    node.SetIndexUnit("s")
    node.SetIndexType(slicer.vtkMRMLSequenceNode.NumericIndex)
    node.SetAttribute("CEKWorld.Synthetic", "1")
    for seconds, frame in zip(TIMES_S, FRAMES, strict=True):
        image = vtk.vtkImageData()
        image.SetDimensions(frame.shape[::-1])
        image.GetPointData().SetScalars(numpy_to_vtk(frame.ravel(), deep=True))
        volume = slicer.vtkMRMLScalarVolumeNode()
        volume.SetAndObserveImageData(image)
        volume.SetSpacing(0.8, 1.2, 3.0)
        volume.SetOrigin(10.0, -22.5, 7.0)  # RAS
        ras = [[-1, 0, 0], [0, -np.cos(TILT), np.sin(TILT)], [0, np.sin(TILT), np.cos(TILT)]]
        volume.SetIJKToRASDirections(ras)
        node.SetDataNodeAtValue(volume, str(seconds))
    storage = slicer.vtkMRMLVolumeSequenceStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(str(tmp_path / "slicer.seq.nrrd"))
    assert storage.WriteData(node)
    read = read_series(tmp_path / "slicer.seq.nrrd")
    assert_same(read)
    assert read.times_s.tolist() == list(TIMES_S) and read.synthetic


@pytest.mark.parametrize(("unit", "factor"), [("ms", 1e-3), ("min", 60.0)])
def test_the_index_is_read_in_its_unit(tmp_path, unit, factor):
    path = sequence(tmp_path / "a.seq.nrrd", times_s=(0, 1500, 3000), units=f'"" "" "" "{unit}"')
    assert read_series(path).times_s == pytest.approx([0, 1500 * factor, 3000 * factor])


def test_slicers_frame_numbers_are_no_times_where_the_labels_have_them(tmp_path):
    """A DICOM series in Slicer: index "0", "1", ... without a unit, times only in the MultiVolume attributes."""
    path = sequence(tmp_path / "a.seq.nrrd", MULTIVOLUME, times_s=(0, 1, 2), units='"" "" "" ""')
    read = read_series(path)
    assert_same(read)
    assert (
        read.times_s.tolist() == [0, 50, 115.5] and read.time_sources[0] == "MultiVolume.FrameLabels (AcquisitionTime)"
    )
    assert read.zero_source == "" and read_series(path, injection_s=20).times_s.tolist() == [-20, 30, 95.5]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (None, "no index in a unit of time"),
        ({"MultiVolume.FrameIdentifyingDICOMTagName": "FlipAngle"}, "values of FlipAngle, no times"),
        ({"MultiVolume.FrameLabels": "0,50000"}, "name 2 of 3"),
        ({"MultiVolume.FrameLabels": "0,one,2"}, "name 0 of 3"),
    ],
)
def test_frames_without_times_are_asked_for(tmp_path, changes, words):
    attributes = {} if changes is None else MULTIVOLUME | changes
    path = sequence(tmp_path / "a.seq.nrrd", attributes, times_s=(0, 1, 2), units='"" "" "" ""')
    assert words in refusal(path, UnknownTimesError)
    assert read_series(path, times_s=TIMES_S).times_s.tolist() == list(TIMES_S)


def test_labels_that_do_not_rise_are_refused(tmp_path):
    labels = MULTIVOLUME | {"MultiVolume.FrameLabels": "0,0,115500"}  # tm2ms gives 0 for times it cannot read
    path = sequence(tmp_path / "a.seq.nrrd", labels, times_s=(0, 1, 2), units='"" "" "" ""')
    assert "phase 2 (0 s) is not later than phase 1" in refusal(path)


def test_the_pkmodeling_phantoms_are_read_as_simpleitk_does(shared_data):
    for name, phases, step in (("DRO3min5secinf", 36, 5.0), ("DRO5min1secinf", 300, 1.0), ("DRO5min5secinf", 60, 5.0)):
        path = shared_data / "pkmodeling_dro" / f"{name}.nrrd"
        read, oracle = read_series(path), sitk.ReadImage(str(path))
        assert_same(read, np.moveaxis(sitk.GetArrayFromImage(oracle), -1, 0).astype(np.float32), Volume.from_image(
            sitk.VectorIndexSelectionCast(oracle, 0)))  # fmt: skip
        assert np.array_equal(read.times_s, step * np.arange(phases))
        assert read.acquisition.flip_angle_deg == 15 and read.acquisition.repetition_time_ms == 5
    assert "single volume" in refusal(shared_data / "pkmodeling_dro" / "DRO-AIF.nrrd")


@pytest.mark.parametrize("name", ["series.nii", "series.nii.gz"])
def test_a_4d_nifti_needs_its_times(tmp_path, name):
    path = nifti(tmp_path / name)
    assert "4.2" in refusal(path, UnknownTimesError)
    read = read_series(path, times_s=TIMES_S)
    assert_same(read, grid=Volume(FRAMES[0], (1.0, 1.5, 3.0), (0.0, 0.0, 0.0)))
    assert read.times_s.tolist() == list(TIMES_S) and read.time_sources == ("given",) * 3 and read.notes == ()


@pytest.mark.parametrize("name", ["series.nii", "series.nii.gz"])
@pytest.mark.parametrize("key", ["VolumeTiming", "FrameTimesStart"])
def test_a_4d_nifti_takes_its_times_from_a_bids_sidecar(tmp_path, name, key):
    path = nifti(tmp_path / name)
    (tmp_path / "series.json").write_text(json.dumps({"RepetitionTime": 0.005, key: [30, 90.5, 160]}))
    read = read_series(path, injection_s=20)
    assert read.times_s.tolist() == [-20, 40.5, 110] and read.time_sources == (f"{key} of the sidecar",) * 3


@pytest.mark.parametrize(
    "content", ["", "[1, 2]", '{"VolumeTiming": [1, 2]}', '{"VolumeTiming": ["a", 1, 2]}', '{"RepetitionTime": 5}']
)
def test_a_sidecar_that_does_not_tell_every_time_tells_none(tmp_path, content):
    (tmp_path / "series.json").write_text(content)
    assert "NIfTI holds none" in refusal(nifti(tmp_path / "series.nii"), UnknownTimesError)


@pytest.mark.parametrize(
    ("times_s", "words"),
    [
        ([0, 10], "3 phases, but 2 times"),
        ([0, 10, 10], "phase 3 (10 s) is not later"),
        ([0, 20, 10], "not later"),
        ([0, np.nan, 10], "not a number"),
        ([[0, 1, 2]], "one for each"),
    ],
)
def test_given_times_that_do_not_fit_are_refused(tmp_path, times_s, words):
    assert words in refusal(nifti(tmp_path / "a.nii"), times_s=times_s)


def test_times_and_injection_together_or_an_endless_injection_are_refused(tmp_path):
    path = sequence(tmp_path / "a.seq.nrrd")
    for how in ({"times_s": TIMES_S, "injection_s": 3.0}, {"injection_s": float("inf")}):
        with pytest.raises(CEKWorldError, match="injection"):
            read_series(path, **how)


def test_an_intercept_without_a_slope_is_left_aside_as_nibabel_does(tmp_path):
    path = nifti(tmp_path / "a.nii")
    header = bytearray(path.read_bytes())
    header[112:120] = struct.pack("<2f", 0.0, 7.5)  # scl_slope and scl_inter
    path.write_bytes(header)
    np.testing.assert_allclose(read_series(path, times_s=TIMES_S).frames, nibabel.load(path).get_fdata().T, atol=1e-3)


def test_vectors_in_a_nifti_file_are_no_phases(tmp_path):
    image = nibabel.Nifti1Image(np.ones((24, 20, 5, 1, 3), np.int16), np.eye(4))
    image.header.set_intent("vector")
    nibabel.save(image, tmp_path / "a.nii")
    assert "holds vectors" in refusal(tmp_path / "a.nii", times_s=TIMES_S)


def test_a_series_to_choose_is_refused_where_there_is_none(tmp_path):
    for path in (sequence(tmp_path / "a.seq.nrrd"), nifti(tmp_path / "a.nii")):
        assert "no series 5 to choose" in refusal(path, series="5")


@pytest.mark.parametrize("name", ["a.seq.nrrd", "a.nii", "a.nii.gz"])
@pytest.mark.parametrize("cut", [0, 100, 360, -50])
def test_truncated_and_empty_files_are_refused_by_name(tmp_path, name, cut):
    path = sequence(tmp_path / name) if name.endswith("nrrd") else nifti(tmp_path / name)
    path.write_bytes(path.read_bytes()[:cut])
    assert "damaged or truncated" in refusal(path, times_s=TIMES_S) or cut == 0


def test_what_is_no_series_is_refused_by_name(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(FRAMES[0]), str(tmp_path / "one.nrrd"))
    sitk.WriteImage(sitk.GetImageFromArray(FRAMES[..., :3].astype(np.uint8), isVector=True), str(tmp_path / "rgb.nrrd"))
    (tmp_path / "notes.txt").write_text("no image")
    assert "single volume" in refusal(tmp_path / "one.nrrd")
    assert "not in a format" in refusal(tmp_path / "notes.txt")
    assert "does not exist" in refusal(tmp_path / "gone.nii")
    refusal(tmp_path / "rgb.nrrd")
    assert "constant" in refusal(nifti(tmp_path / "flat.nii", np.full_like(FRAMES, 7)), times_s=TIMES_S)


def test_a_header_that_promises_too_much_is_refused_before_memory_is_asked_for(tmp_path):
    path = sequence(tmp_path / "a.seq.nrrd", sizes="4096 4096 256 3")
    assert "too large" in refusal(path)


def test_nan_voxels_are_kept_and_counted(tmp_path):
    frames = FRAMES.copy()
    frames[1, 2, 3, 4:6] = np.nan, np.inf
    write_sequence(tmp_path / "a.seq.nrrd", GRID, TIMES_S, frames, {})
    read = read_series(tmp_path / "a.seq.nrrd")
    assert any(note.startswith("2 voxels are NaN") for note in read.notes) and np.isnan(read.frames[1, 2, 3, 4])


@pytest.mark.parametrize(
    "text",
    ["-20\n30\n95.5\n", "# seconds\n-20, 30, 95.5", "-20 30 95.5", "\ufeffphase;time_s\n1;-20\n2;30\n3;95.5\n",
     '"time (s)","signal"\n-20,4\n30,5\n95.5,\n', "-20\t30\t95.5\n\n"],
)  # fmt: skip
def test_times_files_of_many_kinds(tmp_path, text):
    path = tmp_path / "times.csv"
    path.write_text(text, encoding="utf-8")
    assert read_times(path).tolist() == list(TIMES_S)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "no times"), (b"0\nMiller\n3", "words where times"), (b"\xff\xfe\x00", "not a text"),
     (b"a,b\n1,2", "time_s"), (b"time,t\n1,2", "time_s"), (b"x,time\n1", "time_s"), (b"0\nnan\n", "words"),
     (b"time_s\n0,5\n60,5\n", "time_s"),  # decimal commas
     (b"1\n" * 600_000, "too large")],
)  # fmt: skip
def test_files_that_hold_no_times_are_refused_by_name(tmp_path, content, words):
    path = tmp_path / "times.csv"
    path.write_bytes(content)
    with pytest.raises(CEKWorldError, match=words) as caught:
        read_times(path)
    assert "times.csv" in str(caught.value) and "Miller" not in str(caught.value)
    with pytest.raises(CEKWorldError, match=r"gone\.csv"):
        read_times(tmp_path / "gone.csv")


DICOM = frames_of(3)


def dicom(folder, **tags):
    write_classic(folder, DICOM, lambda phase: 9 + phase, **tags)
    return folder


def test_phases_prints_time_source_and_series_and_no_patient(tmp_path, capsys):
    folder = dicom(tmp_path / "in", AcquisitionTime=lambda phase, _k: clock(32_400 + 60 * phase))
    assert main(["phases", str(folder), "--injection", "45"]) == OK
    printed = capsys.readouterr()
    rows = [line.split() for line in printed.out.splitlines()[1:4]]
    assert rows == [["1", "-45.00", "AcquisitionTime", "9"], ["2", "15.00", "AcquisitionTime", "10"],
                    ["3", "75.00", "AcquisitionTime", "11"]]  # fmt: skip
    assert "time zero: given" in printed.out and "ACQUIRED" in printed.out
    assert CANARY not in printed.out + printed.err
    assert main(["phases", str(folder)]) == OK
    assert "note: Nothing says when the injection began" in capsys.readouterr().err


def test_phases_shows_unknown_times_as_a_table_and_takes_them_from_a_file(tmp_path, capsys):
    folder, times = dicom(tmp_path / "in"), tmp_path / "times.txt"
    times.write_text("-20\n30\n95.5\n")
    assert main(["phases", str(folder)]) == USER_ERROR
    printed = capsys.readouterr()
    assert [line.split() for line in printed.out.splitlines()[1:]] == [
        [str(n), "?", "unknown", str(8 + n)] for n in (1, 2, 3)
    ]
    assert "give a time for each phase" in printed.err
    for given in (str(times), "-20,30,95.5"):
        assert main(["phases", str(folder), f"--times={given}"]) == OK
        assert "  95.50  given" in capsys.readouterr().out


@pytest.mark.parametrize("how", [["--injection", "45"], []])
def test_phases_writes_a_sequence_that_reads_back_as_the_same_series(tmp_path, capsys, how):
    folder = dicom(tmp_path / "in", AcquisitionTime=lambda phase, _k: clock(32_400 + 60 * phase))
    output = tmp_path / "out.seq.nrrd"
    assert main(["phases", str(folder), "--output", str(output), *how]) == OK
    written, source = read_series(output), read_series(folder, injection_s=45 if how else None)
    assert_same(written, DICOM, source.grid)
    assert written.times_s.tolist() == source.times_s.tolist()
    assert written.time_sources == source.time_sources and written.zero_source == source.zero_source
    assert bool(written.notes) is not bool(how) and not written.synthetic
    assert main(["phases", str(folder), "--output", str(output)]) == USER_ERROR
    assert main(["phases", str(folder), "--output", str(output), "--overwrite"]) == OK
    assert main(["phases", str(folder), "--output", str(tmp_path / "out.nrrd")]) == USER_ERROR
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.seq.nrrd"]


def test_phases_keeps_what_made_a_synthesis_from_dicom_to_file(tmp_path):
    write_exam(tmp_path / "pre")
    exported = export_phases(synthesized(tmp_path / "pre"), read_source(tmp_path / "pre"), PROVENANCE, tmp_path)
    assert main(["phases", str(exported.folder), "--output", str(tmp_path / "a.seq.nrrd")]) == 0
    read = read_series(tmp_path / "a.seq.nrrd")
    assert Provenance.of(read.made_by) == replace(PROVENANCE, seed=str(PROVENANCE.seed))
    again = export_phases(read, read_source(tmp_path / "pre"), Provenance.of(read.made_by), tmp_path / "again")
    image = pydicom.dcmread(again.folder / "phase_003" / "slice_0001.dcm")
    assert PROVENANCE.derivation(90.5) == image.DerivationDescription


def test_phases_keeps_the_synthetic_mark(tmp_path, capsys):
    path = sequence(tmp_path / "a.seq.nrrd", {"CEKWorld.Synthetic": "1"})
    assert main(["phases", str(path), "--output", str(tmp_path / "b.seq.nrrd")]) == OK
    assert "SYNTHETIC" in capsys.readouterr().out
    assert read_series(tmp_path / "b.seq.nrrd").synthetic


def test_bright_later_phases_are_written_without_clipping(tmp_path):
    write_classic(
        tmp_path / "in", DICOM * np.uint16([[[[1]]], [[[4]]], [[[16]]]]), AcquisitionTime=lambda p, _k: clock(60 * p)
    )
    assert main(["phases", str(tmp_path / "in"), "--output", str(tmp_path / "out.seq.nrrd")]) == OK
    assert np.array_equal(read_series(tmp_path / "out.seq.nrrd").frames, read_series(tmp_path / "in").frames)
