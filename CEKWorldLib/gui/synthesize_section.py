"""The section Synthesize: times, seed, samples, Apply, progress."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.image_series import SYNTHETIC_KEY
from CEKWorldLib.exam.protocol import Injection
from CEKWorldLib.gui.application import Application
from CEKWorldLib.gui.choices import Preset
from CEKWorldLib.gui.connections import Connections
from CEKWorldLib.gui.input_nodes import (
    acquisition_of_node,
    is_own,
    is_series,
    pre_contrast,
    shown_slice,
    source_file,
    unchanged,
)
from CEKWorldLib.gui.parameters import Parameters, key_times
from CEKWorldLib.gui.requirements import ensure_worker
from CEKWorldLib.gui.showing_errors import errors_shown
from CEKWorldLib.gui.synthesis_run import Request, Step, SynthesisRun
from CEKWorldLib.gui.time_text import clock_text, list_text
from CEKWorldLib.gui.widgets import say
from CEKWorldLib.gui.worker_holder import WorkerHolder
from CEKWorldLib.worker.messages import Progress


class SynthesizeSection:
    """Starts a run and shows how far it is. Apply is Cancel while one is under way.

    Args:
        ui: the panel's widgets.
        application: around the panel.
        run: what is started.
        workers: what it runs on.
    """

    def __init__(self, ui: Any, application: Application, run: SynthesisRun, workers: WorkerHolder) -> None:
        self._ui = ui
        self._application = application
        self._run = run
        self._workers = workers
        self._parameters: Parameters | None = None
        self._remark = ""
        run.changed.connect(lambda _step: self.update())
        run.progressed.connect(self._tell_progress)
        run.noticed.connect(self._remember)
        run.failed.connect(self._remember)
        self._connections = Connections()
        self._connections.add(ui.applyButton, "clicked()", self.apply_or_cancel)

    def set_parameters(self, parameters: Parameters | None) -> None:
        self._parameters = parameters

    def update(self) -> None:
        """Shows what can be done now, and the times that the preset means."""
        ui, step = self._ui, self._run.step
        ui.applyButton.setText(_("Cancel") if self._run.is_running else _("Apply"))
        ui.applyButton.setEnabled(self._run.is_running or self._obstacle() == "")
        ui.applyButton.setToolTip(self._obstacle() or _("Synthesize the series. While it runs, this button cancels."))
        ui.progressBar.setVisible(self._run.is_running)
        if step is Step.IDLE:
            say(ui.progressLabel, self._remark)
        elif step not in (Step.SYNTHESIZING, Step.SAMPLING):
            ui.progressBar.setRange(0, 0)  # busy
            say(ui.progressLabel, {
                Step.OPENING: _("Loading the model"),
                Step.PREPARING: _("Preparing the exam"),
                Step.READING: _("Reading the phases"),
            }[step])  # fmt: skip
        if self._parameters is not None:
            is_list = self._parameters.preset is Preset.LIST
            for widget in (ui.timesLabel, ui.timesEdit):
                widget.setVisible(is_list)
            if not is_list:
                ui.presetSelector.setToolTip(_("Seconds: {times}").format(times=list_text(key_times(self._parameters))))

    def apply_or_cancel(self) -> None:
        if self._run.is_running:
            self._run.cancel()
            return
        with errors_shown(self._application):
            self.apply()

    def apply(self) -> None:
        """Begins a synthesis with the present choices.

        Raises:
            CEKWorldError: something is missing or wrong; nothing was begun.
        """
        parameters = self._parameters
        node = parameters.inputNode if parameters is not None else None
        if parameters is None or node is None or self._obstacle():
            raise CEKWorldError(self._obstacle())
        request = Request(
            name=node.GetName(),
            volume=pre_contrast(node),
            times_s=key_times(parameters),
            injection=Injection(arrival_s=parameters.arrival),
            anatomy=parameters.preset.anatomy,
            acquisition=acquisition_of_node(node, self._application.file_of_instance),
            seed=parameters.seed,
            samples=parameters.samples,
            first_slice=shown_slice(self._application.scene, node),
            source=source_file(node, self._application.file_of_instance),
            is_current=unchanged(node),
        )
        ensure_worker(self._application.confirm)
        self._remark = ""
        self._run.start(self._workers.client_for(parameters.model, parameters.device.value), request)

    def forget(self) -> None:
        """The scene is being closed."""
        self._remark = ""
        self.update()

    def close(self) -> None:
        self._connections.end()

    def _obstacle(self) -> str:
        """Why nothing can be synthesized now; empty where it can."""
        node = self._parameters.inputNode if self._parameters is not None else None
        if node is None:
            return _("Choose a pre-contrast volume first.")
        if is_own(node):
            return _("This is what the panel itself shows; choose the volume it was made from.")
        if is_series(node):
            return _("Enhancement is synthesized from a single pre-contrast volume; this is a series.")
        if node.GetAttribute(SYNTHETIC_KEY) == "1":
            return _("This volume is synthesized itself; choose the acquired pre-contrast volume.")
        return ""

    def _tell_progress(self, progress: Progress) -> None:
        bar = self._ui.progressBar
        bar.setRange(0, progress.total)
        bar.setValue(progress.done)
        text = _("{done} of {total} slices, {left} left").format(
            done=progress.done, total=progress.total, left=clock_text(progress.remaining_s)
        )
        if self._run.step is Step.SAMPLING:
            text = _("Further samples: {progress}").format(progress=text)
        say(self._ui.progressLabel, text)

    def _remember(self, sentence: str) -> None:
        """Keeps sentences below the button; warnings stay when the run has ended well."""
        self._remark = " ".join(filter(None, (self._remark, sentence)))
        say(self._ui.progressLabel, self._remark)
