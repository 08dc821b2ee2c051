"""A source without its patient: everything made from it is then anonymous as well."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from CEKWorldLib.dicom.source import UTF8, Source, SourceImage, complete, take_over
from CEKWorldLib.kinetics.roi import RoiResult

# What is kept is named, rather than what is removed: a field nobody thought of is then not passed on. It is what
# PS3.15 annex E leaves in place of the attributes used here; free texts, devices, people, dates and places go.
_KEPT_COMMON = ("PatientPosition", "BodyPartExamined", "Laterality", "ImageLaterality")
_KEPT_HEADER = (
    "SOPClassUID", "Modality", "InstanceNumber", "ImageType", "Rows", "Columns",
    "NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
    "SpacingBetweenSlices", "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "MagneticFieldStrength",
    "ScanningSequence", "SequenceVariant", "ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime",
    "InversionTime", "EchoTrainLength", "FlipAngle", "LossyImageCompression", "LossyImageCompressionRatio",
    "LossyImageCompressionMethod", "SyntheticData",
)  # fmt: skip
_KEPT_GROUPS = (
    "PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence", "MREchoSequence",
    "MRTimingAndRelatedParametersSequence",
)  # fmt: skip
_KEPT_ITEMS = {
    "SharedFunctionalGroupsSequence": _KEPT_GROUPS,
    "PerFrameFunctionalGroupsSequence": _KEPT_GROUPS,
    # By which synthetic images name the scanner of those they were made from.
    "ContributingEquipmentSequence": (
        "PurposeOfReferenceCodeSequence", "Manufacturer", "ManufacturerModelName", "SoftwareVersions",
    ),
}  # fmt: skip
_STARTED = datetime(2000, 1, 1, 12)  # the same for everybody; intervals stay
_METHOD = "CEKWorld: identifying fields removed, UIDs and dates replaced"


def anonymized(source: Source) -> Source:
    """The same images of nobody: a new patient and study, new UIDs, no date, no free text.

    UIDs are replaced by random ones, alike within one call and never again, so that nothing leads back. The images
    themselves are not changed: a face stays in a head scan.

    Args:
        source: is left as it is.
    """
    replacements: dict[str, str] = {}

    def replaced(uid: str) -> str:
        return replacements.setdefault(str(uid), generate_uid(prefix=None))

    common = Dataset()
    common.SpecificCharacterSet = UTF8
    take_over(common, source.common, _KEPT_COMMON)
    common.PatientID = f"ANON-{secrets.token_hex(6).upper()}"
    common.PatientName = "Anonymous^Patient"
    common.PatientIdentityRemoved, common.DeidentificationMethod = "YES", _METHOD
    common.LongitudinalTemporalInformationModified = "MODIFIED"
    common.StudyInstanceUID = replaced(source.common.StudyInstanceUID)
    common.FrameOfReferenceUID = replaced(source.common.FrameOfReferenceUID)
    common.StudyID = "1"
    common.StudyDate, common.StudyTime = _STARTED.strftime("%Y%m%d"), _STARTED.strftime("%H%M%S")

    headers = {id(header): _anonymous_header(header) for header in source.headers}
    for original in source.headers:
        header = headers[id(original)]
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
            setattr(header, keyword, replaced(original.get(keyword, "")))
        header.update(common)
    images = tuple(SourceImage(headers[id(image.header)], image.plane) for image in source.images)
    return Source(complete(common), images, _STARTED)


def anonymous_regions(results: Iterable[RoiResult]) -> list[RoiResult]:
    """The same regions as "region 1", "region 2", ...: a region's name, mostly that of a file, may be the patient's."""
    results = list(results)
    names = {result.name: f"region {number}" for number, result in enumerate(results, start=1)}
    return [replace(result, name=names[result.name], reference=names.get(result.reference, "")) for result in results]


def _anonymous_header(header: Dataset) -> Dataset:
    kept = Dataset()
    take_over(kept, header, _KEPT_HEADER)
    for keyword, kept_of_item in _KEPT_ITEMS.items():
        if keyword in header:
            items = [Dataset() for _ in header[keyword].value]
            for item, original in zip(items, header[keyword].value, strict=True):
                take_over(item, original, kept_of_item)
            setattr(kept, keyword, Sequence(items))
    return kept
