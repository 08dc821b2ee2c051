"""What a new DICOM object takes over from the images it was made from: patient, study, frame of reference, place."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID, generate_uid
from pydicom.valuerep import validate_value

from CEKWorldLib.dicom.quiet import quiet
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.dicom_clock import date_time, day, moment, time_of_day
from CEKWorldLib.exam.dicom_files import Header, choose_series, find_images
from CEKWorldLib.exam.dicom_planes import Plane, planes_of
from CEKWorldLib.exam.dicom_times import Reader, date_times, numbers, temporal_position

UTF8 = "ISO_IR 192"
NEW_STUDY_DESCRIPTION = "CEKWorld: new study, the source was not DICOM"

# Modules Patient, Clinical Trial Subject, General Study, Patient Study, Clinical Trial Study and Frame of Reference
# (PS3.3 C.7.1.1 to C.7.4.1), without what points to other objects or is retired.
_PATIENT_AND_STUDY = (
    "PatientName", "PatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "OtherPatientIDsSequence",
    "PatientBirthDate", "PatientBirthTime", "PatientSex", "EthnicGroup", "PatientComments", "QualityControlSubject",
    "PatientSpeciesDescription", "PatientSpeciesCodeSequence", "PatientBreedDescription", "PatientBreedCodeSequence",
    "BreedRegistrationSequence", "ResponsiblePerson", "ResponsiblePersonRole", "ResponsibleOrganization",
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName", "ClinicalTrialSiteID",
    "ClinicalTrialSiteName", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID", "ClinicalTrialTimePointID",
    "ClinicalTrialTimePointDescription",
    "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName", "StudyID", "StudyDescription", "PhysiciansOfRecord", "ProcedureCodeSequence",
    "PatientAge", "PatientSize", "PatientWeight", "PatientSexNeutered", "PregnancyStatus", "TimezoneOffsetFromUTC",
    "FrameOfReferenceUID", "PositionReferenceIndicator",
)  # fmt: skip
# How the patient lay and which part is shown: true of everything computed from the images.
_BODY = ("PatientPosition", "BodyPartExamined", "Laterality", "ImageLaterality", "AnatomicRegionSequence")
# Type 2: present even where nothing is known.
_REQUIRED = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber",
    "ReferringPhysicianName", "StudyID", "PositionReferenceIndicator", "PatientPosition",
)  # fmt: skip
_BODY_PARTS = {"breast": "BREAST", "abdomen": "ABDOMEN", "brain": "BRAIN"}  # PS3.16 annex L
# Images of these show no face. Others, and those of unknown parts, may.
_FACELESS = {"ABDOMEN", "BREAST", "CHEST", "KIDNEY", "LIVER", "PANCREAS", "PELVIS", "PROSTATE", "UTERUS"}
_UNPAIRED = {"ABDOMEN", "BRAIN", "CHEST", "HEAD", "HEART", "LIVER", "NECK", "PANCREAS", "PELVIS", "PROSTATE", "UTERUS"}
_SIDES = ("L", "R")  # scanners also write B for both, which ImageLaterality alone may hold
_SAME_PLACE_MM = 0.01
# What may tell the phases of one multi-frame file apart, whose header all frames share.
_ORDERS_OF_FRAMES: tuple[Reader, ...] = (
    temporal_position,
    numbers("TemporalPositionTimeOffset"),
    date_times("FrameReferenceDateTime"),
    date_times("FrameAcquisitionDateTime"),
)


@dataclass(frozen=True)
class SourceImage:
    """One image of the source.

    Attributes:
        header: of its file, without pixels, private and unreadable elements; the frames of one file share it.
        plane: where it lies.
    """

    header: Dataset
    plane: Plane

    @property
    def centre(self) -> np.ndarray:
        """LPS mm of the middle of the image, the same however its rows and columns run."""
        (rows, columns), plane = self.plane.shape, self.plane
        along_row, along_column = plane.orientation[:3], plane.orientation[3:]
        middle = along_column * plane.spacing[0] * (rows - 1) / 2 + along_row * plane.spacing[1] * (columns - 1) / 2
        return plane.position + middle

    @property
    def extent_mm(self) -> tuple[float, float]:
        """Sides of the image: down a column and along a row."""
        (rows, columns), (between_rows, between_columns) = self.plane.shape, self.plane.spacing
        return rows * between_rows, columns * between_columns

    @property
    def frame(self) -> int | None:
        """The number of the frame, from 1; None where the file holds one image."""
        return self.plane.frame + 1 if "NumberOfFrames" in self.header else None


@dataclass(frozen=True)
class Source:
    """Where new objects belong.

    Attributes:
        common: attributes every new object takes over as they are: patient, study, frame of reference, body part.
        images: one per slice, in order along their normal; empty where the source was not DICOM.
        started: when the source was acquired, which is where synthesized times count from; the time of export where
            the source does not say.
        series_numbers: SeriesNumbers that the study has already, as far as its images lie in the source's folder.
    """

    common: Dataset
    images: tuple[SourceImage, ...]
    started: datetime
    series_numbers: frozenset[int] = frozenset()

    @property
    def headers(self) -> list[Dataset]:
        """The headers of the source's files, each once, in slice order."""
        return list({image.header.SOPInstanceUID: image.header for image in self.images}.values())

    @property
    def may_show_face(self) -> bool:
        """Whether the patient could be recognized from the images."""
        return self.common.get("BodyPartExamined") not in _FACELESS

    def now(self) -> datetime:
        """The time, by the clock that all times of an object with its TimezoneOffsetFromUTC are read by."""
        offset = self.common.get("TimezoneOffsetFromUTC")
        try:
            return datetime.now(datetime.strptime(str(offset), "%z").tzinfo if offset else None)
        except ValueError:  # damaged, and so is what its times mean
            return datetime.now()


