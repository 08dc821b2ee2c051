"""Finds a time series in a DICOM folder: one series with many phases, or one series per phase."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.checks import check_series_size
from CEKWorldLib.exam.dicom_files import (
    Header,
    by_series,
    find_images,
    listing,
    matching_series,
    mr_series,
    refuse_other_modality,
    shown_uid,
)
from CEKWorldLib.exam.dicom_phases import split_phases
from CEKWorldLib.exam.dicom_planes import Plane, decode, planes_of
from CEKWorldLib.exam.dicom_protocol import acquisition_of
from CEKWorldLib.exam.dicom_stack import Stack, distinct, stack_of
from CEKWorldLib.exam.dicom_synthesis import export_of, made_by, synthetic_times
from CEKWorldLib.exam.dicom_times import clock_order, phase_times
from CEKWorldLib.exam.found_series import FoundSeries, Progress
from CEKWorldLib.exam.protocol import Acquisition
from CEKWorldLib.exam.volume import Volume

_Told = Callable[[int, int], None] | None  # as ``Progress``, of headers
_SAME_GRID_MM = 0.1  # series of one scan may round their positions differently


@dataclass(frozen=True)
class _Kind:
    """What a series says about how its images were made; phases of one scan have it in common."""

    study: str
    synthetic: bool
    export: str
    image_type: tuple[str, ...]
    acquisition: Acquisition

    @classmethod
    def of(cls, header: Header) -> _Kind:
        """Raises CEKWorldError where the header is damaged."""
        data = header.data
        try:
            return cls(
                study=str(data.get("StudyInstanceUID") or ""),
                synthetic=str(data.get("SyntheticData") or "") == "YES",
                export=export_of(data),
                image_type=tuple(map(str, data.get("ImageType") or ())),
                acquisition=acquisition_of(data),
            )
        except Exception as error:  # header values are converted on access, and damaged ones raise many kinds
            raise CEKWorldError(f"{header.file.name} has a damaged DICOM header; export it again.") from error

    @property
    def derived(self) -> bool:
        """Whether it was computed from acquired images: a subtraction or projection, say."""
        return self.image_type[:1] == ("DERIVED",) and not self.synthetic

    def difference(self, other: _Kind) -> str | None:
        """What differs, in DICOM's words; None where nothing does."""
        words = {
            "study": "StudyInstanceUID",
            "synthetic": "SyntheticData",
            "export": "model, seed or export",
            "image_type": "ImageType",
            "acquisition": "RepetitionTime, EchoTime, FlipAngle or fat saturation",
        }
        return next((word for name, word in words.items() if getattr(self, name) != getattr(other, name)), None)


@dataclass(frozen=True)
class _Scan:
    """One DICOM series, sorted.

    Attributes:
        number: SeriesNumber.
        uid: SeriesInstanceUID.
        kind: how it was made.
        phases: the planes of each phase, slices in order.
        stack: the first phase with its geometry.
        made_by: the model that made it, as far as it says.
    """

    number: str
    uid: str
    kind: _Kind
    phases: list[list[Plane]]
    stack: Stack
    made_by: dict[str, str]

    @classmethod
    def of(cls, headers: Sequence[Header], name: str, told: _Told) -> _Scan:
        """Raises CEKWorldError where the images are not those of complete phases."""
        refuse_other_modality(headers, name)
        phases = split_phases(distinct(planes_of(headers, told)), name)
        first, kind = headers[0], _Kind.of(headers[0])
        return cls(first.number, first.series, kind, phases, stack_of(phases[0], name), made_by(first.data))

    def difference(self, other: _Scan) -> str | None:
        """What keeps two series from being phases of one scan; None where nothing does."""
        if difference := self.kind.difference(other.kind):
            return difference
        if self.stack.shape != other.stack.shape:
            return "matrix"
        mine, theirs = ([plane.position for plane in scan.stack.planes] for scan in (self, other))
        same_place = np.allclose(mine, theirs, rtol=0, atol=_SAME_GRID_MM)
        same_axes = np.allclose(self.stack.direction, other.stack.direction, atol=1e-3)
        same_spacing = np.allclose(self.stack.spacing, other.stack.spacing, rtol=1e-3)
        return None if same_place and same_axes and same_spacing else "position or spacing"


def find_dicom_series(path: Path, series: Collection[str], progress: Progress | None = None) -> FoundSeries:
    """Finds the phases of one scan.

    Args:
        path: a folder (searched with its subfolders), or one file: then its series is taken from the same folder.
        series: SeriesNumbers or beginnings of SeriesInstanceUIDs whose phases to take; empty takes the only time
            series there is.
        progress: told of the headers read.

    Raises:
        CEKWorldError: no MR, no or several time series, incomplete phases, damaged files.
    """
    with warnings.catch_warnings():
        # Dirty headers (long decimal strings, odd character sets) are the rule, and the texts may quote patient data.
        warnings.simplefilter("ignore")
        told = partial(progress, "headers") if progress else None
        headers, damaged = find_images(path, told)
        name = headers[0].file.name if len(headers) == 1 else path.resolve().name
        try:
            scans, notes = _chosen(headers, series, name, told)
            if damaged:
                notes += (f"{len(damaged)} damaged DICOM file(s) were left out, the first is {damaged[0].name}.",)
            return _found(_in_order(scans), notes, name)
        except CEKWorldError as error:
            if not damaged:
                raise
            raise CEKWorldError(f"{error} ({damaged[0].name} is damaged or truncated and was left out.)") from error


