"""Writes DICOM time series the way different scanners do, for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

CANARY = "ZZPHI^CANARY"
STEP_MM = 2.5
STUDY = "1.2.826.0.1.3680043.8.498.1"


def frames_of(phases: int, slices: int = 3, seed: int = 0) -> np.ndarray:
    """Whole numbers that differ everywhere: (phases, slices, 20, 24)."""
    return np.random.default_rng(seed).integers(10, 4000, (phases, slices, 20, 24)).astype(np.uint16)


def write_classic(
    folder: Path, frames: np.ndarray, series: Callable[[int], int] = lambda _phase: 5, prefix: str = "im", **tags: Any
) -> list[list[Path]]:
    """Writes one file per slice and phase, named against the order of time.

    Args:
        folder: made where it does not exist.
        frames: (phases, slices, rows, columns).
        series: SeriesNumber of a phase; phases with the same number are one series.
        prefix: of the file names.
        **tags: attributes; a function is called with (phase, slice). None removes the attribute.

    Returns:
        Files by phase and slice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    phases, slices = frames.shape[:2]
    files: list[list[Path]] = []
    for phase in range(phases):
        files.append([])
        for k in range(slices):
            data = _image(MRImageStorage, frames[phase, k])
            data.SeriesNumber = series(phase)
            data.SeriesInstanceUID = f"{STUDY}.{series(phase)}"
            data.InstanceNumber = phase * slices + k + 1
            data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            data.ImagePositionPatient = [-12.0, -20.0, 30.0 + STEP_MM * k]
            data.PixelSpacing, data.SliceThickness = [1.5, 0.75], STEP_MM
            data.RepetitionTime, data.EchoTime, data.FlipAngle = 4.2, 1.8, 12
            for name, value in tags.items():
                value = value(phase, k) if callable(value) else value
                if value is None:
                    data.pop(name, None)
                else:
                    setattr(data, name, value)
            files[-1].append(folder / f"{prefix}{phases - phase:02d}_{k:02d}.dcm")
            data.save_as(files[-1][-1], enforce_file_format=True)
    return files


def write_enhanced(path: Path, frames: np.ndarray, phase_groups: Callable[[int], dict[str, Dataset]]) -> None:
    """Writes all phases into one Enhanced MR file, slice by slice (all times of the first slice come first).

    Args:
        path: the file.
        frames: (phases, slices, rows, columns).
        phase_groups: functional groups of a phase, by the keyword of their sequence.
    """
    phases, slices = frames.shape[:2]
    data = _image(EnhancedMRImageStorage, frames.swapaxes(0, 1).reshape(-1, *frames.shape[2:]))
    data.NumberOfFrames = phases * slices
    data.SeriesNumber, data.SeriesInstanceUID, data.InstanceNumber = 7, f"{STUDY}.7", 1
    shared = Dataset()
    shared.PlaneOrientationSequence = Sequence([item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])])
    shared.PixelMeasuresSequence = Sequence([item(PixelSpacing=[1.5, 0.75], SliceThickness=STEP_MM)])
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    per_frame = []
    for k in range(slices):
        for phase in range(phases):
            frame = Dataset()
            place = [-12.0, -20.0, 30.0 + STEP_MM * k]
            frame.PlanePositionSequence = Sequence([item(ImagePositionPatient=place)])
            for name, group in phase_groups(phase).items():
                setattr(frame, name, Sequence([group]))
            per_frame.append(frame)
    data.PerFrameFunctionalGroupsSequence = Sequence(per_frame)
    data.save_as(path, enforce_file_format=True)


def item(**values: Any) -> Dataset:
    """A sequence item."""
    data = Dataset()
    for name, value in values.items():
        setattr(data, name, value)
    return data


def clock(seconds: float) -> str:
    """A TM value, seconds after midnight."""
    seconds %= 86_400
    whole = int(seconds)
    return f"{whole // 3600:02d}{whole // 60 % 60:02d}{whole % 60:02d}.{round((seconds - whole) * 1e6):06d}"


def _image(kind: str, pixels: np.ndarray) -> Dataset:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = kind
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.PatientName, data.PatientID, data.Modality = CANARY, CANARY, "MR"
    data.StudyInstanceUID = STUDY
    data.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    data.Rows, data.Columns = pixels.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    data.PixelData = pixels.astype(np.uint16).tobytes()
    return data
