"""Time series in one image file: ``.seq.nrrd``, MultiVolume NRRD and 4-D NIfTI."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.bids_sidecar import sidecar_times
from CEKWorldLib.exam.checks import check_series_size
from CEKWorldLib.exam.found_series import FoundSeries, Progress
from CEKWorldLib.exam.image_files import read_header, read_metadata, read_voxels
from CEKWorldLib.exam.phase_times import PhaseTimes
from CEKWorldLib.exam.protocol import Acquisition
from CEKWorldLib.exam.time_series import MODEL_FACTS, TimeSeries
from CEKWorldLib.exam.volume import Volume

# Attributes of a sequence node, by which times and images keep their origin from one file to the next.
PREFIX = "CEKWorld."
SYNTHETIC_KEY, SOURCE_KEY, ZERO_KEY = f"{PREFIX}Synthetic", f"{PREFIX}TimeSource", f"{PREFIX}TimeZero"
FIRST_PHASE = "first phase"  # value of ZERO_KEY where nothing tells when the injection began

_SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3, "min": 60.0}
_INDEX_VALUES = re.compile(r"axis \d+ index values")
_LABELS = "MultiVolume.FrameLabels"
_LABEL_TAG = "MultiVolume.FrameIdentifyingDICOMTagName"
_LABEL_UNIT = "MultiVolume.FrameIdentifyingDICOMTagUnits"
# What PkModeling accepts; other tags (flip angle, echo time, b-value) number frames that are no phases.
_TIME_TAGS = ("TriggerTime", "AcquisitionTime", "SeriesTime", "ContentTime", "Time")
_COLOURS = ("RGB-color", "RGBA-color", "HSV-color", "XYZ-color", "complex")


def find_image_series(path: Path, format_name: str) -> FoundSeries:
    """Reads the header of a file with many volumes.

    Args:
        path: the file.
        format_name: "NRRD" or "NIfTI".

    Raises:
        CEKWorldError: damaged, one volume only, not scalar, too large.
    """
    reader = read_header(path, format_name)
    if format_name == "NIfTI" and reader.GetNumberOfComponents() > 1:
        # No one keeps phases so, and ITK 5.4 writes beyond its memory where such a file of integers is rescaled.
        raise CEKWorldError(f"{path.name} holds vectors, not the phases of a series; save it as 4-D.")
    meta = read_metadata(reader, path, format_name)
    shape = _shape(reader, meta, path.name)
    check_series_size(shape, path.name)

    def load(_progress: Progress | None) -> tuple[np.ndarray, Volume]:
        image = read_voxels(reader, path, format_name)
        # Vector pixels keep the phases in the last axis, 4-D images in the first.
        voxels = sitk.GetArrayViewFromImage(image)
        phases = np.moveaxis(voxels, -1, 0) if image.GetNumberOfComponentsPerPixel() > 1 else voxels
        frames = np.array(phases, np.float32, order="C")  # a copy: the view ends with its image
        place = Volume.from_image(_first_frame(image))
        return frames, place.like(frames[0])

    return FoundSeries(
        times=_nrrd_times(meta, shape[0]) if format_name == "NRRD" else _nifti_times(reader, path, shape[0]),
        shape=shape,
        load=load,
        synthetic=meta.get(SYNTHETIC_KEY) == "1",
        acquisition=_acquisition(meta),
        made_by=made_by(meta),
    )


def series_attributes(series: TimeSeries) -> dict[str, str]:
    """What a file or node keeps of a series: whether and by which model it was made, and where its times came from."""
    origin = {
        SYNTHETIC_KEY: "1" if series.synthetic else "0",
        SOURCE_KEY: series.time_sources[0],
        ZERO_KEY: series.zero_source or FIRST_PHASE,
    }
    return origin | {f"{PREFIX}{name}": value for name, value in series.made_by.items()}


def made_by(attributes: Mapping[str, str]) -> dict[str, str]:
    """What the attributes of a file or node say of the model that made a series, as in ``TimeSeries``."""
    return {name: attributes[f"{PREFIX}{name}"] for name in MODEL_FACTS if f"{PREFIX}{name}" in attributes}


def _shape(reader: sitk.ImageFileReader, meta: Mapping[str, str], name: str) -> tuple[int, int, int, int]:
    size, components = reader.GetSize(), reader.GetNumberOfComponents()
    if meta.get("NRRD_kinds[pixel]") in _COLOURS:
        raise CEKWorldError(f"{name} holds colours or complex numbers, not intensities; choose a magnitude series.")
    if len(size) == 3 and components > 1:
        return (components, size[2], size[1], size[0])
    if len(size) == 4 and components == 1:
        return (size[3], size[2], size[1], size[0])
    if len(size) <= 3 and components == 1:
        raise CEKWorldError(f"{name} is a single volume, no time series; choose a file with all phases.")
    raise CEKWorldError(f"{name} is not a series of scalar volumes ({len(size)} dimensions); save it as 4-D.")


def _first_frame(image: sitk.Image) -> sitk.Image:
    return sitk.VectorIndexSelectionCast(image, 0) if image.GetNumberOfComponentsPerPixel() > 1 else image[..., 0]


def _nrrd_times(meta: Mapping[str, str], phases: int) -> PhaseTimes:
    values = next((meta[key] for key in meta if _INDEX_VALUES.fullmatch(key)), "")
    return attribute_times(meta.get("NRRD_units[pixel]", ""), values.split(), meta, phases)


def attribute_times(unit: str, index_values: Sequence[str], attributes: Mapping[str, str], phases: int) -> PhaseTimes:
    """The index of a sequence where it has a unit of time, else the frame labels of a MultiVolume.

    Slicer numbers the phases of a DICOM series "0", "1", ... in an index without a unit, and keeps their times in the
    labels alone.

    Args:
        unit: of the index; "" where it has none.
        index_values: of the phases.
        attributes: of the sequence or MultiVolume node, in a file or in a scene.
        phases: how many there are.
    """
    factor = _SECONDS.get(unit.lower())
    index = _numbers(index_values)
    if factor is not None and len(index) == phases:
        return _index_times(index * factor, attributes)
    if _LABELS not in attributes:
        return PhaseTimes.unknown(phases, "its sequence has no index in a unit of time and no MultiVolume.FrameLabels")
    tag, labels = attributes.get(_LABEL_TAG, ""), _numbers(attributes[_LABELS].split(","))
    if tag not in _TIME_TAGS:
        return PhaseTimes.unknown(phases, f"MultiVolume.FrameLabels are values of {tag or 'no named tag'}, no times")
    if len(labels) != phases:
        return PhaseTimes.unknown(phases, f"MultiVolume.FrameLabels name {len(labels)} of {phases} phases")
    seconds = labels * _SECONDS.get(attributes.get(_LABEL_UNIT, "").lower(), _SECONDS["ms"])
    return PhaseTimes(seconds, (f"{_LABELS} ({tag})",) * phases)


def _index_times(seconds: np.ndarray, meta: Mapping[str, str]) -> PhaseTimes:
    source = meta.get(SOURCE_KEY) or "sequence index"
    sources = (source,) * len(seconds)
    if ZERO_KEY in meta:
        return PhaseTimes(seconds, sources, "" if meta[ZERO_KEY] == FIRST_PHASE else meta[ZERO_KEY])
    notes = (
        () if meta.get(SYNTHETIC_KEY) == "1" else ("The index of the sequence is taken as time after the injection.",)
    )
    return PhaseTimes(seconds, sources, "sequence index", notes=notes)


def _nifti_times(reader: sitk.ImageFileReader, path: Path, phases: int) -> PhaseTimes:
    if times := sidecar_times(path, phases):
        return times
    step = reader.GetSpacing()[3] if reader.GetDimension() == 4 else 0.0
    # Converters write the repetition time, the time per slice or 1 here; which of them, the header does not say.
    return PhaseTimes.unknown(phases, f"NIfTI holds none (the step of {step:g} in its header means many things)")


def _numbers(texts: Sequence[str]) -> np.ndarray:
    """The texts as float64; an empty array where one is no number."""
    try:
        return np.array([float(text) for text in texts])
    except ValueError:
        return np.empty(0)


def _acquisition(meta: Mapping[str, str]) -> Acquisition:
    settings = ("RepetitionTime", "EchoTime", "FlipAngle")
    values = [_numbers([meta.get(f"MultiVolume.DICOM.{name}", "")]) for name in settings]
    tr, te, angle = (float(value[0]) if len(value) and value[0] > 0 else None for value in values)
    return Acquisition(repetition_time_ms=tr, echo_time_ms=te, flip_angle_deg=angle)
