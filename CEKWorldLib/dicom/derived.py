"""What objects computed from a series have in common: the images they refer to, their grid, and who made them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import highdicom
import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from CEKWorldLib import __version__
from CEKWorldLib.dicom.marking import MANUFACTURER, PRODUCT, Provenance, mark_synthetic_image
from CEKWorldLib.dicom.quiet import quiet
from CEKWorldLib.dicom.source import Source
from CEKWorldLib.dicom.stack import Stack
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.dicom_protocol import first_frame, group_of
from CEKWorldLib.exam.volume import Volume

# What highdicom asks of a source image beside patient and study: which it is, where it lies, what acquired it.
_IMAGE = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "InstanceNumber", "ImageType", "Rows", "Columns",
    "NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
    "SpacingBetweenSlices", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod",
    "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber", "StationName",
)  # fmt: skip
Arguments = ParamSpec("Arguments")
Made = TypeVar("Made")
_LONG_STRING, _SHORT_TEXT = 64, 1024  # characters of a value of LO and of ST (PS3.5 table 6.2-1)


def discreet(make: Callable[Concatenate[Source, Arguments], Made]) -> Callable[Concatenate[Source, Arguments], Made]:
    """Keeps what libraries say of headers from screen and log, as ``quiet`` does, and from messages.

    Args:
        make: makes an object from a source, its first argument.

    Returns:
        The same, raising CEKWorldError for whatever highdicom and pydicom raise at a header, quoting it.
    """

    @wraps(make)
    def discreetly(source: Source, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Made:
        logger = logging.getLogger("highdicom")
        level = logger.level
        logger.setLevel(logging.CRITICAL)
        try:
            with quiet():
                return make(source, *args, **kwargs)
        except CEKWorldError:
            raise
        except Exception as error:  # missing and odd attributes raise many kinds
            raise CEKWorldError(
                f"The header of {source.images[0].plane.file.name} does not allow a DICOM object to be made from it "
                f"(refused by {_innermost(error)}); export the source again."
            ) from None
        finally:
            logger.setLevel(level)

    return discreetly


def _innermost(error: BaseException) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame.tb_frame.f_code.co_name if frame else "highdicom"


def source_arguments(source: Source) -> dict[str, Any]:
    """The arguments by which highdicom's images take their source; of multi-frame files it asks for one and the rest.

    Raises:
        CEKWorldError: as `reference_images`.
    """
    references = reference_images(source)
    first = 1 if first_frame(references[0]) is not None else len(references)
    return {"source_images": references[:first], "further_source_images": references[first:]}


def reference_images(source: Source) -> list[Dataset]:
    """The source's headers as highdicom takes them: what new objects take over, and nothing else.

    Raises:
        CEKWorldError: the source was not DICOM, so there is nothing to refer to.
    """
    if not source.images:
        raise CEKWorldError("Segmentations, maps and measurements refer to DICOM images; export the phases first.")
    references = []
    for header in source.headers:
        reference = Dataset()
        reference.update(source.common)
        for keyword in _IMAGE:
            if keyword in header:
                reference[keyword] = header[keyword]
        if first_frame(reference) is not None:
            reference.SharedFunctionalGroupsSequence = [_shared_groups(reference)]
        references.append(reference)
    return references


def _shared_groups(header: Dataset) -> Dataset:
    """The shared functional groups, with those of the geometry that some scanners (Siemens, Philips) repeat per frame.

    highdicom looks for them among the shared ones only; the reader has made sure that all frames have the same.
    """
    shared = Dataset()
    for name in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
        setattr(shared, name, [group_of(header, first_frame(header), name)])
    return shared


def on_grid(voxels: np.ndarray, grid: Volume, source: Source, name: str) -> highdicom.Volume:
    """Voxels as slices with their place in the source's frame of reference.

    Args:
        voxels: of the grid's shape, or with one more axis of segments at the end.
        grid: where they lie.
        source: the images they belong to.
        name: for messages.

    Raises:
        CEKWorldError: the voxels are not the grid's, or the grid does not lie on the source's slices.
    """
    if voxels.shape[:3] != grid.shape:
        here, there = (" x ".join(map(str, shape)) for shape in (voxels.shape[:3], grid.shape))
        raise CEKWorldError(f"'{name}' has {here} voxels, the series {there}; give one on the series' grid.")
    stack = Stack.of(grid)
    stack.source_images(source)  # refuses a source that lies elsewhere
    between_rows, between_columns, between_slices = stack.spacing
    along_row, along_column = stack.orientation[:3], stack.orientation[3:]
    normal = np.cross(along_row, along_column)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([normal * between_slices, along_column * between_rows, along_row * between_columns], 1)
    affine[:3, 3] = stack.positions[0]
    channels: dict[Any, Any] | None = {"SegmentNumber": range(1, voxels.shape[3] + 1)} if voxels.ndim == 4 else None
    frame_of_reference = source.common.FrameOfReferenceUID
    return highdicom.Volume(np.ascontiguousarray(stack.planes(voxels)), affine, "PATIENT", frame_of_reference, channels)


def identity(series_number: int, description: str, synthetic: bool) -> dict[str, Any]:
    """The arguments every highdicom object takes about its series, its maker and itself."""
    return {
        "series_instance_uid": generate_uid(prefix=None),
        "series_number": series_number,
        "series_description": f"{'SYNTHETIC ' if synthetic else ''}{description}"[:_LONG_STRING],
        "sop_instance_uid": generate_uid(prefix=None),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": PRODUCT,
        "software_versions": __version__,
        "device_serial_number": __version__,
    }


def complete_image(target: Dataset, source: Source, provenance: Provenance | None, derivation: str) -> None:
    """Adds to an image what highdicom leaves out: the body part, how it was computed, and the marks of synthesis.

    Args:
        target: completed in place.
        source: the images it was computed from.
        provenance: what made those; None where a scanner did.
        derivation: one sentence on how it was computed from them.
    """
    if "BodyPartExamined" in source.common:
        target.BodyPartExamined = source.common.BodyPartExamined
    target.ContentQualification = "RESEARCH"
    target.DerivationDescription = derivation[:_SHORT_TEXT]
    if provenance is not None:
        mark_synthetic_image(target, source, provenance)
        target.DerivationDescription = f"{derivation} {target.DerivationDescription}"[:_SHORT_TEXT]
