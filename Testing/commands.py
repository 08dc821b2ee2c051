"""Every command that writes what it made of a series, with small input, for tests of what they have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from dicom_exam import synthesized, write_exam
from pydicom.uid import generate_uid

from CEKWorldLib.export.seq_nrrd import write_sequence

TIMES_S = (0.0, 60.0, 90.0, 300.0)
FACTS = {"model": "compact", "model_sha256": "ab" * 32, "seed": "3", "Synthetic": "1"}


def write_inputs(folder: Path) -> None:
    """A DICOM exam (``pre``), phases synthesized from it, an acquired series (``acquired``) and a mask."""
    files = write_exam(folder / "pre", slices=3, rows=20, columns=20)
    series = synthesized(folder / "pre", TIMES_S)
    attributes = {f"CEKWorld.{name}": value for name, value in FACTS.items()}
    write_sequence(folder / "phases.seq.nrrd", series.grid, TIMES_S, series.frames, attributes)
    mask = np.zeros(series.grid.shape, np.uint8)
    mask[1, 5:12, 6:12] = 1
    sitk.WriteImage(series.grid.like(mask).to_image(), str(folder / "lesion.nrrd"))
    (folder / "acquired").mkdir()
    degree = np.random.default_rng(2).uniform(0.5, 1.5, (20, 20))
    for phase, t in enumerate(TIMES_S):
        uid = generate_uid()
        for file in files:
            data = pydicom.dcmread(file)
            data.SeriesInstanceUID, data.SOPInstanceUID, data.SeriesNumber = uid, generate_uid(), 10 + phase
            data.ContrastBolusStartTime = "120000"
            data.AcquisitionTime = f"12{int(t) // 60:02d}{int(t) % 60:02d}"
            data.PixelData = (data.pixel_array * (1 + degree * t / 200)).astype(np.uint16).tobytes()
            data.save_as(folder / "acquired" / f"{phase}_{file.name}", enforce_file_format=True)


# What each is called with, given the folder of its input and the one it writes to.
COMMANDS: dict[str, Callable[[Path, Path], list[str]]] = {
    "phases": lambda folder, out: ["phases", str(folder / "acquired"), "--output", str(out / "series.seq.nrrd")],
    "curves": lambda folder, out: [
        "curves", str(folder / "acquired"), "--roi", str(folder / "lesion.nrrd"), "--output", str(out / "curves")
    ],
    "maps": lambda folder, out: ["curves", str(folder / "acquired"), "--maps", "--output", str(out / "maps")],
    "report": lambda folder, out: [
        "report", str(folder / "acquired"), "--roi", str(folder / "lesion.nrrd"), "--output", str(out / "page.html")
    ],
    "export-dicom": lambda folder, out: [
        "export-dicom", str(folder / "phases.seq.nrrd"), "--source", str(folder / "pre"), "--output", str(out)
    ],
    "export-results": lambda folder, out: [
        "export-results", str(folder / "acquired"), "--source", str(folder / "acquired"), "--source-series", "10",
        "--roi", str(folder / "lesion.nrrd"), "--output", str(out),
    ],
}  # fmt: skip
