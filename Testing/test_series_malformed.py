"""Damaged files: every one gives a series or one sentence that names it, soon and in little memory."""

from __future__ import annotations

import shutil
import tempfile
import time
import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from dicom_series_writer import CANARY, clock, frames_of, item, write_classic, write_enhanced
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.series_reading import read_series
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.export.seq_nrrd import write_sequence

SECONDS, MEGABYTES = 5.0, 64
FRAMES = frames_of(3, slices=2)


def read_or_sentence(path: Path, times_s: list[float] | None = None) -> TimeSeries | str:
    """The series, or the message of the one exception allowed; bounded in processor time and memory."""
    tracemalloc.start()
    start = time.process_time()
    try:
        return read_series(path, times_s)
    except CEKWorldError as error:
        message = str(error)
        assert CANARY not in message and "\n" not in message and len(message) < 1500
        return message
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert time.process_time() - start < SECONDS and peak < MEGABYTES << 20


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    write_classic(folder, FRAMES, AcquisitionTime=lambda phase, _k: clock(3600 + 60 * phase))
    return folder


@pytest.fixture(scope="module")
def good_enhanced(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("enhanced") / "all.dcm"
    write_enhanced(path, FRAMES, lambda p: {"TemporalPositionSequence": item(TemporalPositionTimeOffset=60.0 * p)})
    return path


@pytest.fixture(scope="module")
def good_files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    frames = FRAMES.astype(np.float32)
    write_sequence(folder / "a.seq.nrrd", Volume(frames[0]), [0.0, 60.0, 120.0], frames, {"CEKWorld.Synthetic": "1"})
    nibabel.save(nibabel.Nifti1Image(frames.T, np.eye(4)), folder / "a.nii")
    return folder


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("alone_in_folder", [True, False])
def test_every_malformed_file_is_refused_by_name(shared_data, tmp_path, alone_in_folder):
    files = sorted((shared_data / "dicom_malformed").iterdir())
    assert len(files) > 20
    for file in files:
        folder = tmp_path / file.stem
        folder.mkdir()
        shutil.copy(file, folder)
        message = read_or_sentence(folder if alone_in_folder else folder / file.name)
        assert isinstance(message, str) and file.name in message


@pytest.mark.filterwarnings("ignore")
def test_every_malformed_file_beside_a_good_series_leaves_it_readable(shared_data, good, tmp_path):
    for file in sorted((shared_data / "dicom_malformed").iterdir()):
        folder = tmp_path / file.stem
        shutil.copytree(good, folder)
        shutil.copy(file, folder)
        read = read_or_sentence(folder)
        assert isinstance(read, TimeSeries) and np.array_equal(read.frames, FRAMES), read


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.filterwarnings("ignore")
def test_bytes_changed_anywhere_give_a_series_or_a_sentence(good, data):
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(shutil.copy(file, folder)) for file in sorted(good.iterdir())]
        victim = data.draw(st.sampled_from(files))
        content = bytearray(victim.read_bytes())
        header = len(content) - FRAMES[0, 0].nbytes
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(128, header))] = data.draw(st.integers(0, 255))
        victim.write_bytes(content)
        read = read_or_sentence(Path(folder))
        assert isinstance(read, TimeSeries) or Path(folder).name in read or any(file.name in read for file in files)


@given(st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.filterwarnings("ignore")
def test_a_file_cut_off_anywhere_is_named(good, data):
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(shutil.copy(file, folder)) for file in sorted(good.iterdir())]
        victim = data.draw(st.sampled_from(files))
        content = victim.read_bytes()
        cut = data.draw(st.integers(250, len(content) - 1))
        victim.write_bytes(content[:cut])
        message = read_or_sentence(Path(folder))
        assert isinstance(message, str) and victim.name in message


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.filterwarnings("ignore")
def test_an_enhanced_file_with_changed_bytes_gives_a_series_or_is_named(good_enhanced, data):
    with tempfile.TemporaryDirectory() as folder:
        content = bytearray(good_enhanced.read_bytes())
        header = len(content) - FRAMES.nbytes
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(128, header))] = data.draw(st.integers(0, 255))
        path = Path(folder) / "victim.dcm"
        path.write_bytes(content)
        read = read_or_sentence(path)
        assert isinstance(read, TimeSeries) or "victim.dcm" in read


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.filterwarnings("ignore")
def test_attributes_removed_or_given_foreign_values_give_a_series_or_a_sentence(good, data):
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(shutil.copy(file, folder)) for file in sorted(good.iterdir())]
        victim = data.draw(st.sampled_from(files))
        dataset = pydicom.dcmread(victim)
        element = data.draw(st.sampled_from([e for e in dataset if e.VR != "SQ"]))
        if data.draw(st.booleans()):
            del dataset[element.tag]
        elif element.VR == "US":
            dataset[element.tag].value = data.draw(st.sampled_from([0, 1, 65_535]))
        elif element.VR in ("CS", "TM", "DA", "LO", "PN"):
            dataset[element.tag].value = data.draw(st.text("0123456789:.-^\\ABC ", max_size=16))
        elif element.VR in ("DS", "IS"):
            dataset[element.tag].value = data.draw(st.sampled_from(["", "0", "-1", "1000000"]))
        dataset.save_as(victim)
        read = read_or_sentence(Path(folder))
        assert isinstance(read, TimeSeries) or Path(folder).name in read or any(file.name in read for file in files)


@given(st.data())
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.parametrize(("name", "header"), [("a.seq.nrrd", 700), ("a.nii", 352)])
def test_image_files_with_changed_headers_give_a_series_or_are_named(good_files, name, header, data):
    with tempfile.TemporaryDirectory() as folder:
        content = bytearray((good_files / name).read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, header))] = data.draw(st.integers(0, 255))
        path = Path(folder) / name
        path.write_bytes(content)
        read = read_or_sentence(path, [0.0, 60.0, 120.0])
        assert isinstance(read, TimeSeries) or name in read
