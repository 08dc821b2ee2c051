"""The section Input: volume or series, model, device."""

from __future__ import annotations

from dataclasses import replace
from operator import itemgetter
from typing import Any

import qt
from slicer.i18n import tr as _

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.gui.application import Application
from CEKWorldLib.gui.connections import Connections
from CEKWorldLib.gui.gpu_query import GpuQuery
from CEKWorldLib.gui.input_nodes import is_series, series_of, source_file
from CEKWorldLib.gui.machine_state import Gpu, computer_memory, device_text
from CEKWorldLib.gui.model_library import ModelLibrary
from CEKWorldLib.gui.parameters import Parameters
from CEKWorldLib.gui.showing_errors import errors_shown
from CEKWorldLib.gui.signals import Signal
from CEKWorldLib.gui.widgets import quiet, say
from CEKWorldLib.scene.acquired_series import series_of_volumes
from CEKWorldLib.synthesis.times import listed_times


class InputSection:
    """What is synthesized, or shown.

    Args:
        ui: the panel's widgets.
        application: around the panel.
        library: of models.

    Attributes:
        model_chosen: emitted with the key of a model.
        series_given: emitted with the name of a series, the series, and a DICOM file of its first volume or None.
    """

    def __init__(self, ui: Any, application: Application, library: ModelLibrary) -> None:
        self.model_chosen, self.series_given = Signal(), Signal()
        self._ui = ui
        self._application = application
        self._library = library
        self._keys: list[str] = []
        self._gpus: list[Gpu] = []
        self._worker_device: str | None = None
        self._input: Any | None = None  # the latest
        self._told_of: Any | None = None  # the input when times and injection were last used
        self._parameters: Parameters | None = None
        self._gpu_query = GpuQuery(self._take_gpus)
        self._connections = Connections()
        self._connections.add(ui.modelSelector, "currentIndexChanged(int)", self._choose_model)
        self._connections.add(ui.modelCardButton, "clicked()", self.show_card)
        self._connections.add(ui.showSeriesButton, "clicked()", self.show_series)

    def set_parameters(self, parameters: Parameters | None) -> None:
        self._parameters = parameters

    def update(self) -> None:
        """Shows the models there are, and the chosen one; what a series needs, as soon as one is chosen."""
        if self._parameters is None:
            return
        self._open_for_series(self._parameters.inputNode)
        if self._told_of is not None and self._parameters.inputNode is not self._told_of:
            self.forget()
        entries = self._library.entries
        keys = [entry.key for entry in entries]
        with quiet(self._ui.modelSelector):
            if keys != self._keys:
                self._keys = keys
                self._ui.modelSelector.clear()
                for entry in entries:
                    self._ui.modelSelector.addItem(entry.title)
            # None is shown where the model of a scene is not here: choosing any of those that are is then a choice.
            is_here = self._parameters.model in keys
            self._ui.modelSelector.setCurrentIndex(keys.index(self._parameters.model) if is_here else -1)

    def ask_device(self) -> None:
        """Looks at GPU and memory again."""
        self._gpu_query.ask()

    def tell_worker_device(self, device: str | None) -> None:
        self._worker_device = device
        self.ask_device()

    def show_card(self) -> None:
        with errors_shown(self._application):
            if self._parameters is not None:
                entry = self._library.entry(self._parameters.model)
                title = _("Model card and licence of '{name}'").format(name=entry.title)
                self._application.show_text(title, self._library.card(entry.key))

    def show_series(self) -> None:
        """Reads the acquired series that is chosen, and hands it on."""
        with errors_shown(self._application):
            name, series, node = self._series()
            self._told_of = self._parameters.inputNode if self._parameters is not None else None
            self.series_given.emit(name, series, source_file(node, self._application.file_of_instance))
            say(self._ui.seriesNotesLabel, " ".join(series.notes))

    def forget(self) -> None:
        """Drops what was said of a series: it is not true of the next."""
        self._told_of = None
        for edit in (self._ui.acquiredTimesEdit, self._ui.injectionEdit):
            edit.setText("")
        say(self._ui.seriesNotesLabel, "")

    def close(self) -> None:
        self._connections.end()
        self._gpu_query.close()

    def _series(self) -> tuple[str, TimeSeries, Any]:
        """The chosen series, its name, and the node of its first volume."""
        text = self._ui.acquiredTimesEdit.text.strip()
        times = listed_times(text) if text else None
        volumes = self._checked_volumes()
        if volumes:
            if times is None:
                raise CEKWorldError(
                    _("Volumes that were loaded one by one do not tell their times; give a time for each of them.")
                )
            if self._injection() is not None:
                raise CEKWorldError(
                    _("Give times or the start of the injection, not both: times of single volumes count from it.")
                )
            if len(times) == len(volumes):  # which are listed as they were loaded
                volumes = [volume for _time, volume in sorted(zip(times, volumes, strict=True), key=itemgetter(0))]
                times = tuple(sorted(times))
            series = series_of_volumes(volumes, times)
            given = ", ".join(f"{volume.GetName()}: {t:+g} s" for volume, t in zip(volumes, times, strict=True))
            return volumes[0].GetName(), replace(series, notes=(*series.notes, given)), volumes[0]
        node = self._parameters.inputNode if self._parameters is not None else None
        if node is None or not is_series(node):
            raise CEKWorldError(_("Choose a sequence or a multi-volume, or check the volumes of the exam."))
        return node.GetName(), series_of(node, times, self._injection()), node

    def _open_for_series(self, node: Any | None) -> None:
        """Once for each choice: the user may close it again, or check volumes after all."""
        if node is not self._input and node is not None and is_series(node):
            self._ui.seriesGroupBox.collapsed = False
            for volume in self._checked_volumes():  # of the exam before, or they would be shown in its place
                self._ui.phasesSelector.setCheckState(volume, qt.Qt.Unchecked)
        self._input = node

    def _injection(self) -> float | None:
        """Seconds from the first phase to the injection, where the user says so."""
        text = self._ui.injectionEdit.text.strip()
        try:
            return float(text) if text else None
        except ValueError:
            raise CEKWorldError(
                _("'{text}' is no number of seconds; write when the injection began, such as 60.").format(text=text)
            ) from None

    def _checked_volumes(self) -> list[Any]:
        """Asked one by one: a list of nodes is nothing that PythonQt is sure to convert."""
        scene, kind = self._application.scene, "vtkMRMLScalarVolumeNode"
        nodes = [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]
        return [node for node in nodes if self._ui.phasesSelector.checkState(node) == qt.Qt.Checked]

    def _choose_model(self, index: int) -> None:
        if 0 <= index < len(self._keys):
            self.model_chosen.emit(self._keys[index])

    def _take_gpus(self, gpus: list[Gpu]) -> None:
        self._gpus = gpus
        say(self._ui.deviceStatusLabel, device_text(gpus, self._worker_device, computer_memory()))
