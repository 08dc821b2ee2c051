"""The box that the planes of one volume fill: their order, and its geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.dicom_planes import PHASE_TAGS, Plane
from CEKWorldLib.exam.volume import Volume

_SAME_PLACE_MM = 0.01
_EVEN, _NEARLY_EVEN = 0.01, 0.1  # of the spacing: silent up to the first, a warning up to the second, else an error


@dataclass(frozen=True)
class Stack:
    """Planes in order, one for each slice, and where they lie.

    Attributes:
        planes: sorted by their height along the normal.
        spacing: mm along (i, j, k).
        origin: LPS mm of voxel (0, 0, 0).
        direction: as in `Volume`.
        notes: sentences for the user.
    """

    planes: tuple[Plane, ...]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]
    notes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        return (len(self.planes), *self.planes[0].shape)

    def volume(self, voxels: np.ndarray) -> Volume:
        """Voxels (slices, rows, columns) in the planes' order, with this geometry."""
        return Volume(voxels, self.spacing, self.origin, self.direction)


def distinct(planes: Sequence[Plane]) -> list[Plane]:
    """Drops second copies of the same image, as folders exported twice hold; the first one stays."""
    kept: dict[tuple[str, ...], Plane] = {}
    for plane in planes:
        kept.setdefault(plane.identity, plane)
    return list(kept.values())


def stack_of(planes: Sequence[Plane], name: str) -> Stack:
    """Sorts the planes of one volume and checks that they fill one box.

    Args:
        planes: distinct, in any order.
        name: the file or folder, for messages.

    Raises:
        CEKWorldError: planes of different sizes or orientations, several of one slice, missing slices, shifted slices.
    """
    order, gaps = _sorted_heights(planes, name)
    ordered = [planes[index] for index in order]
    _refuse_phases(ordered, gaps, name)
    notes = _check_gaps(ordered, gaps, name)
    first = ordered[0]
    along_row, along_column, normal = _axes(first)
    travel = ordered[-1].position - first.position
    sideways = float(np.linalg.norm(travel - (travel @ normal) * normal))
    if sideways > max(first.spacing):
        raise CEKWorldError(f"{name} has slices that shift sideways by {sideways:.1f} mm in all; resample it to a box.")
    return Stack(
        planes=tuple(ordered),
        spacing=(first.spacing[1], first.spacing[0], float(gaps.mean()) if len(gaps) else first.thickness),
        origin=tuple(map(float, first.position)),  # type: ignore[arg-type]
        direction=tuple(map(float, np.column_stack([along_row, along_column, normal]).ravel())),
        notes=notes,
    )


def places_of(planes: Sequence[Plane], name: str) -> np.ndarray:
    """Which slice each plane shows: (planes,) integers from 0, equal for planes at the same place.

    Raises:
        CEKWorldError: planes of different sizes or orientations.
    """
    order, gaps = _sorted_heights(planes, name)
    places = np.empty(len(planes), int)
    places[order] = np.concatenate([[0], np.cumsum(gaps > _SAME_PLACE_MM)])
    return places


def _sorted_heights(planes: Sequence[Plane], name: str) -> tuple[np.ndarray, np.ndarray]:
    """The order of planes along their normal, and the gaps between neighbours in mm."""
    _refuse_mixtures(planes, name)
    _, _, normal = _axes(planes[0])
    heights = np.array([plane.position @ normal for plane in planes])
    order = np.argsort(heights, kind="stable")
    return order, np.diff(heights[order])


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