def _chosen(
    headers: Sequence[Header], series: Collection[str], name: str, told: _Told
) -> tuple[list[_Scan], tuple[str, ...]]:
    groups = by_series(headers)
    if series:
        picked: dict[str, list[Header]] = {}
        for wanted in series:
            picked |= matching_series(groups, wanted, name)
        return _one_scan([_Scan.of(group, name, told) for group in picked.values()], name), ()
    refuse_other_modality(headers, name)
    groups = mr_series(groups)
    if len(groups) == 1:
        (group,) = groups.values()
        return _one_scan([_Scan.of(group, name, told)], name), ()
    return _only_time_series(groups, name, told)


def _one_scan(scans: list[_Scan], name: str) -> list[_Scan]:
    for scan in scans[1:]:
        if difference := scans[0].difference(scan):
            raise CEKWorldError(
                f"{name}: series {scans[0].number} and {scan.number} differ in {difference}, so they are "
                "no phases of one scan; choose others."
            )
    if sum(len(scan.phases) for scan in scans) < 2:
        raise CEKWorldError(f"{name} holds one phase only, no time series; choose the folder with all phases.")
    return scans


def _only_time_series(groups: dict[str, list[Header]], name: str, told: _Told) -> tuple[list[_Scan], tuple[str, ...]]:
    """Puts series together that are phases of one scan, and takes the only time series among the results."""
    families: list[list[_Scan]] = []
    unusable: list[tuple[str, CEKWorldError]] = []  # with its SeriesNumber: scouts, phase images, incomplete series
    for group in groups.values():
        try:
            scan = _Scan.of(group, group[0].file.name, told)
        except CEKWorldError as error:
            unusable.append((group[0].number, error))
            continue
        family = next((known for known in families if known[0].difference(scan) is None), None)
        families.append([scan]) if family is None else family.append(scan)
    several = [family for family in families if sum(len(scan.phases) for scan in family) > 1]
    acquired = [family for family in several if not family[0].kind.derived]
    if len(acquired or several) == 1:
        (chosen,) = acquired or several
        others = [scan for family in families if family is not chosen for scan in family]
        reasons = [(scan.number, f"it differs in {chosen[0].difference(scan)}") for scan in others]
        return chosen, _left_out(reasons + [(number, str(error)) for number, error in unusable])
    if several:
        raise CEKWorldError(f"{name} holds several time series; choose the series {_choices(acquired or several)}.")
    reason = unusable[0][1] if unusable else None
    if reason and not families:
        raise reason
    difference = f" (they differ in {families[0][0].difference(families[1][0])})" if len(families) > 1 else ""
    raise CEKWorldError(
        f"{name} holds no time series, only single volumes{difference}: {listing(groups)}; choose a folder with all "
        f"phases of one scan.{f' One cannot be used: {reason}' if reason else ''}"
    )


def _choices(families: list[list[_Scan]]) -> str:
    """How to name each time series: by SeriesNumbers, where these tell them apart, as they do within a study."""
    numbers = [scan.number for family in families for scan in family]
    telling = all(numbers) and len(set(numbers)) == len(numbers)
    lists = [
        sorted((scan.number if telling else shown_uid(scan.uid) for scan in family), key=_by_number)
        for family in families
    ]
    return " or ".join(sorted((",".join(names) for names in lists), key=_by_number))


def _left_out(reasons: list[tuple[str, str]]) -> tuple[str, ...]:
    """A note on each series that is no part of the time series, lest a lost phase go unnoticed."""
    ordered = sorted(reasons, key=lambda reason: _by_number(reason[0]))
    notes = [f"Series {number or '?'} was left out: {reason.rstrip('.')}." for number, reason in ordered]
    return tuple(dict.fromkeys(notes))


def _in_order(scans: list[_Scan]) -> list[_Scan]:
    """Series in the order of time, where a clock tells it, else of SeriesNumber."""
    order = clock_order([scan.phases[0][0] for scan in scans])
    if order is not None:
        return [scans[index] for index in order]
    return sorted(scans, key=lambda scan: _by_number(scan.number))


def _by_number(text: str) -> tuple[int, str]:
    """Sorts numbers in text, "9" before "10"."""
    return len(text), text


def _found(scans: list[_Scan], notes: tuple[str, ...], name: str) -> FoundSeries:
    first = scans[0]
    phases = [phase for scan in scans for phase in scan.phases]
    shape = (len(phases), *first.stack.shape)
    check_series_size(shape, name)

    def load(progress: Progress | None) -> tuple[np.ndarray, Volume]:
        # All planes at once: a multi-frame file with all phases is then decoded once.
        planes = [plane for phase in phases for plane in phase]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frames = decode(planes, partial(progress, "pixels") if progress else None).reshape(shape)
        return frames, first.stack.volume(frames[0])

    return FoundSeries(
        times=synthetic_times(phases) if first.kind.synthetic else phase_times(phases),
        shape=shape,
        load=load,
        synthetic=first.kind.synthetic,
        made_by=first.made_by if first.kind.synthetic else {},
        acquisition=first.kind.acquisition,
        series_numbers=tuple(scan.number for scan in scans for _ in scan.phases),
        study=first.kind.study,
        notes=notes + first.stack.notes,
    )
