"""What lies over a slice view: its name, its slice slider, and a button that fits it."""

from __future__ import annotations

from trame.widgets import html
from trame.widgets import vuetify3 as v3
from trame_server import Server
from trame_slicer.app.logic.slice_view_logic import connect_slice_view_slider_to_state
from trame_slicer.views import AbstractView, SliceView

from CEKWorldLib.web.page.part import spoken

# What lies at the left and right of a view; Slicer's own orientations, as radiologists look at a patient.
SIDES = {"Axial": ("R", "L"), "Sagittal": ("A", "P"), "Coronal": ("R", "L")}


def describe_view(server: Server, name: str, view: AbstractView) -> None:
    """Fills the page above a view; a ``describe`` of ``SliceViews``."""
    if isinstance(view, SliceView):
        _describe_slices(server, name, view)
    else:
        with html.Div(classes="view-head"):
            html.Span("3-D projection", classes="view-name")
            html.Span("drag to turn", classes="view-offset")
    with v3.VBtn(
        classes="view-fit", size="x-small", variant="text", icon=True, click=view.reset_view,
        raw_attrs=spoken("Fit to the volume"),
    ):  # fmt: skip
        v3.VIcon("mdi-fit-to-screen-outline", size="16")
        v3.VTooltip("Fit to the volume", activator="parent", location="left")


def _describe_slices(server: Server, name: str, view: SliceView) -> None:
    for side, place in zip(SIDES[name], ("left", "right"), strict=True):
        html.Span(side, classes=f"view-side view-{place}")
    slider = connect_slice_view_slider_to_state(server, view)
    with html.Div(classes=f"view-head view-{name.lower()}"):
        html.Span(name, classes="view-name")
        html.Span(f"{{{{ Number({slider.name.value}).toFixed(1) }}}} mm", classes="view-offset")
    html.Input(
        type="range",
        classes=f"view-slider view-{name.lower()}",
        title=f"{name} slice",
        min=(slider.name.min_value,),
        max=(slider.name.max_value,),
        step=(slider.name.step,),
        value=(slider.name.value,),
        input=f"{slider.name.value} = Number($event.target.value)",
    )
