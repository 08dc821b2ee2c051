"""Sorts the planes of one DICOM series into phases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.dicom_planes import Plane
from CEKWorldLib.exam.dicom_stack import places_of
from CEKWorldLib.exam.dicom_times import Reader, acquisition_time, content_time, date_times, numbers, temporal_position

# What may number the images of one slice in time, most telling first. InstanceNumber is all that some cine and
# perfusion series have (Philips, Bruker).
_ORDERS: tuple[Reader, ...] = (
    temporal_position,
    numbers("TemporalPositionTimeOffset"),
    date_times("FrameReferenceDateTime"),
    date_times("FrameAcquisitionDateTime"),
    date_times("AcquisitionDateTime"),
    acquisition_time,
    numbers("TriggerTime"),
    numbers("AcquisitionNumber"),
    content_time,
    numbers("InstanceNumber"),
)
# Images of one slice that differ in one of these are no phases of one scan: their signal scales differ.
_OF_ONE_SCAN = (
    "EchoTime",
    "EffectiveEchoTime",
    "FlipAngle",
    "InversionTime",
    "DiffusionBValue",
    "FrameType",
    "ImageType",
)


def split_phases(planes: Sequence[Plane], name: str) -> list[list[Plane]]:
    """Sorts planes into phases: the first image of every slice is the first phase, and so on.

    Args:
        planes: of one series, distinct, in any order.
        name: the file or folder, for messages.

    Returns:
        In the order of time, each phase with one plane for every slice, slices sorted along their normal.

    Raises:
        CEKWorldError: slices with fewer images than others, several echoes, flip angles or image types, or images of a
            slice that nothing puts in order.
    """
    places = places_of(planes, name)
    counts = np.bincount(places)
    _check_complete(planes, places, counts, name)
    if counts[0] == 1:
        return [[planes[index] for index in np.argsort(places)]]
    _check_one_scan(planes, name)
    for read in _ORDERS:
        order = read(planes)
        if np.isfinite(order).all() and len(np.unique(np.stack([places, order]), axis=1).T) == len(planes):
            by_slice = np.lexsort([order, places]).reshape(len(counts), counts[0])
            return [[planes[index] for index in phase] for phase in by_slice.T]
    raise CEKWorldError(
        f"{name} holds {counts[0]} images of every slice and nothing in their headers puts them in order; export each "
        "phase as its own series."
    )


def _check_complete(planes: Sequence[Plane], places: np.ndarray, counts: np.ndarray, name: str) -> None:
    if counts.min() == counts.max():
        return
    usual = int(np.median(counts))
    odd = int(np.argmax(counts != usual))
    example = next(plane for plane, place in zip(planes, places, strict=True) if place == odd)
    raise CEKWorldError(
        f"{name} has {counts[odd]} images of one slice ({example.file.name}) and {usual} of others: a phase is "
        "incomplete or other images are mixed in; export the complete series alone."
    )


def _check_one_scan(planes: Sequence[Plane], name: str) -> None:
    for tag in _OF_ONE_SCAN:
        found: dict[str, Plane] = {}
        for plane in planes:
            found.setdefault(plane.phase.get(tag, ""), plane)
        if len(found) > 1:
            first, second = list(found.values())[:2]
            files = first.file.name if first.file == second.file else f"{first.file.name} and {second.file.name}"
            raise CEKWorldError(
                f"{name} mixes images that differ in {tag} ({files}), not in time; export the images of one kind as "
                "their own series."
            )