def read_source(path: Path | str, series: str | int | None = None) -> Source:
    """Reads the headers of the series a synthesis or a measurement was made from. Nothing is written to it.

    Where the series holds several phases, the first one acquired stands for each slice.

    Args:
        path: a DICOM folder, or one file of the series.
        series: SeriesNumber or the beginning of the SeriesInstanceUID, where the folder holds several.

    Raises:
        CEKWorldError: no such folder, no MR series in it, several and none chosen, headers damaged or without UIDs.
    """
    path = Path(path)
    if not path.exists():
        raise CEKWorldError(f"{path} does not exist; name the DICOM folder the series was made from.")
    with quiet():
        found, _ = find_images(path)
        headers = choose_series(found, path, series)
        try:
            return _source(headers, found)
        except CEKWorldError:
            raise
        except Exception:  # header values are converted on access, and damaged ones raise many kinds
            # Not "from" the error, whose text may quote a patient's values.
            raise CEKWorldError(f"{path.name} has a damaged DICOM header; export it again.") from None


def new_study(anatomy: str | None = None) -> Source:
    """A study of its own for a series whose source was not DICOM; its name and description say so.

    Args:
        anatomy: breast, abdomen or brain, where known.
    """
    now = datetime.now()
    common = Dataset()
    common.SpecificCharacterSet = UTF8
    common.StudyInstanceUID = generate_uid(prefix=None)
    common.FrameOfReferenceUID = generate_uid(prefix=None)
    # Of its own, so that no archive files the study under a patient it knows.
    common.PatientID = f"CEKWORLD-{common.StudyInstanceUID[-12:]}"
    common.PatientName = "CEKWorld^Source not DICOM"
    common.StudyDescription = NEW_STUDY_DESCRIPTION
    common.StudyID = "1"
    common.StudyDate, common.StudyTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    if anatomy in _BODY_PARTS:
        common.BodyPartExamined = _BODY_PARTS[anatomy]
    return Source(complete(common), (), now)


def take_over(target: Dataset, header: Dataset, keywords: Sequence[str]) -> None:
    """Copies attributes from a source header, without empty ones and those whose value breaks the rules of its type."""
    for keyword in keywords:
        if keyword in header and not header[keyword].is_empty and _is_valid(header[keyword]):
            target[keyword] = copy.deepcopy(header[keyword])


def complete(common: Dataset) -> Dataset:
    """Adds, empty, what an object must have even where nothing is known; returns the dataset itself."""
    for keyword in _REQUIRED:
        if keyword not in common:
            setattr(common, keyword, "")
    # Type 2C: required of paired parts; empty says that the side is not known.
    if (
        common.get("BodyPartExamined") not in _UNPAIRED
        and "ImageLaterality" not in common
        and "Laterality" not in common
    ):
        common.Laterality = ""
    return common


