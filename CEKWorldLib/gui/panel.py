"""The panel: its sections, and how one thing leads to another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.gui.application import Application
from CEKWorldLib.gui.choices import OverlayChoice
from CEKWorldLib.gui.curve_measuring import CurveMeter
from CEKWorldLib.gui.curves_section import CurvesSection
from CEKWorldLib.gui.drawing_turns import DrawingTurns
from CEKWorldLib.gui.export_section import ExportSection
from CEKWorldLib.gui.input_section import InputSection
from CEKWorldLib.gui.model_library import ModelLibrary
from CEKWorldLib.gui.overlays import show_overlay
from CEKWorldLib.gui.parameters import Parameters, curve_settings
from CEKWorldLib.gui.setup_section import SetupSection, own_models
from CEKWorldLib.gui.showing_errors import errors_shown
from CEKWorldLib.gui.synthesis_run import SynthesisRun
from CEKWorldLib.gui.synthesize_section import SynthesizeSection
from CEKWorldLib.gui.time_section import TimeSection
from CEKWorldLib.gui.timers import MakeTimer
from CEKWorldLib.gui.worker_holder import EndableTransport, WorkerHolder
from CEKWorldLib.kinetics.settings import Settings
from CEKWorldLib.scene.scene_session import SceneSession
from CEKWorldLib.worker.interface import Status

_FIRST_LOOK_S = 70.0  # after arrival: tissue enhances, and most lesions are near their peak
_EXIT_MS = 2000  # for the worker, when Slicer quits
_SETTLED_MS = 500  # of a definition that is being changed, before the overlay is computed anew


class Panel:
    """Everything behind the widgets of the module.

    Args:
        ui: the widgets of ``CEKWorld.ui``.
        application: around the panel.
        connect: makes a worker's transport.
        make_timer: makes a timer.

    Attributes:
        session: the series in the scene.
        run: the synthesis.
        meter: the curves.
        time: slider and playback.
    """

    def __init__(
        self, ui: Any, application: Application, connect: Callable[[], EndableTransport], make_timer: MakeTimer
    ) -> None:
        self._application = application
        self._parameters: Parameters | None = None
        self._overlay = OverlayChoice.NONE
        self._overlay_settings = Settings()
        self._overlay_soon = make_timer(self._redo_overlay)
        self._arrival_s: float | None = None
        self._is_entered = True
        self._drawing = DrawingTurns(application.views, make_timer)
        self.session = SceneSession(application.scene, self._scene_closed, changing=self._drawing.change)
        self.workers = WorkerHolder(connect)
        self.time = TimeSection(ui, self.session, make_timer, lambda: self.run.can_glance)
        self.run = SynthesisRun(self.session, make_timer, lambda: self.time.scrubber.time_s)
        self.meter = CurveMeter(self.session, make_timer, lambda: self.run.store)
        library = ModelLibrary(own_models(application))
        self.input = InputSection(ui, application, library)
        self.synthesize = SynthesizeSection(ui, application, self.run, self.workers)
        self.curves = CurvesSection(ui, application, self.session, self.meter)
        self.export = ExportSection(ui, application, self.session, self.run, self.meter)
        self.setup = SetupSection(ui, application, library, self.workers)
        self._sections = (self.input, self.synthesize, self.curves, self.export, self.setup)
        self._lead()

    def set_parameters(self, parameters: Parameters | None) -> None:
        """Takes the choices of a scene; None while there is none."""
        self._parameters = parameters
        for section in self._sections:
            section.set_parameters(parameters)
        self.update()

    def update(self) -> None:
        """Follows the choices."""
        parameters = self._parameters
        if parameters is None:
            return
        self.time.set_playback(parameters.speed, parameters.loop)
        self.session.settings = curve_settings(parameters, self._arrival_s)
        for section in self._sections:
            section.update()
        if self._is_entered and self.session.is_open and self.session.has_phases:
            self._show_as_chosen(parameters)

    def enter(self) -> None:
        """The module is opened: its series comes back into the views."""
        self._is_entered = True
        self._caption_views()
        self._application.follow_layout(self._caption_views)
        self.setup.look_at_packages()
        self.input.ask_device()
        self.curves.enter()
        if self.session.is_open:
            self.session.show_in_views()
            self.time.scrubber.refresh()
            if self._overlay is not OverlayChoice.NONE and not self.session.overlay.show_again():
                self._forget_overlay()
            self.update()

    def exit(self) -> None:
        """Another module is opened: the views are given back as they were found."""
        self._is_entered = False
        self.time.playback.stop()
        self.curves.exit()
        self.session.layers.restore()
        self._application.follow_layout(None)
        self.session.caption.clear()
        self._application.restore_layout()
        self._overlay_soon.stop()

    def close(self) -> None:
        """The module is unloaded, or loaded anew."""
        self.exit()
        self.run.forget()
        self.meter.stop()
        for section in (*self._sections, self.time):
            section.close()
        self.workers.close(_EXIT_MS)
        self.session.close()
        self._drawing.close()

    def show_series(self, name: str, series: TimeSeries, source: Path | None) -> None:
        """Shows a series that is there already.

        Args:
            name: of the exam.
            series: its phases.
            source: a DICOM file of its first phase's series; None where it was not DICOM.
        """
        self.run.forget()
        self.run.metadata = {}
        self._arrival_s = None
        self.session.open_series(name, series)
        self.session.show_in_views()
        self.curves.follow_mouse()
        self.export.open(source)
        self.time.open(float(series.times_s[0]), float(series.times_s[-1]), float(series.times_s[0]))
        self._measure_anew()

    def _lead(self) -> None:
        """What leads to what."""
        self.input.series_given.connect(self.show_series)
        self.input.model_chosen.connect(self._choose_model)
        self.setup.models_changed.connect(self._choose_model)
        self.workers.status_changed.connect(self._follow_worker)
        self.run.changed.connect(lambda _step: self.export.update())
        self.run.changed.connect(lambda _step: self._follow_samples())
        self.run.opened.connect(self._exam_opened)
        self.run.glanced.connect(self.time.scrubber.refresh)
        self.run.collected.connect(self._phases_collected)
        self.time.scrubber.rested.connect(self.run.glance)

    def _exam_opened(self) -> None:
        request = self.run.request
        assert request is not None
        self._arrival_s = request.injection.arrival_s
        self._forget_overlay()
        self.meter.clear()
        if self._is_entered:  # else when the module is opened again
            self.session.show_in_views()
            self.curves.follow_mouse()
        self.export.open(request.source)
        last = max(request.times_s)
        self.time.open(0.0, last, min(self._arrival_s + _FIRST_LOOK_S, last))
        self.update()

    def _phases_collected(self) -> None:
        self.time.show_phases()
        self.time.scrubber.settle()
        self._measure_anew()

    def _measure_anew(self) -> None:
        """The series is another: what is shown of it and measured on it is done again."""
        self._forget_overlay()
        self.update()
        self.meter.measure()

    def _follow_samples(self) -> None:
        """Curves get their spread as soon as all samples are there, and the overlay can show it."""
        if self.run.store is not None:
            self.meter.measure()
            self.update()

    def _follow_worker(self, status: Status) -> None:
        device = None
        client = self.workers.client
        if status.state == "ready" and client is not None and client.opened.done():
            device = client.opened.result().device
        self.input.tell_worker_device(device)
        if status.message:
            self._application.show_status(status.message)

    def _choose_model(self, key: str) -> None:
        if self._parameters is not None:
            self._parameters.model = key
        self.update()

    def _show_as_chosen(self, parameters: Parameters) -> None:
        """Subtraction, projection and overlay."""
        if self.session.subtracted != parameters.subtraction:
            self.session.subtracted = parameters.subtraction
            self.time.scrubber.refresh()
        if parameters.projection:
            grid = self.session.grid
            self.session.layers.project(max(n * s for n, s in zip(grid.shape[::-1], grid.spacing, strict=True)))
        else:
            self.session.layers.stop_projecting()
        if parameters.overlay is not self._overlay:
            if parameters.overlay is not OverlayChoice.UNCERTAINTY or not self.run.is_running:  # samples are to come
                self._show_overlay(parameters)
        elif self._overlay is OverlayChoice.CURVE_TYPES and self.session.settings != self._overlay_settings:
            self._overlay_soon.start(_SETTLED_MS)  # no dialog while a spin box is held

    def _redo_overlay(self) -> None:
        if self._parameters is not None and self.session.is_open and self._overlay is self._parameters.overlay:
            self._show_overlay(self._parameters)

    def _show_overlay(self, parameters: Parameters) -> None:
        wanted, self._overlay = parameters.overlay, parameters.overlay
        self._overlay_settings = self.session.settings
        self._overlay_soon.stop()
        busy = self._application.busy(_("Computing the overlay"))
        try:
            with errors_shown(self._application):
                try:
                    show_overlay(self.session, wanted, self.run.store, busy.report)
                except CEKWorldError:
                    self._overlay = parameters.overlay = OverlayChoice.NONE
                    self.session.overlay.hide()
                    raise
        finally:
            busy.close()

    def _caption_views(self) -> None:
        """All there are, those that the present layout has made included."""
        for renderer in self._application.slice_renderers():
            self.session.caption.add(renderer)

    def _scene_closed(self) -> None:
        self.run.forget()
        self.meter.stop()
        for section in (self.input, self.synthesize, self.curves, self.export):
            section.forget()
        self.time.clear()
        self._arrival_s = None
        self._forget_overlay()

    def _forget_overlay(self) -> None:
        """The map shown is of no use any more; where one is chosen it is made anew."""
        self._overlay = OverlayChoice.NONE
        self._overlay_soon.stop()
        if self._is_entered and self.session.is_open:
            self.session.overlay.hide()
