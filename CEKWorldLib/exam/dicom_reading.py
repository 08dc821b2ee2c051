"""Reads one MR series from a DICOM folder: headers to planes, planes to a volume."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.checks import check_size, check_volume, contrast_warnings, protocol_warnings
from CEKWorldLib.exam.dicom_files import find_series
from CEKWorldLib.exam.dicom_planes import PHASE_TAGS, Plane, decode, planes_of
from CEKWorldLib.exam.dicom_protocol import acquisition_of, names_contrast_agent
from CEKWorldLib.exam.protocol import Acquisition
from CEKWorldLib.exam.volume import Volume

_SAME_PLACE_MM = 0.01
_EVEN, _NEARLY_EVEN = 0.01, 0.1  # of the spacing: silent up to the first, a warning up to the second, else an error


def read_dicom(path: Path, series: str | int | None = None) -> tuple[Volume, Acquisition, tuple[str, ...]]:
    """Reads a series.

    Args:
        path: a folder (searched with its subfolders), or one file: then its series is taken from the same folder.
        series: SeriesNumber or the beginning of the SeriesInstanceUID, where the folder holds several.

    Returns:
        The checked volume, slices sorted along their normal, in rescaled units; the acquisition; warnings.

    Raises:
        CEKWorldError: nothing to read, not MR, several series or phases, missing slices, damaged or undecodable files.
    """
    with warnings.catch_warnings():
        # Dirty headers (long decimal strings, odd character sets) are the rule, and the texts may quote patient data.
        warnings.simplefilter("ignore")
        headers, damaged = find_series(path, series)
        name = headers[0].file.name if len(headers) == 1 else path.resolve().name
        planes = _distinct([plane for header in headers for plane in planes_of(header)])
        volume, notes = _stack(planes, name)
        first = headers[0].data
        acquisition = acquisition_of(first)
        agent = names_contrast_agent(first)
    check_volume(volume, name)
    if damaged:
        notes += (f"{len(damaged)} damaged DICOM file(s) were left out, the first is {damaged[0].name}.",)
    texts = tuple(str(first.get(key) or "") for key in ("SeriesDescription", "ProtocolName"))
    notes += protocol_warnings(acquisition) + contrast_warnings(volume, texts, agent)
    return volume, acquisition, notes


def _distinct(planes: Sequence[Plane]) -> list[Plane]:
    """Drops second copies of the same image, as folders exported twice hold; the first one stays."""
    kept: dict[tuple[str, ...], Plane] = {}
    for plane in planes:
        kept.setdefault(plane.identity, plane)
    return list(kept.values())


def _stack(planes: Sequence[Plane], name: str) -> tuple[Volume, tuple[str, ...]]:
    """Sorts planes by their height along the normal and checks that they fill one box."""
    first = planes[0]
    _refuse_mixtures(planes, name)
    along_row, along_column, normal = _axes(first)
    heights = np.array([plane.position @ normal for plane in planes])
    order = np.argsort(heights, kind="stable")
    planes, gaps = [planes[index] for index in order], np.diff(heights[order])
    _refuse_phases(planes, gaps, name)
    notes = _check_gaps(planes, gaps, name)
    travel = planes[-1].position - planes[0].position
    sideways = float(np.linalg.norm(travel - (travel @ normal) * normal))
    if sideways > max(first.spacing):
        raise CEKWorldError(f"{name} has slices that shift sideways by {sideways:.1f} mm in all; resample it to a box.")
    check_size((len(planes), *first.shape), name)
    volume = Volume(
        voxels=decode(planes),
        spacing=(first.spacing[1], first.spacing[0], float(gaps.mean()) if len(gaps) else first.thickness),
        origin=tuple(map(float, planes[0].position)),  # type: ignore[arg-type]
        direction=tuple(map(float, np.column_stack([along_row, along_column, normal]).ravel())),
    )
    return volume, notes


def _refuse_mixtures(planes: Sequence[Plane], name: str) -> None:
    first = planes[0]
    for plane in planes:
        if plane.shape != first.shape or not np.allclose(plane.spacing, first.spacing, rtol=1e-3):
            raise CEKWorldError(
                f"{name} mixes images of different sizes in one series ({plane.file.name} differs from "
                f"{first.file.name}); export the slices of one size as their own series."
            )
        if not np.allclose(plane.orientation, first.orientation, atol=1e-3):
            raise CEKWorldError(
                f"{name} mixes orientations in one series, as scouts do ({plane.file.name} differs from "
                f"{first.file.name}); choose another series."
            )


def _axes(plane: Plane) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors along a row, down a column and across the slices, exactly at right angles."""
    along_row, along_column = plane.orientation[:3], plane.orientation[3:]
    lengths = np.linalg.norm(along_row), np.linalg.norm(along_column)
    if not np.allclose(lengths, 1, atol=1e-2) or abs(along_row @ along_column) > 1e-2 or min(plane.spacing) <= 0:
        raise CEKWorldError(f"{plane.file.name} has an invalid orientation or pixel spacing; export it again.")
    along_row = along_row / lengths[0]
    normal = np.cross(along_row, along_column)
    normal /= np.linalg.norm(normal)
    return along_row, np.cross(normal, along_row), normal


def _refuse_phases(planes: Sequence[Plane], gaps: np.ndarray, name: str) -> None:
    """Refuses several images of one slice, naming what tells them apart."""
    places = np.concatenate([[0], np.cumsum(gaps > _SAME_PLACE_MM)])
    counts = np.bincount(places)
    if counts.max() == 1:
        return
    here = [plane for plane, place in zip(planes, places, strict=True) if place == counts.argmax()]
    tag = next((tag for tag in PHASE_TAGS if len({plane.phase.get(tag) for plane in here}) > 1), None)
    example = here[0].file.name
    if here[1].file != here[0].file:
        example += f" and {here[1].file.name}"
    raise CEKWorldError(
        f"{name} holds {counts.max()} images of the same slice in one series ({example}"
        f"{f', which differ in {tag}' if tag else ''}): several phases, echoes or image types; pick the pre-contrast "
        "phase by exporting it as its own series or copying its files to a folder of their own."
    )


def _check_gaps(planes: Sequence[Plane], gaps: np.ndarray, name: str) -> tuple[str, ...]:
    """Refuses missing slices; warns about slightly uneven ones."""
    if not len(gaps):
        return ()
    usual = float(np.median(gaps))
    deviation = np.abs(gaps - usual)
    worst = int(deviation.argmax())
    if deviation[worst] <= max(_EVEN * usual, _SAME_PLACE_MM):
        return ()
    where = (
        f"{planes[worst].file.name} and {planes[worst + 1].file.name} are {gaps[worst]:.2f} mm apart, others "
        f"{usual:.2f} mm"
    )
    if deviation[worst] > _NEARLY_EVEN * usual:
        raise CEKWorldError(f"{name} has missing or unevenly spaced slices ({where}); export the complete series.")
    return (f"Slice spacing is slightly uneven ({where}); it is taken as even.",)