def _is_valid(element: DataElement) -> bool:
    """Whether the type is the attribute's (PS3.6) and every value keeps to it (PS3.5 6.2); sequences always."""
    if element.VR == "SQ":
        return True
    if element.VR not in dictionary_VR(element.tag):
        return False
    values = element.value if isinstance(element.value, MultiValue) else [element.value]
    try:
        for value in values:
            validate_value(element.VR, str(value) if element.VR in ("DS", "IS") else value, config.RAISE)
    except ValueError:
        return False
    return True


def _source(headers: Sequence[Header], found: Sequence[Header]) -> Source:
    every = [SourceImage(header.data, plane) for header in headers for plane in planes_of([header])]
    images = _first_of_each_slice(every)
    for header in {id(image.header): image.header for image in images}.values():
        _keep_readable(header)
    first = images[0].header
    _refuse_what_cannot_be_referred_to(images)
    common = _common(first)
    study = {header.number for header in found if header.data.get("StudyInstanceUID") == common.StudyInstanceUID}
    numbers = frozenset(int(number) for number in study if number.isdecimal())
    return Source(common, tuple(images), _started(first) or datetime.now(), numbers)


def _refuse_what_cannot_be_referred_to(images: Sequence[SourceImage]) -> None:
    """Images that bad converters gave one SOPInstanceUID, or none, or no class."""
    known: dict[str, SourceImage] = {}
    for image in images:
        for keyword in ("SOPClassUID", "SOPInstanceUID"):
            if not image.header.get(keyword):
                raise CEKWorldError(f"{image.plane.file.name} has no {keyword}; export the source again.")
        other = known.setdefault(str(image.header.SOPInstanceUID), image)
        if other.header is not image.header:
            raise CEKWorldError(
                f"{other.plane.file.name} and {image.plane.file.name} have the same SOPInstanceUID; export the source "
                "again."
            )


def _keep_readable(header: Dataset) -> None:
    """Drops what is private or damaged, so that no later access fails, and brings texts to Unicode."""
    header.remove_private_tags()
    for tag in list(header.keys()):
        try:
            header[tag]
        except Exception:  # damaged values raise many kinds
            del header[tag]
    header.decode()


def _common(header: Dataset) -> Dataset:
    common = Dataset()
    common.SpecificCharacterSet = UTF8
    take_over(common, header, (*_PATIENT_AND_STUDY, *_BODY))
    # What identifies patient and study is taken over as it is, however it is spelled.
    for keyword in _REQUIRED:
        if keyword in header:
            common[keyword] = copy.deepcopy(header[keyword])
    if common.get("Laterality") not in _SIDES:
        common.pop("Laterality", None)
    if not UID(str(common.get("StudyInstanceUID", ""))).is_valid:
        raise CEKWorldError("The source has no valid StudyInstanceUID to file new objects with; export it again.")
    if not common.get("FrameOfReferenceUID"):
        common.FrameOfReferenceUID = generate_uid(prefix=None)
    return complete(common)


def _first_of_each_slice(images: Sequence[SourceImage]) -> list[SourceImage]:
    """The images in order along their normal; of several in one place, the one acquired first."""
    orientation = images[0].plane.orientation
    normal = np.cross(orientation[:3], orientation[3:])
    heights = np.array([image.centre @ normal for image in images])
    order = np.argsort(heights, kind="stable")
    places = np.cumsum(np.diff(heights[order], prepend=heights[order[0]]) > _SAME_PLACE_MM)
    slices = [[images[i] for i in order[places == place]] for place in np.unique(places)]
    return [min(here, key=_acquisition_order) for here in slices]


def _acquisition_order(image: SourceImage) -> tuple[datetime, list[float], int, int]:
    """Sorts the images of one slice in time."""
    header, plane = image.header, image.plane
    of_frame = [float(np.nan_to_num(read([plane])[0])) for read in _ORDERS_OF_FRAMES]
    return _started(header) or datetime.min, of_frame, int(header.get("InstanceNumber") or 0), plane.frame


def _started(header: Dataset) -> datetime | None:
    """When the images were acquired: the most telling date and time the header has; ValueError where they are none."""
    if np.isfinite(seconds := date_time(_text(header, "AcquisitionDateTime"))):
        return moment(seconds)
    for event in ("Acquisition", "Content", "Series", "Study"):
        date = _text(header, f"{event}Date") or _text(header, "StudyDate")
        time = _text(header, f"{event}Time")
        if date and time:
            return moment(day(date) + time_of_day(time))
    return None


def _text(header: Dataset, keyword: str) -> str:
    return str(header.get(keyword) or "")
