"""The bar below the views: playback, the time slider with its prepared times, and what is shown."""

from __future__ import annotations

from trame.widgets import html
from trame.widgets import vuetify3 as v3
from trame_server import Server

from CEKWorldLib.web.page.part import ZERO, icon_button, part, spoken

_CLOCK = (
    "(time_s < 0 ? '-' : '') + String(Math.floor(Math.abs(time_s) / 60)).padStart(2, '0') + ':' + "
    "String(Math.floor(Math.abs(time_s) % 60)).padStart(2, '0')"
)
_NEXT = "playing = false; time_s = times_s.find((t) => t > time_s + 0.001) ?? time_s"
_PREVIOUS = "playing = false; time_s = times_s.findLast((t) => t < time_s - 0.001) ?? time_s"
_SHARE = "(({}) - first_s) / Math.max(last_s - first_s, 1)"
# The knob's centre stays half its width away from both ends of the track.
_LEFT = "'calc(var(--knob) / 2 + (100% - var(--knob)) * ' + ({}) + ')'"


def time_bar(server: Server) -> None:
    """Builds the bar; ``viewer.js`` plays."""
    with html.Div(classes="time-bar"):
        with html.Div(classes="time-buttons"):
            icon_button("mdi-skip-previous", "Previous phase (Shift+←)", classes="previous-phase", click=_PREVIOUS)
            with v3.VBtn(
                icon=True, size="small", variant="tonal", color="primary", click="playing = !playing",
                disabled=("times_s.length < 2",), classes="play", raw_attrs=spoken("Play or pause"),
            ):  # fmt: skip
                v3.VIcon(icon=("playing ? 'mdi-pause' : 'mdi-play'",))
                v3.VTooltip("Play or pause (Space)", activator="parent", location="top")
            icon_button("mdi-skip-next", "Next phase (Shift+→)", classes="next-phase", click=_NEXT)
            icon_button(
                "mdi-repeat", "Loop", classes="loop", click="loop = !loop", color=("loop ? 'primary' : undefined",)
            )
            with v3.VMenu():
                with (
                    v3.Template(v_slot_activator="{ props }"),
                    v3.VBtn(
                        v_bind="props",
                        size="small",
                        variant="text",
                        classes="speed",
                        title="Speed: seconds of the series per second",
                    ),
                ):
                    html.Span("{{ speed }}×")
                with v3.VList(density="compact"):
                    v3.VListItem(
                        v_for="one in [1, 5, 10, 20, 40, 80]",
                        key="one",
                        click="speed = one",
                        title=("one + '× real time'",),
                    )
        with part(server, "time_track", "time-track"):
            html.Span(
                v_for="t in times_s", key="t", classes="time-tick",
                style=(f"{{left: {_LEFT.format(_SHARE.format('t'))}}}",),
            )  # fmt: skip
            html.Input(
                type="range", classes="time-slider", title=(f"'Time after ' + {ZERO}",),
                min=("first_s",), max=("last_s",), step="0.5", value=("time_s",), disabled=("times_s.length < 2",),
                input="playing = false; time_s = Number($event.target.value)",
            )  # fmt: skip
            with html.Div(classes="time-ends"):
                html.Span("{{ Math.round(first_s) }} s")
                html.Span(f"{{{{ 'seconds after ' + {ZERO} }}}}", classes="time-unit")
                html.Span("{{ Math.round(last_s) }} s")
        with part(server, "time_now", "time-now"):
            html.Div(f"{{{{ {_CLOCK} }}}}", classes="time-clock")
            with html.Div(classes="time-mark"):
                html.Span("t = {{ Number(time_s).toFixed(1) }} s", classes="time-seconds")
                html.Span(
                    "{{ live ? 'in progress' : exact ? (synthetic ? 'synthesized' : 'acquired') : 'interpolated' }}",
                    classes=("exact && !live ? 'mark mark-exact' : 'mark mark-between'",),
                )
