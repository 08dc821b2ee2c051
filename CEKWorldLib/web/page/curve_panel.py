"""The panel on the right: the curves of the regions, their classes, and how they are judged."""

from __future__ import annotations

from collections.abc import Callable

from trame.widgets import html, plotly
from trame.widgets import vuetify3 as v3
from trame_server import Server

from CEKWorldLib.web.page.part import ZERO, part, spoken

_CURSOR = "'calc(var(--plot-left) + (100% - var(--plot-left) - var(--plot-right)) * ' + ({}) + ')'"
_SHARE = "(time_s - plot_first_s) / Math.max(plot_last_s - plot_first_s, 1)"


def curve_panel(server: Server, remove: Callable[[str], None]) -> None:
    """Builds the panel.

    Args:
        server: that has the page.
        remove: removes a region by its id.
    """
    with part(server, "curves", "panel panel-right"):
        with html.Section(classes="section"):
            with html.Div(classes="row row-between"):
                html.H2("Curves")
                html.Span("SYNTHETIC", v_if="synthetic", classes="synthetic-tag")
            with html.Div(classes="plot"):
                plotly.Figure(state_variable_name="figure", display_mode_bar=("false",), responsive=True)
                with part(server, "plot_cursor", "plot-time"):
                    html.Div(
                        v_if="times_s.length > 1 && regions.length", classes="plot-cursor",
                        style=(f"{{left: {_CURSOR.format(_SHARE)}}}",),
                    )  # fmt: skip
                with html.Div(v_if="!regions.length", classes="plot-empty"):
                    html.Span("Draw a region with brush or box: its curve appears here.", v_if="times_s.length > 2")
                    html.Span("Curves appear once there are phases.", v_else=True)
        with html.Section(classes="section section-grows"):
            html.H2("Classes")
            with html.Div(
                v_for="one in regions", key="one.id", click="region = one.id",
                classes=("region === one.id ? 'region region-active' : 'region'",),
            ):  # fmt: skip
                _region(remove)
            html.P("{{ definition }}", v_if="definition", classes="definition")
            html.P(
                "The class of a synthetic curve is a statement about the model, not about the patient.",
                v_if="synthetic && regions.length", classes="definition caution",
            )  # fmt: skip


def _region(remove: Callable[[str], None]) -> None:
    with html.Div(classes="row"):
        html.I(classes="swatch", style=("{ background: one.colour }",))
        # A button, for those who have no mouse; its click is the card's as well.
        html.Button("{{ one.name }}", classes="region-name", raw_attrs=[':aria-pressed="region === one.id"'])
        html.Span("{{ one.type }}", v_if="one.type", classes="chip", style=("one.type_style",))
        html.Span("{{ one.spread }}", v_if="one.spread", classes="hint")
        v3.VSpacer()
        # Not the card's click as well, which would choose the region that has just gone.
        with v3.VBtn(
            icon=True, size="x-small", variant="text", __events=[("click_stop", "click.stop")],
            click_stop=(remove, "[one.id]"), classes="remove", raw_attrs=spoken("Remove the region"),
        ):  # fmt: skip
            v3.VIcon("mdi-close", size="14")
            v3.VTooltip("Remove the region", activator="parent", location="top")
    with html.Dl(v_if="one.type"):
        for title, value, hint in (
            ("Initial", "{{ one.initial }} {{ one.early }}", "'Initial phase and enhancement at t_e'"),
            ("Delayed", "{{ one.change }}", "'Change from t_e to t_l'"),
            ("Peak", "{{ one.peak }}", "'Largest enhancement'"),
            ("TTP", "{{ one.ttp }}", f"'Time to peak after ' + {ZERO}"),
            ("SER", "{{ one.ser }}", "'Signal enhancement ratio PE(t_e) / PE(t_l)'"),
            ("Voxels", "{{ one.voxels }}", "'Of the region'"),
        ):
            with html.Div(title=(hint,)):
                html.Dt(title)
                html.Dd(value)
    with html.Div(v_if="one.type", classes="row"):
        html.Span("worst voxels", classes="hint")
        html.Span("{{ one.worst }}", classes="chip chip-small", style=("one.worst_style",))
        with html.Div(classes="shares", title="Types of the enhancing voxels: persistent, plateau, washout"):
            html.I(v_for="(share, n) in one.shares", key="n", style=("share[0] + '; width: ' + share[1] + '%'",))
    html.Div("{{ one.notes }}", v_if="one.notes", classes="notice")
