"""An archive in every layout that ``cekworld dataset build`` knows, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from contrast_phantom import SPACING_MM, TIMES_S, phantom
from dicom_series_writer import clock, write_classic

from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.export.seq_nrrd import write_sequence

CANARY = "ZZPHI"  # in every name that could be a patient's
NOON = 43_200.0


def frames(seed: int = 0, slices: int = 4) -> np.ndarray:
    """(4, slices, 32, 32) of a phantom of its own."""
    return phantom(slices, 32, seed)[0]


def write_study(folder: Path, patient: str, study: str, phases: np.ndarray, **tags) -> None:
    """A DICOM study with one series for each phase, as TCIA's Duke-Breast-Cancer-MRI; no injection time."""
    for index, phase in enumerate(phases):
        series = {"PatientID": patient, "StudyInstanceUID": f"1.2.826.0.1.3680043.8.498.{study}"}
        series |= {"SeriesInstanceUID": f"1.2.826.0.1.3680043.8.498.{study}.{index}"}
        series |= {"AcquisitionTime": clock(NOON + 120.0 * index), "PixelSpacing": [2.7, 2.7]}
        name = f"{index + 3}.000000-ax dyn {'pre' if index == 0 else f'{index} pass'}-4711"
        write_classic(folder / name, phase[None], lambda _phase, index=index: index + 3, **(series | tags))


def write_one_series(folder: Path, patient: str, phases: np.ndarray, **tags) -> None:
    """A DICOM study with all phases in one series, whose header tells the injection."""
    series = {"PatientID": patient, "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.77"}
    series |= {"AcquisitionTime": lambda phase, _k: clock(NOON + TIMES_S[phase]), "ContrastBolusStartTime": clock(NOON)}
    series |= {"PixelSpacing": [2.7, 2.7], "MagneticFieldStrength": 1.5}
    write_classic(folder, phases, **(series | tags))


def write_phase_files(folder: Path, exam: str, phases: np.ndarray) -> None:
    """MAMA-MIA's files."""
    folder.mkdir(parents=True)
    for index, phase in enumerate(phases):
        image = Volume(phase, tuple(reversed(SPACING_MM))).to_image()
        sitk.WriteImage(image, str(folder / f"{exam}_{index:04d}.nii.gz"))


def write_archive(root: Path) -> Path:
    """Five exams of four patients in every layout, and files that are none."""
    duke = root / "Duke-Breast-Cancer-MRI" / f"{CANARY}_001"
    write_study(duke / "01-01-1990-NA-MRI BREAST-1", f"{CANARY}_001", "1", frames(1))
    write_study(duke / "07-01-1990-NA-MRI BREAST-2", f"{CANARY}_001", "2", frames(2))
    write_one_series(root / "pacs" / "A0001" / "S7", f"{CANARY}^PACS", frames(3))
    write_phase_files(root / "images" / f"{CANARY}_002", f"{CANARY.lower()}_002", frames(4))
    sequences = root / "sequences" / f"{CANARY}_003"
    sequences.mkdir(parents=True)
    phases = frames(5)
    volume = Volume(phases[0], tuple(reversed(SPACING_MM)))
    write_sequence(sequences / "exam.seq.nrrd", volume, TIMES_S, phases, {})
    sitk.WriteImage(volume.to_image(), str(sequences / "pre_alone.nrrd"))
    (root / "README.txt").write_text("nothing to see")
    return root


def table(path: Path) -> Path:
    """What a clinical table says of the exam in NIfTI files, as MAMA-MIA's does, among much else."""
    path.write_text(
        f'patient_id,age,acquisition_times\n{CANARY}_002,50,"[0, 130, 250, 370]"\nSOMEBODY_ELSE,40,"[0, 90]"\n'
    )
    return path
