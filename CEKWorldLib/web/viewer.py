"""One browser session's viewer: scene, views, controls and page put together."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import slicer
from aiohttp import web
from trame_server import Server
from trame_slicer import module as trame_slicer_module
from trame_slicer.core import SlicerApp

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.dicom_files import SeveralSeries
from CEKWorldLib.exam.grid import slice_axis
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.scene.provenance import Provenance
from CEKWorldLib.scene.regions import voxel_at
from CEKWorldLib.scene.scene_session import SceneSession
from CEKWorldLib.web.display import Display
from CEKWorldLib.web.downloads import Downloads
from CEKWorldLib.web.exam_opening import OpenedExam, open_exam
from CEKWorldLib.web.live_frames import LiveFrames
from CEKWorldLib.web.page.layout import build_page
from CEKWorldLib.web.page.view_frame import describe_view
from CEKWorldLib.web.page_state import Page, PageState
from CEKWorldLib.web.region_control import RegionControl
from CEKWorldLib.web.sample_frames import SampleFrames
from CEKWorldLib.web.scrubber import Scrubber
from CEKWorldLib.web.series_choice import SeriesChoice
from CEKWorldLib.web.slice_views import AXIAL, SliceViews
from CEKWorldLib.web.synthesis import Read, Synthesis, read_frame
from CEKWorldLib.web.uploads import Uploads
from CEKWorldLib.web.volume_view import VolumeView
from CEKWorldLib.worker.asyncio_transport import AsyncioTransport
from CEKWorldLib.worker.client import Settings, WorkerClient
from CEKWorldLib.worker.interface import Status, SynthesisClient

_LOGICS = (slicer.vtkSlicerSequencesLogic, slicer.vtkSlicerPlotsLogic, slicer.vtkSlicerTablesLogic)
_BRIGHTEST = 2.0  # how much brighter than the pre-contrast volume white is; suits breast and liver
_EARLY_S = 90.0  # the first phase after contrast that readers look at, shown when a synthesis is finished


@dataclass(frozen=True)
class ViewerSettings:
    """How a viewer begins.

    Attributes:
        exam: what is opened first, None for nothing.
        name: of that exam, shown to the user.
        model: name or folder.
        temporary: a folder for uploads, downloads and the worker, shared with no other browser session.
    """

    exam: Path | None
    name: str
    model: str
    temporary: Path


class Viewer:
    """Everything a browser session has.

    Args:
        server: trame server of one browser session.
        settings: how it begins.
    """

    def __init__(self, server: Server, settings: ViewerSettings) -> None:
        self.server = server
        self.settings = settings
        server.enable_module(trame_slicer_module)
        app = SlicerApp()
        for logic in _LOGICS:
            app.register_module_logic(logic())
        self._opened: OpenedExam | None = None
        self._opening = asyncio.Lock()
        self._provenance: Provenance | None = None
        self.page = Page(server)
        self.choice = SeriesChoice(self.page)
        self.scene = SceneSession(app.scene)
        self.views = SliceViews(server, app, self.scene.caption, describe_view)
        self.scrubber = Scrubber(self.page, self.scene, self.views.stream)
        interaction = app.markups_logic.interaction_node
        self.display = Display(self.page, self.scene, self.views, interaction, self._samples)
        self.volume = VolumeView(app, self.scene)
        self.page.on_change("layout", lambda _: self._arrange())
        self.regions = RegionControl(self.page, app, self.scene, self.views, self._samples)
        self.live = LiveFrames(self.page, self.scene, self.scrubber)
        self.synthesis = Synthesis(
            self.page, self._connect, settings.temporary, self._show_sample, self._watch, self.scene.check_room
        )
        self.downloads = Downloads(
            self.page, settings.temporary, lambda: self._opened, self._series, lambda: self.regions.results
        )
        self.uploads = Uploads(self.page, settings.temporary, self.open)
        server.controller.trigger("fit")(self.views.fit)
        self.ui = build_page(self)

    def routes(self) -> list[web.RouteDef]:
        """What is answered beside the page itself."""
        return [*self.downloads.routes(), *self.uploads.routes(), *self.views.stream.socket.routes()]

    async def run(self) -> None:
        """Begins to work, in the running event loop."""
        self.views.stream.start()
        self.scrubber.start()
        self.regions.start()
        self.downloads.start()
        if self.settings.exam is not None:
            await self.open(self.settings.exam, self.settings.name)

    async def close(self) -> None:
        """Ends the worker; it removes its own files."""
        self.synthesis.close()
        await asyncio.sleep(0)  # its last message leaves

    async def open(self, path: Path, name: str = "") -> bool:
        """Opens a volume or a series in place of what is open; what cannot be read leaves it in its place.

        Returns:
            Whether it was opened; if not, the page shows why.
        """
        self.choice.answer("")  # a question that is still open is about what was asked for before
        # A file's name may be no UTF-8, in which page and scene have theirs.
        name = os.fsencode(name or path.name).decode(errors="replace")
        async with self._opening:  # else what takes longer to read would replace what was asked for after it
            self.page.set(opening=name, error="", playing=False)
            try:
                opened = await self._read(path, name)
                if opened is None:
                    return False
                self._show(opened)
            except CEKWorldError as error:
                self.page.fail(error)
                return False
            finally:
                self.page.set(opening="")
            return True

    async def _read(self, path: Path, name: str) -> OpenedExam | None:
        """Asks for a series where there are several; None where the user wants none of them."""
        try:
            return await asyncio.to_thread(open_exam, path, name)
        except SeveralSeries as several:
            self.page.set(opening="")
            series = await self.choice.ask(name, several)
        if not series:
            return None
        self.page.set(opening=name)
        return await asyncio.to_thread(open_exam, path, name, series)

    def synthesize(self) -> None:
        """Begins to synthesize, the slice on screen first."""
        self.synthesis.start(self._slice_on_screen())

    def _show(self, opened: OpenedExam) -> None:
        self._opened = opened
        self.page.set(title=opened.name, notices=list(opened.notices), projected=False)
        beginning = PageState()  # not what the exam before it stated
        anatomy = opened.exam.anatomy if opened.exam is not None else None
        arrival_s = beginning.arrival_s if opened.arrival_s is None else round(opened.arrival_s, 1)
        self.page.set(arrival_s=arrival_s, preset=anatomy or beginning.preset)
        self.synthesis.take(opened.exam)
        self._show_opened(opened)
        self.views.fit()

    def _show_opened(self, opened: OpenedExam, keep_regions: bool = False) -> None:
        """Shows what was opened, as it was."""
        self._provenance = opened.provenance
        self.scene.open_series(opened.name, opened.series)
        from_injection = bool(opened.series.zero_source)
        self.page.set(synthetic=opened.series.synthetic, from_injection=from_injection, subtracted=False)
        self.scene.show_in_views()
        self._begin(0.0, keep_regions=keep_regions)

    @asynccontextmanager
    async def _watch(self, client: SynthesisClient, frames: SampleFrames, made: Provenance) -> AsyncIterator[Read]:
        """Shows the first synthesis of an exam while it is made; a later one leaves the earlier on screen meanwhile.

        Until all of its frames are in the scene it is live, which nobody may take home; what stops it before leaves
        the exam as it was opened.
        """
        opened = self._opened
        if opened is None or self.page.get("synthetic"):
            yield partial(read_frame, client)
            return
        self._open_synthesis(opened, frames, made)
        self._begin(_early(frames.times_s), frames.times_s, keep_regions=True)
        self.page.set(live=True)
        try:
            async with self.live.following(client) as read:
                yield read
        except BaseException:
            if self._opened is opened:
                self._show_opened(opened, keep_regions=True)
            raise
        finally:
            self.page.set(live=False)

    def _open_synthesis(self, opened: OpenedExam, frames: SampleFrames, made: Provenance) -> None:
        assert opened.exam is not None
        self._provenance = made
        self.scene.open_exam(opened.name, opened.exam.pre, made, frames.arrival_s, _BRIGHTEST)
        self.scene.show_in_views()
        self.page.set(synthetic=True, subtracted=False)

    def _show_sample(self, frames: SampleFrames, provenance: Provenance) -> None:
        """Shows the first sample of a synthesis; further ones add to what is known about it."""
        if len(frames.samples) > 1:
            self.regions.measure()
            return
        opened = self._opened
        if opened is None or opened.exam is None:
            return
        self._open_synthesis(opened, frames, provenance)
        for t, frame in zip(frames.times_s, frames.samples[0], strict=True):
            self.scene.put_frame(t, frame)
        was_live = tuple(self.page.get("times_s")) == frames.times_s
        self._begin(self.page.get("time_s") if was_live else _early(frames.times_s), keep_regions=True)

    def _begin(self, time_s: float, times_s: Sequence[float] = (), keep_regions: bool = False) -> None:
        self.display.reset()
        self._arrange()
        if keep_regions:
            self.regions.measure()
        else:
            self.regions.reset()
        self.scrubber.reset(time_s, times_s)

    def _arrange(self) -> None:
        self.views.arrange(self.page.get("layout"))
        self.volume.show(self.page.get("layout") == "volume")

    def _slice_on_screen(self) -> int | None:
        """Along the axis of the acquired slices, where the axial view's centre is."""
        opened = self._opened
        if opened is None or opened.exam is None:
            return None
        to_ras = self.views.view(AXIAL).get_view_node().GetSliceToRAS()
        try:
            voxel = voxel_at([to_ras.GetElement(row, 3) for row in range(3)], self.scene.output)
        except CEKWorldError:  # the view looks past the volume
            return None
        return voxel[slice_axis(opened.exam.pre)]

    def _connect(self, report: Callable[[Status], None]) -> WorkerClient:
        settings = Settings(model=self.settings.model, temporary=self.settings.temporary)
        return WorkerClient(AsyncioTransport, settings, report)

    def _samples(self) -> SampleFrames | None:
        return self.synthesis.frames

    def _series(self) -> tuple[TimeSeries, Provenance | None]:
        if self.page.get("live"):  # the scene holds the pre-contrast volume alone
            raise CEKWorldError("The phases are still being made; download them once the synthesis is finished.")
        return self.scene.series(), self._provenance


def _early(times_s: Sequence[float]) -> float:
    return min(times_s, key=lambda t: abs(t - _EARLY_S))
