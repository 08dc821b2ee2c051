"""The section Time: slider, playback, keys, what is shown and how."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from CEKWorldLib.gui.choices import Speed
from CEKWorldLib.gui.connections import Connections
from CEKWorldLib.gui.playback import Playback, next_phase, previous_phase
from CEKWorldLib.gui.scrubbing import Scrubber
from CEKWorldLib.gui.time_text import clock_text
from CEKWorldLib.gui.time_ticks import draw_ticks
from CEKWorldLib.gui.timers import MakeTimer
from CEKWorldLib.gui.widgets import quiet, say, set_range
from CEKWorldLib.scene.scene_session import SceneSession
from CEKWorldLib.scene.series_view import Shown


class TimeSection:
    """Slider, spin box and buttons command the scrubber; whatever moves the time, all of them follow.

    Args:
        ui: the panel's widgets.
        session: what shows the series.
        make_timer: of the application.
        becomes_exact: whether the volume of a time between phases is made once the slider rests.

    Attributes:
        scrubber: what the slider does.
        playback: what the play button does.
    """

    def __init__(
        self, ui: Any, session: SceneSession, make_timer: MakeTimer, becomes_exact: Callable[[], bool]
    ) -> None:
        self._ui = ui
        self._session = session
        self._becomes_exact = becomes_exact
        self.scrubber = Scrubber(make_timer, session.show)
        self.scrubber.shown.connect(self._tell_shown)
        self.playback = Playback(make_timer, time.monotonic, self.move)
        self.playback.toggled.connect(self._tell_playing)
        self._connections = Connections()
        add = self._connections.add
        add(ui.timeSlider, "valueChanged(double)", self._dragged)
        add(ui.timeSpinBox, "valueChanged(double)", self._dragged)
        add(ui.playButton, "clicked()", self.toggle_play)
        add(ui.previousPhaseButton, "clicked()", self.to_previous_phase)
        add(ui.nextPhaseButton, "clicked()", self.to_next_phase)
        self._shortcuts = [
            self._shortcut(keys, act)
            for keys, act in (("J", self.to_previous_phase), ("K", self.toggle_play), ("L", self.to_next_phase))
        ]
        self._commands = (
            ui.timeSlider, ui.timeSpinBox, ui.playButton, ui.previousPhaseButton, ui.nextPhaseButton,
        )  # fmt: skip
        self.clear()

    def move(self, time_s: float) -> None:
        """Goes to a time."""
        self._follow(time_s)
        self.scrubber.move(time_s)

    def open(self, first_s: float, last_s: float, time_s: float) -> None:
        """Takes a series that reaches from one time to another."""
        self.playback.range_s = (first_s, last_s)
        with quiet(self._ui.timeSlider, self._ui.timeSpinBox):
            for widget in (self._ui.timeSlider, self._ui.timeSpinBox):
                set_range(widget, first_s, last_s)
        for widget in self._commands:
            widget.setEnabled(True)
        self.show_phases()
        self.move(time_s)

    def show_phases(self) -> None:
        """Draws the marks of the phases that are ready."""
        draw_ticks(self._ui.timeTicksLabel, self._session.times_s, *self.playback.range_s)

    def clear(self) -> None:
        """There is no series."""
        self.playback.stop()
        self.scrubber.stop()
        self.playback.range_s = (0.0, 0.0)
        for widget in self._commands:
            widget.setEnabled(False)
        draw_ticks(self._ui.timeTicksLabel, (), 0.0, 0.0)
        say(self._ui.shownLabel, "")

    def set_playback(self, speed: Speed, loop: bool) -> None:
        self.playback.speed, self.playback.loop = speed.value, loop

    def toggle_play(self) -> None:
        if self.playback.is_playing:
            self.playback.stop()
        else:
            self.playback.play(self.scrubber.time_s)
        self._tell_playing(self.playback.is_playing)

    def to_previous_phase(self) -> None:
        self._jump(previous_phase)

    def to_next_phase(self) -> None:
        self._jump(next_phase)

    def close(self) -> None:
        self.clear()
        self._connections.end()

    def _jump(self, phase: Callable) -> None:
        if self._session.is_open:
            self.playback.stop()
            self.move(phase(self._session.times_s, self.scrubber.time_s))

    def _dragged(self, time_s: float) -> None:
        """The user moved slider or spin box, which ends the playback."""
        self.playback.stop()
        self.move(time_s)

    def _follow(self, time_s: float) -> None:
        with quiet(self._ui.timeSlider, self._ui.timeSpinBox):
            self._ui.timeSlider.setValue(time_s)
            self._ui.timeSpinBox.setValue(time_s)
        self._ui.timeLabel.setText(clock_text(time_s))

    def _tell_shown(self, shown: Shown) -> None:
        if shown.exact:
            how = _("exact")
        elif shown.partial:
            how = _("slices that are not synthesized yet show the source")
        elif self._becomes_exact():
            how = _("preview between phases; exact when the slider rests")
        else:
            how = _("interpolated between two phases")
        say(self._ui.shownLabel, f"{shown.caption.partition(' (')[0]}, {how}")

    def _tell_playing(self, is_playing: bool) -> None:
        self._ui.playButton.setChecked(is_playing)

    def _shortcut(self, keys: str, act: Callable[[], None]) -> Any:
        """A key that works while the focus is in this section; text fields keep their own keys."""
        shortcut = qt.QShortcut(qt.QKeySequence(keys), self._ui.timeCollapsibleButton)
        shortcut.setContext(qt.Qt.WidgetWithChildrenShortcut)
        self._connections.add(shortcut, "activated()", act)
        return shortcut
