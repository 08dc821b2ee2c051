"""A pre-contrast exam as DICOM files of a patient whose name must not get about, and a series synthesized from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from CEKWorldLib.dicom.marking import Provenance
from CEKWorldLib.dicom.phases import ExportedPhases, export_phases
from CEKWorldLib.dicom.source import read_source
from CEKWorldLib.exam.reading import read_exam
from CEKWorldLib.exam.time_series import TimeSeries

NAME, PATIENT_ID = "ZZPHI^CANARY^Müller", "ZZPHI-4711"
TILT = np.radians(12)
ORIENTATION = [0, 1, 0, float(np.sin(TILT)), 0, -float(np.cos(TILT))]  # sagittal, tilted
NORMAL = np.cross(ORIENTATION[:3], ORIENTATION[3:])
START = np.array([-40.25, -60.5, 80.125])
STEP_MM = 2.5
TIMES_S = (-30.0, 0.0, 90.5, 240.0)
PROVENANCE = Provenance("compact", "0123456789abcdef" * 4, 7)


def write_exam(folder: Path, slices: int = 6, rows: int = 40, columns: int = 32, seed: int = 0) -> list[Path]:
    """Writes one sagittal series, numbered against the order of its positions."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    study, series, frame_of_reference = (generate_uid() for _ in range(3))
    files = []
    for k in range(slices):
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SpecificCharacterSet = "ISO_IR 100"
        data.SOPClassUID, data.SOPInstanceUID = MRImageStorage, generate_uid()
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, frame_of_reference
        data.PatientName, data.PatientID, data.PatientBirthDate, data.PatientSex = NAME, PATIENT_ID, "19610203", "F"
        data.PatientComments, data.InstitutionName, data.StationName = "ZZPHI comment", "ZZPHI hospital", "ZZPHI1"
        data.StudyDate, data.StudyTime, data.StudyID, data.AccessionNumber = "20240229", "235000", "17", "ZZPHI-A1"
        data.AcquisitionDate, data.AcquisitionTime = "20240229", "235930.25"
        data.ReferringPhysicianName, data.StudyDescription = "ZZPHI^Doctor", "ZZPHI breast"
        data.Modality, data.SeriesNumber, data.InstanceNumber = "MR", 4, slices - k
        data.Manufacturer, data.ManufacturerModelName, data.PatientPosition = "Scanner maker", "Scanner", "HFP"
        data.BodyPartExamined, data.Laterality = "BREAST", "L"
        data.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
        data.ScanningSequence, data.SequenceVariant, data.ScanOptions = "GR", "SP", "FS"
        data.MRAcquisitionType, data.RepetitionTime, data.EchoTime, data.FlipAngle = "3D", 4.5, 1.9, 12
        data.EchoTrainLength, data.MagneticFieldStrength = 1, 3
        data.TriggerTime, data.ContrastBolusAgent = 12, ""
        data.PixelSpacing, data.SliceThickness = [1.5, 1.25], 3
        data.ImageOrientationPatient = [f"{value:.10f}" for value in ORIENTATION]
        data.ImagePositionPatient = [f"{value:.10f}" for value in START + k * STEP_MM * NORMAL]
        data.Rows, data.Columns = rows, columns
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, 0
        data.PixelData = rng.integers(20, 1500, (rows, columns)).astype(np.uint16).tobytes()
        data.private_block(0x0019, "ZZPHI VENDOR", create=True).add_new(1, "LO", "ZZPHI private")
        files.append(folder / f"im{slices - k:03d}.dcm")
        data.save_as(files[-1], enforce_file_format=True)
    return files


def synthesized(folder: Path, times_s: tuple[float, ...] = TIMES_S) -> TimeSeries:
    """Phases with an enhancement that differs from voxel to voxel."""
    pre = read_exam(folder).pre
    enhancement = np.random.default_rng(1).uniform(-0.1, 2.0, pre.shape)
    frames = np.stack([pre.voxels * (1 + enhancement * max(t, 0.0) / 240.0) for t in times_s]).astype(np.float32)
    return TimeSeries(frames, np.array(times_s), pre, synthetic=True)


def exported_exam(folder: Path) -> ExportedPhases:
    """A new exam with new UIDs, exported: more files than an archive is sent at once."""
    write_exam(folder / "pre", slices=12)
    return export_phases(synthesized(folder / "pre"), read_source(folder / "pre"), PROVENANCE, folder / "out")


def images(folder: Path) -> list[list[pydicom.Dataset]]:
    """Datasets by phase and slice, in the order of their file names."""
    return [[pydicom.dcmread(f) for f in sorted(phase.iterdir())] for phase in sorted(folder.iterdir())]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
