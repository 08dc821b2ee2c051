"""The page as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trame.ui.vuetify3 import VAppLayout
from trame.widgets import html
from trame.widgets import vuetify3 as v3

from CEKWorldLib.web.curve_figure import LEFT, RIGHT
from CEKWorldLib.web.page.curve_panel import curve_panel
from CEKWorldLib.web.page.side_panel import (
    display_section,
    exam_section,
    export_section,
    region_section,
    synthesis_section,
)
from CEKWorldLib.web.page.time_bar import time_bar

if TYPE_CHECKING:
    from CEKWorldLib.web.viewer import Viewer

_STATIC = Path(__file__).parents[1] / "static"
_MODULE = {
    "serve": {"__cekworld": str(_STATIC)},
    "scripts": ["__cekworld/pictures.js", "__cekworld/viewer.js"],
    "styles": ["__cekworld/viewer.css"],
}
# An acquired series must not pass for a synthetic one.
_BANNER = (
    "Research use only · {{ title && !synthetic ? '' : 'synthetic images from a model trained on simulated exams · ' }}"
    "not for diagnosis"
)
# In place of the page while trame has no connection; ``viewer.js`` waits for one.
_LOST = """<div class="lost">The connection to the viewer is lost. This page goes on by itself once it is back; if the
viewer was stopped, start it again.</div>"""


def build_page(viewer: Viewer) -> VAppLayout:
    """Builds the page of a viewer."""
    server = viewer.server
    server.enable_module(_MODULE)
    server.state.trame__title = "CEKWorld"
    server.state.trame__template_error = _LOST
    plot = f"--plot-left: {LEFT}px; --plot-right: {RIGHT}px"
    with VAppLayout(server, theme="dark") as layout, html.Div(classes="viewer", style=plot):
        _head()
        with html.Div(classes="viewer-body"):
            with html.Aside(classes="panel"):
                exam_section(viewer.choice.answer)
                synthesis_section(viewer.synthesize, viewer.synthesis.cancel)
                display_section(server, viewer.views.fit)
                region_section(viewer.regions.new_segment, viewer.regions.undo)
                export_section(viewer.downloads.cancel)
            with html.Main(classes="stage"):
                with html.Div(classes="views"):
                    viewer.views.place(layout)
                time_bar(server)
            curve_panel(server, viewer.regions.remove)
        with v3.VSnackbar(
            model_value=("error !== ''",), timeout="-1", color="#5b2126", location="bottom", classes="error-message"
        ):
            html.Span("{{ error }}")
            with v3.Template(v_slot_actions=True):
                v3.VBtn("Close", variant="text", click="error = ''")
    return layout


def _head() -> None:
    with html.Header(classes="head"):
        with html.Span(classes="brand"):
            html.B("CEK")
            html.Span("World")
        html.Span("{{ title }}", classes="exam-title")
        v3.VSpacer()
        with html.Span(classes="banner"):
            v3.VIcon("mdi-alert-outline", size="14", classes="mr-1")
            html.Span(_BANNER)
        v3.VSpacer()
        html.Span("{{ worker || model }}", classes="model")
