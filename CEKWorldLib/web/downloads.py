"""What the user takes home: DICOM, the sequence for Slicer, tables; each made when it is asked for."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from CEKWorldLib.errors import Cancelled, CEKWorldError
from CEKWorldLib.exam.dicom_files import is_dicom
from CEKWorldLib.exam.image_series import series_attributes
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.export.kinetic_tables import write_roi_curves, write_roi_statistics
from CEKWorldLib.export.seq_nrrd import write_sequence
from CEKWorldLib.kinetics.roi import RoiResult
from CEKWorldLib.scene.provenance import Provenance
from CEKWorldLib.web.exam_opening import OpenedExam
from CEKWorldLib.web.page_state import Page

_PIECE = 1 << 18
_TOLD_EVERY = 16  # images between two looks at the page

Write = Callable[[Path], None]


class Downloads:
    """Answers requests for files.

    Args:
        page: shows what is being written.
        folder: for what is being written; each file is removed once it is sent.
        opened: gives what is open, None for nothing.
        series: gives what is shown, with how it was made; None of that for an acquired series.
        results: gives the curves.
    """

    def __init__(
        self,
        page: Page,
        folder: Path,
        opened: Callable[[], OpenedExam | None],
        series: Callable[[], tuple[TimeSeries, Provenance | None]],
        results: Callable[[], list[RoiResult]],
    ) -> None:
        self._page, self._folder, self._opened, self._series, self._results = page, folder, opened, series, results
        self._cancelled = threading.Event()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/files/curves.csv", lambda request: self._answer(request, "curves.csv", self._curves())),
            web.get("/files/regions.csv", lambda request: self._answer(request, "regions.csv", self._statistics())),
            web.get("/files/phases.seq.nrrd", lambda request: self._answer(request, "phases.seq.nrrd", self._sequence)),
            web.get("/files/dicom.zip", lambda request: self._answer(request, "dicom.zip", self._dicom)),
        ]

    def cancel(self) -> None:
        """Stops what is being written."""
        self._cancelled.set()

    async def _answer(self, request: web.Request, name: str, write: Write) -> web.StreamResponse:
        self._cancelled.clear()
        self._page.set(exporting=f"writing {name}", error="")
        try:
            with tempfile.TemporaryDirectory(dir=self._folder) as folder:
                path = Path(folder) / name
                try:
                    await asyncio.to_thread(write, path)
                except OSError as error:
                    raise CEKWorldError(
                        f"{name} cannot be written ({error.strerror}); free some space where the viewer runs, or open "
                        "the exam again."
                    ) from error
                return await _send(request, path)
        except Cancelled:
            raise web.HTTPNoContent() from None
        except CEKWorldError as error:
            self._page.fail(error)
            raise web.HTTPConflict(text=str(error)) from error
        finally:
            self._page.set(exporting="")

    def _curves(self) -> Write:
        results, synthetic = self._measured()
        return lambda path: write_roi_curves(path, results, synthetic)

    def _statistics(self) -> Write:
        results, synthetic = self._measured()
        return lambda path: write_roi_statistics(path, results, synthetic)

    def _measured(self) -> tuple[list[RoiResult], bool]:
        return self._results(), bool(self._page.get("synthetic"))

    def _sequence(self, path: Path) -> None:
        series, provenance = self._series()
        attributes = series_attributes(series) | (provenance.attributes if provenance else {})
        write_sequence(path, series.grid, series.times_s.tolist(), series.frames, attributes)

    def _dicom(self, path: Path) -> None:
        from CEKWorldLib.dicom.marking import Provenance as Recorded
        from CEKWorldLib.dicom.phases import export_phases
        from CEKWorldLib.dicom.source import new_study, read_source

        opened = self._opened()
        series, provenance = self._series()
        if opened is None or provenance is None:
            raise CEKWorldError("Only synthesized phases are written as DICOM; synthesize the exam first.")
        anatomy = opened.exam.anatomy if opened.exam else None
        source = read_source(opened.path) if _is_dicom(opened.path) else new_study(anatomy)
        recorded = Recorded(provenance.model, provenance.model_sha256, provenance.seed, anatomy)
        loop = self._loop

        def tell(done: int, total: int) -> None:
            if done % _TOLD_EVERY == 0:
                loop.call_soon_threadsafe(lambda: self._page.set(exporting=f"image {done} of {total}"))

        exported = export_phases(series, source, recorded, path.parent / "dicom", tell, self._cancelled.is_set)
        shutil.make_archive(str(path.with_suffix("")), "zip", exported.folder.parent, exported.folder.name)

    def start(self) -> None:
        """Begins to work, in the running event loop."""
        self._loop = asyncio.get_running_loop()


async def _send(request: web.Request, path: Path) -> web.StreamResponse:
    """Sends a file to the end, so that it may be removed then."""
    response = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="{path.name}"'})
    response.content_length = path.stat().st_size
    await response.prepare(request)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            await response.write(piece)
    await response.write_eof()
    return response


def _is_dicom(path: Path) -> bool:
    return path.is_dir() or is_dicom(path)
