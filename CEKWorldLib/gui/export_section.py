"""The section Export: the DICOM database, a sequence, the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from slicer.i18n import tr as _

from CEKWorldLib.exam.time_series import MODEL_FACTS, TimeSeries
from CEKWorldLib.gui.application import Application
from CEKWorldLib.gui.connections import Connections
from CEKWorldLib.gui.curve_measuring import CurveMeter
from CEKWorldLib.gui.exporting import DicomExport, write_dicom, write_page
from CEKWorldLib.gui.parameters import Parameters
from CEKWorldLib.gui.requirements import DICOM_EXPORT, REPORT, ensure
from CEKWorldLib.gui.showing_errors import errors_shown
from CEKWorldLib.gui.synthesis_run import SynthesisRun
from CEKWorldLib.gui.widgets import say
from CEKWorldLib.scene.scene_session import SceneSession


class ExportSection:
    """Writes what is there.

    Args:
        ui: the panel's widgets.
        application: around the panel.
        session: what holds the series.
        run: what made it.
        meter: what was measured on it.
    """

    def __init__(
        self, ui: Any, application: Application, session: SceneSession, run: SynthesisRun, meter: CurveMeter
    ) -> None:
        self._ui = ui
        self._application = application
        self._session = session
        self._run = run
        self._meter = meter
        self._parameters: Parameters | None = None
        self._source: Path | None = None
        self._connections = Connections()
        self._connections.add(ui.exportDicomButton, "clicked()", self.export_dicom)
        self._connections.add(ui.sequenceButton, "clicked()", self.make_sequence)
        self._connections.add(ui.reportButton, "clicked()", self.save_report)
        say(ui.exportStatusLabel, "")

    def set_parameters(self, parameters: Parameters | None) -> None:
        self._parameters = parameters

    def open(self, source: Path | None) -> None:
        """Takes a new series, made from the volume of a DICOM file; None for one of other origin."""
        self._source = source

    def update(self) -> None:
        is_ready = self._session.is_open and self._session.has_phases and not self._run.is_running
        for button in (self._ui.exportDicomButton, self._ui.sequenceButton, self._ui.reportButton):
            button.setEnabled(is_ready)

    def export_dicom(self) -> None:
        """Writes DICOM objects into a temporary folder and imports them into the database."""
        parameters = self._parameters
        if parameters is None:
            return
        with errors_shown(self._application):
            ensure(DICOM_EXPORT, self._application.confirm)
            series = self._series()
            export = DicomExport(
                series=series,
                source=self._source,
                phases=parameters.exportPhases and series.synthetic,
                results=self._meter.results if parameters.exportResults else (),
                with_maps=parameters.exportMaps,
                settings=self._session.settings,
            )
            busy = self._application.busy(_("Exporting"))
            try:
                with TemporaryDirectory(prefix="cekworld-dicom-") as folder:
                    written = write_dicom(export, Path(folder), busy.report)
                    for new in written:
                        self._application.import_dicom(new)
                    files = sum(1 for new in written for path in new.rglob("*.dcm") if path.is_file())
            finally:
                busy.close()
            say(self._ui.exportStatusLabel, _("{files} DICOM files were imported.").format(files=files))

    def make_sequence(self) -> None:
        """Puts the phases into a sequence node."""
        with errors_shown(self._application):
            sequence, _browser = self._session.publish()
            text = _("'{name}' holds {count} phases; File > Save writes it as .seq.nrrd.").format(
                name=sequence.GetName(), count=sequence.GetNumberOfDataNodes()
            )
            say(self._ui.exportStatusLabel, text)

    def save_report(self) -> None:
        with errors_shown(self._application):
            ensure(REPORT, self._application.confirm)
            chosen = self._application.choose_file_to_save(_("Save report"), "report.html", _("Page (*.html)"))
            if chosen is not None:
                write_page(chosen, self._series(), self._meter.results)
                say(self._ui.exportStatusLabel, _("Written: {name}").format(name=chosen.name))

    def forget(self) -> None:
        """The scene is being closed."""
        self._source = None
        say(self._ui.exportStatusLabel, "")
        self.update()

    def _series(self) -> TimeSeries:
        """The phases, with what the worker says of the model that made them."""
        series, facts = self._session.series(), self._run.metadata
        if not facts:
            return series  # acquired, or it says itself what made it
        return replace(series, made_by={name: str(facts[name]) for name in MODEL_FACTS if facts.get(name) is not None})

    def close(self) -> None:
        self._connections.end()
