"""What an MR header says about the sequence and the contrast agent, classic and Enhanced MR alike."""

from __future__ import annotations

import math
import re
from functools import cache

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from CEKWorldLib.exam.protocol import Acquisition

_FAT_SATURATION = r"(?:fs|fat[ _-]?sat\w*|spair|spir|stir|vibrant|water|we)(?![a-z])"
_FAT_SATURATED = re.compile(rf"(?<![a-z]){_FAT_SATURATION}")
_NOT_FAT_SATURATED = re.compile(rf"(?<![a-z])(?:non?|not|without|w/?o)[ _-]*{_FAT_SATURATION}")
_GAUSS_PER_TESLA = 10_000.0


def group_of(data: Dataset, frame: Dataset | None, name: str) -> Dataset:
    """The functional group of a frame (its own, else the shared one); for a classic image, the image itself.

    Args:
        data: the file's header.
        frame: an item of PerFrameFunctionalGroupsSequence, None for a classic image.
        name: keyword of the group's sequence.

    Returns:
        The group's only item; empty where the file has none (PS3.3 C.7.6.16).
    """
    if frame is None:
        return data
    tag = tag_of(name)  # twice as fast as the keyword, and files of thousands of frames ask twenty times for each
    for holder in (frame, *(data.get("SharedFunctionalGroupsSequence") or ())):
        items = holder[tag].value if tag in holder else ()
        if items:
            return items[0]
    return Dataset()


@cache
def tag_of(keyword: str) -> BaseTag:
    """The tag of one of the standard's keywords."""
    return Tag(keyword)


def first_frame(data: Dataset) -> Dataset | None:
    """The first item of PerFrameFunctionalGroupsSequence, None for a classic image."""
    frames = data.get("PerFrameFunctionalGroupsSequence")
    return frames[0] if frames else None


def acquisition_of(data: Dataset) -> Acquisition:
    """Reads TR, TE, flip angle, field strength and fat saturation; None where the header is silent or invalid."""
    frame = first_frame(data)
    timing = group_of(data, frame, "MRTimingAndRelatedParametersSequence")
    echo = group_of(data, frame, "MREchoSequence")
    field = _positive(data, "MagneticFieldStrength")
    return Acquisition(
        repetition_time_ms=_positive(timing, "RepetitionTime"),
        echo_time_ms=_positive(echo, "EffectiveEchoTime") or _positive(echo, "EchoTime"),
        flip_angle_deg=_positive(timing, "FlipAngle"),
        # Some older scanners wrote gauss.
        field_strength_t=field / _GAUSS_PER_TESLA if field and field > 100 else field,
        fat_saturated=_fat_saturated(data, frame),
    )


def names_contrast_agent(data: Dataset) -> bool:
    """Whether ContrastBolusAgent (or its sequence) names something."""
    agent = str(data.get("ContrastBolusAgent") or "").strip().lower()
    return agent not in ("", "none", "no", "n/a", "0") or bool(data.get("ContrastBolusAgentSequence"))


def injection_start(data: Dataset) -> str:
    """ContrastBolusStartTime of a classic header or of Enhanced MR's administration profile; "" if there is none."""
    if data.get("ContrastBolusStartTime"):
        return str(data.ContrastBolusStartTime)
    for agent in data.get("ContrastBolusAgentSequence") or ():
        for profile in agent.get("ContrastAdministrationProfileSequence") or ():
            if profile.get("ContrastBolusStartTime"):
                return str(profile.ContrastBolusStartTime)
    return ""


def _fat_saturated(data: Dataset, frame: Dataset | None) -> bool | None:
    """ScanOptions FS (PS3.3 C.8.3.1), the Enhanced MR Modifier group, else the words of the description."""
    options = data.get("ScanOptions") or ()
    options = [options] if isinstance(options, str) else [str(option) for option in options]
    modifier = data if frame is None else group_of(data, frame, "MRModifierSequence")
    suppression = str(modifier.get("SpectrallySelectedSuppression") or "")
    description = f"{data.get('SeriesDescription') or ''} {data.get('ProtocolName') or ''}".lower()
    excited = str(data.get("SpectrallySelectedExcitation") or "")
    if "FS" in options or "FAT" in suppression or excited == "WATER":
        return True
    if _NOT_FAT_SATURATED.search(description):
        return False
    if _FAT_SATURATED.search(description):
        return True
    return False if any(options) or suppression == "NONE" else None


def _positive(data: Dataset, keyword: str) -> float | None:
    try:
        value = float(data.get(keyword) or 0.0)
    except (TypeError, ValueError):  # several values, or text where a number belongs
        return None
    return value if math.isfinite(value) and value > 0 else None
