"""What the user takes home: DICOM, the sequence for Slicer, tables; each made when it is asked for."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

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
_Item = TypeVar("_Item")


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
        self._files = {
            "curves.csv": self._curves,
            "regions.csv": self._statistics,
            "phases.seq.nrrd": self._sequence,
            "dicom.zip": self._dicom,
        }

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/files/{name}", self._answer)]

    def cancel(self) -> None:
        """Stops what is being written."""
        self._cancelled.set()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in self._files:
            raise web.HTTPNotFound()
        self._cancelled.clear()
        self._page.set(exporting=f"writing {name}", error="")
        try:
            with _told_as_unwritable(name):
                room = tempfile.TemporaryDirectory(dir=self._folder)
            with room as folder:
                path = Path(folder) / name
                with _told_as_unwritable(name):
                    # What is shown is taken here, and written in a thread: there, another exam may be opened meanwhile.
                    await asyncio.to_thread(self._files[name](), path)
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

    def _sequence(self) -> Write:
        series, provenance = self._series()
        attributes = series_attributes(series) | (provenance.attributes if provenance else {})
        times = series.times_s.tolist()
        return lambda path: write_sequence(path, series.grid, times, self._uncancelled(series.frames), attributes)

    def _dicom(self) -> Write:
        opened = self._opened()
        series, provenance = self._series()
        if opened is None or provenance is None:
            raise CEKWorldError("Only synthesized phases are written as DICOM; synthesize the exam first.")
        return lambda path: self._write_dicom(path, opened, series, provenance)

    def _write_dicom(self, path: Path, opened: OpenedExam, series: TimeSeries, provenance: Provenance) -> None:
        from CEKWorldLib.dicom.marking import Provenance as Recorded
        from CEKWorldLib.dicom.phases import export_phases
        from CEKWorldLib.dicom.source import new_study, read_source

        anatomy = opened.exam.anatomy if opened.exam else None
        source = read_source(opened.path) if _is_dicom(opened.path) else new_study(anatomy)
        recorded = Recorded(provenance.model, provenance.model_sha256, provenance.seed, anatomy)
        loop = self._loop

        def tell(done: int, total: int) -> None:
            if done % _TOLD_EVERY == 0:
                loop.call_soon_threadsafe(lambda: self._page.set(exporting=f"image {done} of {total}"))

        exported = export_phases(series, source, recorded, path.parent / "dicom", tell, self._cancelled.is_set)
        images = sorted(one for one in exported.folder.rglob("*") if one.is_file())
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for image in self._uncancelled(images):
                archive.write(image, image.relative_to(exported.folder.parent))

    def _uncancelled(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """Items to be written, until the user cancels.

        Raises:
            Cancelled: he did.
        """
        for item in items:
            if self._cancelled.is_set():
                raise Cancelled("Stopped; nothing was written.")
            yield item

    def start(self) -> None:
        """Begins to work, in the running event loop."""
        self._loop = asyncio.get_running_loop()


@contextmanager
def _told_as_unwritable(name: str) -> Iterator[None]:
    """Says of errors of the disk which file they keep from being written."""
    try:
        yield
    except OSError as error:
        raise CEKWorldError(
            f"{name} cannot be written ({error.strerror}); free some space where the viewer runs, or open the exam "
            "again."
        ) from error


async def _send(request: web.Request, path: Path) -> web.StreamResponse:
    """Sends a file to the end, so that it may be removed then."""
    response = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="{path.name}"'})
    response.content_length = path.stat().st_size
    await response.prepare(request)
    with path.open("rb") as file, suppress(ConnectionError):  # the user may stop it in the browser
        while piece := file.read(_PIECE):
            await response.write(piece)
        await response.write_eof()
    return response


def _is_dicom(path: Path) -> bool:
    return path.is_dir() or is_dicom(path)
