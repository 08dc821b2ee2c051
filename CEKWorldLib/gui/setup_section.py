"""The section Setup: packages, weights, worker."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from CEKWorldLib.gui.application import Application
from CEKWorldLib.gui.connections import Connections
from CEKWorldLib.gui.machine_state import size_text
from CEKWorldLib.gui.model_library import ModelLibrary
from CEKWorldLib.gui.parameters import Parameters
from CEKWorldLib.gui.requirements import EVERYTHING, ensure, ensure_torch, installed_version, missing
from CEKWorldLib.gui.showing_errors import errors_shown
from CEKWorldLib.gui.signals import Signal
from CEKWorldLib.gui.widgets import say
from CEKWorldLib.gui.worker_holder import WorkerHolder
from CEKWorldLib.worker.interface import Status

_OWN_MODELS = "ownModels"  # setting: folders, one per line


class SetupSection:
    """What is installed, where the weights are, how the worker is. Nothing is installed or deleted without asking.

    Args:
        ui: the panel's widgets.
        application: around the panel.
        library: of models.
        workers: of the panel.

    Attributes:
        models_changed: emitted when a model was added or deleted, with the key of one to choose.
    """

    def __init__(self, ui: Any, application: Application, library: ModelLibrary, workers: WorkerHolder) -> None:
        self.models_changed = Signal()
        self._ui = ui
        self._application = application
        self._library = library
        self._workers = workers
        self._parameters: Parameters | None = None
        workers.status_changed.connect(self._tell_worker)
        self._connections = Connections()
        add = self._connections.add
        add(ui.installTorchButton, "clicked()", self.install_torch)
        add(ui.installPackagesButton, "clicked()", self.install_packages)
        add(ui.verifyModelButton, "clicked()", self.verify_model)
        add(ui.addModelButton, "clicked()", self.add_model)
        add(ui.deleteModelButton, "clicked()", self.delete_model)
        add(ui.restartWorkerButton, "clicked()", workers.restart)
        add(ui.releaseWorkerButton, "clicked()", workers.release)
        ui.workerStatusLabel.setText(_("not started"))

    def set_parameters(self, parameters: Parameters | None) -> None:
        self._parameters = parameters

    def update(self) -> None:
        """Shows the model that is chosen."""
        if self._parameters is None:
            return
        entry = next((entry for entry in self._library.entries if entry.key == self._parameters.model), None)
        if entry is None:
            self._ui.weightsStatusLabel.setText(_("The model is gone; choose another."))
        else:
            self._ui.weightsStatusLabel.setText(f"{entry.folder}, {size_text(entry.bytes)}")
        self._ui.verifyModelButton.setEnabled(entry is not None)
        self._ui.deleteModelButton.setEnabled(entry is not None and not entry.shipped)

    def look_at_packages(self) -> None:
        """Shows what is installed."""
        torch = installed_version("torch")
        self._ui.torchStatusLabel.setText(torch or _("not installed"))
        self._ui.installTorchButton.setEnabled(torch is None)
        lacking = missing(EVERYTHING)
        self._ui.packagesStatusLabel.setText(
            _("missing: {names}").format(names=", ".join(lacking)) if lacking else _("all installed")
        )
        self._ui.installPackagesButton.setEnabled(bool(lacking))

    def install_torch(self) -> None:
        with errors_shown(self._application):
            ensure_torch(self._application.confirm)
        self.look_at_packages()

    def install_packages(self) -> None:
        with errors_shown(self._application):
            ensure(EVERYTHING, self._application.confirm)
        self.look_at_packages()

    def verify_model(self) -> None:
        with errors_shown(self._application):
            digest = self._library.check(self._key)
            text = _("All files are whole; sha256 of the weights: {digest}").format(digest=digest)
            say(self._ui.weightsStatusLabel, text)

    def add_model(self) -> None:
        """Takes a model folder of the user's."""
        with errors_shown(self._application):
            folder = self._application.choose_folder(_("Choose a model folder (it holds manifest.json)"))
            if folder is not None:
                self._changed(self._library.add(folder).key)

    def delete_model(self) -> None:
        with errors_shown(self._application):
            folder = self._library.entry(self._key).folder
            question = _("Delete the model in {folder} from the disk?").format(folder=folder)
            if self._application.confirm(question):
                self._workers.release()  # it may have the weights open
                self._library.delete(self._key)
                self._changed(self._library.entries[0].key)

    def close(self) -> None:
        self._connections.end()

    @property
    def _key(self) -> str:
        return self._parameters.model if self._parameters is not None else ""

    def _changed(self, key: str) -> None:
        self._application.keep_setting(_OWN_MODELS, "\n".join(self._library.own))
        self.models_changed.emit(key)

    def _tell_worker(self, status: Status) -> None:
        states = {
            "starting": _("starting"),
            "ready": _("ready"),
            "restarting": _("starting again"),
            "failed": _("failed"),
            "closed": _("not started"),
        }
        self._ui.workerStatusLabel.setText(". ".join(filter(None, (states[status.state], status.message))))
        is_there = status.state in ("starting", "ready", "restarting")
        self._ui.restartWorkerButton.setEnabled(is_there)
        self._ui.releaseWorkerButton.setEnabled(is_there)


def own_models(application: Application) -> list[str]:
    """The user's model folders, as the sessions before kept them."""
    return [line for line in application.setting(_OWN_MODELS, "").splitlines() if line]
