"""What the page shows, as values the browser and this process share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from trame_server import Server


@dataclass
class PageState:
    """The values with their beginnings; the page's templates use them by these names.

    Attributes:
        title: name of what is open, empty where nothing is.
        synthetic: whether a model made what is shown.
        can_synthesize: whether the open volume is a pre-contrast one.
        notices: sentences about the open exam.
        error: what went wrong last, for the user.
        opening: what is being opened, empty where nothing is.
        series_of, series_choices: a folder with several series, and these, where the user is asked for one.
        upload_percent: of files on their way here; negative where there are none.
        time_s, first_s, last_s: of the slider.
        times_s: prepared times, the slider's ticks.
        from_injection: whether times count from the start of the injection, else from the first phase.
        exact: whether the image that was made last is of a prepared time.
        playing, loop, speed: of the playback; seconds of the series per second.
        subtracted, projected: whether the pre-contrast volume is taken off, and whether views project.
        overlay: ``none``, ``types`` or ``uncertainty``.
        overlay_busy: whether a map is being computed.
        spread_percent: enhancement in the strongest colour of the uncertainty.
        window, level: of the grey values.
        grey_range: lowest and highest grey value, the bounds of window and level.
        layout: of the views.
        tool: ``none``, ``brush``, ``erase`` or ``box``.
        brush_mm: diameter.
        region: id of the region that is drawn on.
        regions: rows of the class table.
        definition: how curves are judged, in a sentence.
        figure: the plot of the curves, as Plotly takes it.
        plot_first_s, plot_last_s: bounds of the plot's time axis.
        preset, times_text: which times are synthesized.
        arrival_s, seed, samples: of the synthesis.
        busy: whether it runs.
        live: whether what it has so far is shown, and not all of it yet.
        progress_percent, progress_text: how far it is.
        worker: how the model's process is, where the user should know.
        model: the model and where it runs.
        samples_ready: how many samples are there.
        exporting: what is being written, empty where nothing is.
    """

    title: str = ""
    synthetic: bool = False
    can_synthesize: bool = False
    notices: list[str] = field(default_factory=list)
    error: str = ""
    opening: str = ""
    series_of: str = ""
    series_choices: list[dict[str, str]] = field(default_factory=list)
    upload_percent: float = -1.0
    time_s: float = 0.0
    first_s: float = 0.0
    last_s: float = 480.0
    times_s: list[float] = field(default_factory=list)
    from_injection: bool = True
    exact: bool = True
    playing: bool = False
    loop: bool = True
    speed: float = 20.0
    subtracted: bool = False
    projected: bool = False
    overlay: str = "none"
    overlay_busy: bool = False
    spread_percent: float = 0.0
    window: float = 1.0
    level: float = 0.5
    grey_range: list[float] = field(default_factory=lambda: [0.0, 1.0])
    layout: str = "three"
    tool: str = "none"
    brush_mm: float = 8.0
    region: str = ""
    regions: list[dict[str, Any]] = field(default_factory=list)
    definition: str = ""
    figure: dict[str, Any] = field(default_factory=lambda: {"data": [], "layout": {}})
    plot_first_s: float = 0.0
    plot_last_s: float = 480.0
    preset: str = "breast"
    times_text: str = "0:360:30"
    arrival_s: float = 20.0
    seed: int = 0
    samples: int = 1
    busy: bool = False
    live: bool = False
    progress_percent: float = 0.0
    progress_text: str = ""
    worker: str = ""
    model: str = ""
    samples_ready: int = 0
    exporting: str = ""


class Page:
    """The shared values of one trame server.

    Args:
        server: of one browser session.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self._names = {one.name for one in fields(PageState)}
        self.set(**asdict(PageState()))
        server.state.client_only("time_s")  # the page tells it another way

    def set(self, **values: Any) -> None:
        """Changes values here and in the browser.

        Raises:
            KeyError: a value the page does not have.
        """
        if unknown := values.keys() - self._names:
            raise KeyError(f"the page has no {', '.join(sorted(unknown))}")
        with self.server.state as state:
            state.update(values)

    def take(self, name: str, value: Any) -> None:
        """Takes over a value from the browser that did not come by trame, which does not tell it back."""
        self.server.state[name] = value
        self.server.state.clean(name)
        self.server.clear_state_client_cache(name)

    def get(self, name: str) -> Any:
        """A value as the browser or this process has set it last."""
        if name not in self._names:
            raise KeyError(f"the page has no {name}")
        return self.server.state[name]

    def on_change(self, name: str, call: Callable[[Any], None]) -> None:
        """Calls with the new value whenever one changes."""

        @self.server.state.change(name)
        def changed(**values: Any) -> None:
            call(values[name])

    def fail(self, error: Exception) -> None:
        """Shows what went wrong."""
        self.set(error=str(error))
