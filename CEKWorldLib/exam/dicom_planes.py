"""The images in DICOM files, each with its place in the patient.

A plane is one 2-D image: a whole classic MR file, or one frame of an Enhanced MR file (PS3.3 C.7.6.2 and C.7.6.16).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.checks import MAX_SERIES_VOXELS, check_size
from CEKWorldLib.exam.dicom_files import Header
from CEKWorldLib.exam.dicom_pixels import stored_values
from CEKWorldLib.exam.dicom_protocol import group_of, injection_start, tag_of

# Third and later values of ImageType and FrameType that are no magnitude image, with the word for the message.
_NOT_MAGNITUDE = {
    "P": "phase", "PHASE": "phase", "PHASE MAP": "phase", "R": "real-part", "REAL": "real-part", "I": "imaginary-part",
    "IMAGINARY": "imaginary-part", "ADC": "ADC", "SUBTRACTION": "subtraction", "MIP": "projection",
    "PROJECTION IMAGE": "projection",
}  # fmt: skip
_MOSAIC = "MOSAIC"  # Siemens' word in ImageType; its place in the header is that of the whole sheet
# What may tell the phases (or echoes, or inversion times) of one series apart, most telling first.
PHASE_TAGS = (
    "TemporalPositionIdentifier", "TemporalPositionIndex", "TriggerTime", "FrameType", "ImageType", "EchoTime",
    "EffectiveEchoTime", "FlipAngle", "InversionTime", "DiffusionBValue", "AcquisitionNumber", "AcquisitionTime",
    "AcquisitionDateTime",
)  # fmt: skip
# What may tell when an image was taken (`dicom_times`).
_TIME_TAGS = (
    "TemporalPositionTimeOffset", "FrameReferenceDateTime", "FrameAcquisitionDateTime", "AcquisitionDateTime",
    "AcquisitionDate", "AcquisitionTime", "TriggerTime", "ContentDate", "ContentTime", "TemporalPositionIndex",
    "TemporalPositionIdentifier", "TemporalResolution", "AcquisitionNumber", "InstanceNumber", "DerivationDescription",
)  # fmt: skip


@dataclass(frozen=True)
class Plane:
    """One image.

    Attributes:
        file: the file it is in.
        frame: its index there.
        shape: (rows, columns).
        position: LPS mm of the first pixel.
        orientation: LPS unit vectors along a row (first three) and down a column.
        spacing: mm between rows and between columns.
        slope: stored value times slope plus intercept is the signal.
        intercept: see slope.
        thickness: slice distance of the header, 1 mm where it is silent.
        identity: equal for copies of the same image.
        phase: the values of ``PHASE_TAGS`` it has.
        times: what it says about when it was taken, as written.
    """

    file: Path
    frame: int
    shape: tuple[int, int]
    position: np.ndarray
    orientation: np.ndarray
    spacing: tuple[float, float]
    slope: float
    intercept: float
    thickness: float
    identity: tuple[str, ...]
    phase: dict[str, str]
    times: dict[str, str]


def planes_of(headers: Sequence[Header], progress: Callable[[int, int], None] | None = None) -> list[Plane]:
    """The images of some files.

    Args:
        headers: of the files.
        progress: told the files done and their number, then the frames of each that has several; what it raises ends
            the work.

    Raises:
        CEKWorldError: colour, phase or derived images, frames or slices without a place, damaged values.
    """
    planes: list[Plane] = []
    for index, header in enumerate(headers):
        if progress:
            progress(index, len(headers))
        planes += _planes_of_file(header, progress if header.multiframe else None)
    return planes


def _planes_of_file(header: Header, progress: Callable[[int, int], None] | None) -> list[Plane]:
    with _damage_named(header.file):
        frames = _frames_of(header)
    planes = []
    for index, frame in enumerate(frames):
        if progress:
            progress(index, len(frames))
        with _damage_named(header.file):
            planes.append(_plane(header, index, frame))
    return planes


@contextmanager
def _damage_named(file: Path) -> Iterator[None]:
    """Header values are converted on access, and damaged ones raise many kinds of exceptions."""
    try:
        yield
    except CEKWorldError:
        raise
    except Exception as error:
        raise CEKWorldError(f"{file.name} has a damaged DICOM header; export it again.") from error


def _frames_of(header: Header) -> Sequence[Dataset | None]:
    """What the file says about each of its frames; None for a classic image."""
    file, data = header.file, header.data
    frames: Sequence[Dataset | None] = data.get("PerFrameFunctionalGroupsSequence") or [None]
    count = int(data.get("NumberOfFrames") or 1)
    check_size((1, data.Rows, data.Columns), file.name)
    # The frames may be those of many phases; the size of one volume is judged where they are sorted.
    if count * data.Rows * data.Columns > MAX_SERIES_VOXELS:
        raise CEKWorldError(
            f"{file.name} is too large ({count} frames of {data.Columns} x {data.Rows} pixels); crop it or leave "
            "phases out."
        )
    if data.get("SamplesPerPixel", 1) != 1 or data.get("PhotometricInterpretation") != "MONOCHROME2":
        raise CEKWorldError(f"{file.name} is a colour or inverted picture, not an MR image; choose the MR series.")
    if len(frames) != count:
        raise CEKWorldError(
            f"{file.name} holds {count} frames without saying where each lies in the patient; export it as a "
            "classic MR series with one file per slice."
        )
    return frames


def decode(planes: Sequence[Plane], progress: Callable[[int, int], None] | None = None) -> np.ndarray:
    """The signal of planes of one shape, float32 (planes, rows, columns), rescaled as each header says.

    Args:
        planes: those of one file in a row, so that the file is decoded once.
        progress: told the planes done and their number, file by file; what it raises ends the work.

    Raises:
        CEKWorldError: pixels damaged, truncated, of the wrong size or compressed beyond the installed decoders.
    """
    voxels = np.empty((len(planes), *planes[0].shape), np.float32)
    file, frames = None, np.empty(0)
    for index, plane in enumerate(planes):
        if plane.file != file:
            if progress:
                progress(index, len(planes))
            file, frames = plane.file, stored_values(plane.file)
        stored = frames[plane.frame] if frames.ndim == 3 else frames
        if stored.shape != plane.shape:
            raise CEKWorldError(f"{plane.file.name} has pixel data of the wrong size; export it again.")
        voxels[index] = stored * plane.slope + plane.intercept
    return voxels


def _plane(header: Header, index: int, frame: Dataset | None) -> Plane:
    data, file = header.data, header.file
    measures = group_of(data, frame, "PixelMeasuresSequence")
    transform = group_of(data, frame, "PixelValueTransformationSequence")
    kinds = group_of(data, frame, "MRImageFrameTypeSequence").get("FrameType") or data.get("ImageType") or ()
    unfit = next((_NOT_MAGNITUDE[kind] for kind in list(kinds)[2:] if kind in _NOT_MAGNITUDE), None)
    if unfit:
        raise CEKWorldError(f"{file.name} is a {unfit} image; CEKWorld needs MR magnitude images.")
    if _MOSAIC in kinds:
        raise CEKWorldError(
            f"{file.name} is a mosaic, all slices in one picture; convert the series to NIfTI, which takes it apart."
        )
    spacing = _vector(measures, "PixelSpacing", 2, file)
    thickness = next(
        (float(source[tag].value) for source in (measures, data) for tag in ("SpacingBetweenSlices", "SliceThickness")
         if source.get(tag)), 1.0,
    )  # fmt: skip
    position = _vector(group_of(data, frame, "PlanePositionSequence"), "ImagePositionPatient", 3, file)
    return Plane(
        file=file,
        frame=index,
        shape=(int(data.Rows), int(data.Columns)),
        position=position,
        orientation=_vector(group_of(data, frame, "PlaneOrientationSequence"), "ImageOrientationPatient", 6, file),
        spacing=(float(spacing[0]), float(spacing[1])),
        slope=float(transform.get("RescaleSlope") or 1.0),
        intercept=float(transform.get("RescaleIntercept") or 0.0),
        thickness=abs(thickness),
        identity=(str(data.get("SOPInstanceUID") or file), str(data.get("InstanceNumber")), str(index), str(position)),
        phase=_entries(data, frame, PHASE_TAGS),
        times=_entries(data, frame, _TIME_TAGS) | {"ContrastBolusStartTime": injection_start(data)},
    )


def _entries(data: Dataset, frame: Dataset | None, tags: Sequence[str]) -> dict[str, str]:
    """The tags that have a value, looked for in the frame's groups first, as text."""
    groups = (
        "FrameContentSequence", "MREchoSequence", "MRImageFrameTypeSequence", "MRTimingAndRelatedParametersSequence",
        "CardiacSynchronizationSequence", "TemporalPositionSequence",
    )  # fmt: skip
    sources = [data] if frame is None else [*(group_of(data, frame, name) for name in groups), data]
    wanted = {tag_of(keyword): keyword for keyword in tags}
    found: dict[str, Any] = {}
    for source in reversed(sources):
        found |= {wanted[tag]: source[tag].value for tag in wanted.keys() & source.keys()}
    return {keyword: str(found[keyword]) for keyword in tags if found.get(keyword) not in (None, "")}


def _vector(source: Dataset, tag: str, count: int, file: Path) -> np.ndarray:
    value = source.get(tag)
    if not value or len(value) != count:
        raise CEKWorldError(f"{file.name} does not say where it lies in the patient (no {tag}); export it again.")
    vector = np.array([float(number) for number in value])
    if not np.isfinite(vector).all():
        raise CEKWorldError(f"{file.name} has an invalid {tag}; export it again.")
    return vector
