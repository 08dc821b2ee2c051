"""What the panel writes: DICOM objects for the database, tables, the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from slicer.i18n import tr as _

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.kinetics.maps import maps
from CEKWorldLib.kinetics.noise import background_noise
from CEKWorldLib.kinetics.roi import RoiResult
from CEKWorldLib.kinetics.settings import Settings

Report = Callable[[str, int, int], bool]
"""Told what is being done, how much of it is done and how much there is; answers whether to go on."""


@dataclass(frozen=True)
class DicomExport:
    """What is to become DICOM.

    Attributes:
        series: phases.
        source: a DICOM file of the series they were made from; None where that was not DICOM.
        phases: write the phases.
        results: of regions; empty for none.
        with_maps: write maps of all statistics.
        settings: how curves are judged.
    """

    series: TimeSeries
    source: Path | None
    phases: bool
    results: Sequence[RoiResult]
    with_maps: bool
    settings: Settings


def write_dicom(export: DicomExport, folder: Path, report: Report) -> list[Path]:
    """Writes the objects.

    Args:
        export: what.
        folder: new folders are made in it.
        report: progress and cancel.

    Returns:
        The new folders.

    Raises:
        CEKWorldError: nothing to write, maps without regions, results of a series that is nowhere DICOM, or it cannot
            be written.
        Cancelled: nothing is left but what the folders returned so far would be.
    """
    from CEKWorldLib.dicom.marking import Provenance
    from CEKWorldLib.dicom.phases import export_phases
    from CEKWorldLib.dicom.results import export_results
    from CEKWorldLib.dicom.source import new_study, read_source

    if not export.phases and not export.results:
        raise CEKWorldError(_("There is nothing to export; choose the phases, or measure a region first."))
    if export.with_maps and not export.results:
        raise CEKWorldError(
            _("Maps are exported with regions and curves; measure a region and choose these too, or leave maps out.")
        )
    provenance = Provenance.of(export.series.made_by)
    source = read_source(export.source) if export.source else new_study(provenance.anatomy)
    written: list[Path] = []
    if export.phases:
        asked = _Asked(_("Writing phases"), report)
        phases = export_phases(export.series, source, provenance, folder, asked.progress, asked.cancelled)
        written.append(phases.folder)
        if not source.images:
            # Objects on regions must refer to images: those just written, where there are no others.
            source = read_source(next(iter(sorted(phases.folder.iterdir()))))
    if export.results:
        if not source.images:
            raise CEKWorldError(
                _(
                    "Regions and curves refer to DICOM images, but the volume was not loaded from DICOM; export the "
                    "phases with them."
                )
            )
        asked = _Asked(_("Writing regions and curves"), report)
        computed = series_maps(export.series, export.settings, report) if export.with_maps else {}
        made_by = provenance if export.series.synthetic else None
        written.append(
            export_results(
                source, export.series.grid, export.results, computed, folder, made_by, asked.progress, asked.cancelled
            )
        )
    return written


def series_maps(series: TimeSeries, settings: Settings, report: Report) -> dict[str, np.ndarray]:
    """Maps of all statistics; air around the body is blanked where it tells its noise.

    Raises:
        CEKWorldError: times that no curve can have.
        Cancelled: the report's answer was no.
    """
    if settings.noise_sd is None:
        settings = replace(settings, noise_sd=background_noise(series.frames[0]))
    return maps(
        series.frames,
        series.times_s,
        settings,
        progress=lambda share: not report(_("Computing maps"), round(100 * share), 100),
    )


def statistics_beside(path: Path) -> Path:
    """Where the statistics of the curves in ``path`` go."""
    return path.with_name(f"{path.stem}-statistics.csv")


def write_tables(path: Path, results: Sequence[RoiResult], synthetic: bool) -> list[Path]:
    """Writes the curves to ``path`` and the statistics beside it.

    Raises:
        CEKWorldError: nothing is measured, or the files cannot be written.
    """
    from CEKWorldLib.export.kinetic_tables import write_roi_curves, write_roi_statistics

    _check_measured(results)
    statistics = statistics_beside(path)
    write_roi_curves(path, results, synthetic)
    write_roi_statistics(statistics, results, synthetic)
    return [path, statistics]


def write_page(path: Path, series: TimeSeries, results: Sequence[RoiResult]) -> None:
    """Writes the report, one HTML page.

    Raises:
        CEKWorldError: nothing is measured, or the file cannot be written.
    """
    from CEKWorldLib.export.report import write_report

    _check_measured(results)
    write_report(path, series, results)


def _check_measured(results: Sequence[RoiResult]) -> None:
    if not results:
        raise CEKWorldError(_("No region is measured yet; draw one in the section Curves."))


class _Asked:
    """Progress and cancel of one step, from one report."""

    def __init__(self, what: str, report: Report) -> None:
        self._what = what
        self._report = report
        self._is_cancelled = False

    def progress(self, done: int, total: int) -> None:
        self._is_cancelled = not self._report(self._what, done, total)

    def cancelled(self) -> bool:
        return self._is_cancelled
