"""The panel on the left: exam, synthesis, display, regions, export."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trame.widgets import html
from trame.widgets import vuetify3 as v3
from trame_server import Server

from CEKWorldLib.export.type_colours import PALETTES
from CEKWorldLib.web.page.part import icon_button, part, spoken
from CEKWorldLib.web.slice_views import LAYOUTS

_PRESETS = {"breast": "Breast", "abdomen": "Abdomen", "brain": "Brain", "list": "Own list of times"}
_OVERLAYS = {"none": "No overlay", "types": "Curve types", "uncertainty": "Uncertainty (SD over samples)"}
_LAYOUT_ICONS = {
    "three": "mdi-view-quilt",
    "row": "mdi-view-week",
    "axial": "mdi-alpha-a-box-outline",
    "sagittal": "mdi-alpha-s-box-outline",
    "coronal": "mdi-alpha-c-box-outline",
    "volume": "mdi-cube-outline",
}
_TOOL_HINT = (
    "{{ tool === 'box' ? 'Drag over a lesion in any view.' : tool === 'none' ? "
    "'Dragging in a view changes window and level.' : 'Paint over a lesion; the curve follows each stroke.' }}"
)
_WITHOUT_CURVES = "!regions.some((one) => one.type)"
_FIELD = {"density": "compact", "variant": "outlined", "hide_details": True}


@contextmanager
def section(title: str) -> Iterator[None]:
    """A part of a panel under a heading."""
    with html.Section(classes="section"):
        html.H2(title)
        yield


def exam_section(choose_series: Callable[[str], None]) -> None:
    """What is open, and opening something else; ``viewer.js`` sends the files."""
    with section("Exam"):
        html.Div("{{ opening ? 'Opening ' + opening + ' …' : (title || 'Nothing is open') }}", classes="exam-name")
        html.Div("{{ one }}", v_for="one in notices", key="one", classes="notice")
        with html.Div(v_if="series_choices.length", classes="series-choice", role="group", raw_attrs=spoken("Series")):
            html.Div("Which series of {{ series_of }}?")
            html.Button(
                "{{ one.title }}", v_for="one in series_choices", key="one.value", classes="series",
                click=(choose_series, "[one.value]"),
            )  # fmt: skip
            html.Button("None of them", classes="series", click=(choose_series, "['']"))
        with html.Div(classes="row"):
            with html.Label(classes="file-button", title="NRRD, NIfTI, .seq.nrrd, or a zip of a DICOM folder"):
                v3.VIcon("mdi-file-upload-outline", size="16")
                html.Span("Open file")
                html.Input(type="file", classes="upload upload-file")
            with html.Label(classes="file-button", title="A DICOM folder"):
                v3.VIcon("mdi-folder-upload-outline", size="16")
                html.Span("Open folder")
                html.Input(type="file", classes="upload upload-folder", webkitdirectory=True, multiple=True)
        v3.VProgressLinear(
            v_if="upload_percent >= 0 || opening", model_value=("upload_percent",), color="primary",
            indeterminate=("opening !== '' || upload_percent >= 100",), height="3", classes="mt-2",
        )  # fmt: skip


def synthesis_section(start: Callable[[], None], cancel: Callable[[], None]) -> None:
    """Which times, which bolus, how many samples."""
    with section("Synthesize"):
        html.Div("Open a pre-contrast volume to synthesize from.", v_if="!can_synthesize", classes="hint")
        with html.Div(v_else=True):
            _synthesis_fields(start, cancel)


def _synthesis_fields(start: Callable[[], None], cancel: Callable[[], None]) -> None:
    v3.VSelect(
        label="Times", v_model=("preset",), items=("presets", _items(_PRESETS)), disabled=("busy",),
        classes="preset", **_FIELD,
    )  # fmt: skip
    v3.VTextField(
        v_if="preset === 'list'", label="Seconds: 0:360:30 or 0,30,90", v_model=("times_text",),
        disabled=("busy",), classes="times-text mt-2", **_FIELD,
    )  # fmt: skip
    with html.Div(classes="row mt-2"):
        _number("Arrival (s)", "arrival_s", "Bolus arrival in the arteries, seconds after the start of the injection")
        _number("Seed", "seed", "The same seed gives the same series")
        _number("Samples", "samples", "Several samples show how sure the model is")
    v3.VBtn(
        "Synthesize", v_if="!busy", block=True, color="primary", prepend_icon="mdi-creation",
        click=start, disabled=("opening !== ''",), classes="synthesize mt-3",
    )  # fmt: skip
    with html.Div(v_if="busy", classes="mt-3"):
        v3.VProgressLinear(
            model_value=("progress_percent",), color="primary", height="6", rounded=True,
            indeterminate=("progress_percent === 0",), classes="progress",
        )  # fmt: skip
        with html.Div(classes="row row-between mt-1"):
            html.Span("{{ worker || progress_text }}", classes="hint progress-text")
            v3.VBtn("Cancel", size="small", variant="tonal", color="error", click=cancel, classes="cancel")


def display_section(server: Server, fit: Callable[[], None]) -> None:
    """Subtraction, projection, overlays, window and level, layout."""
    with section("Display"):
        with html.Div(classes="row"):
            _toggle("Subtraction", "subtracted", "mdi-minus-box-multiple-outline", "t minus pre-contrast (S)")
            _toggle("MIP", "projected", "mdi-layers-outline", "Maximum intensity projection through the body (M)")
            with v3.VBtn(
                size="small", variant="outlined", click=fit, classes="toggle fit", raw_attrs=spoken("Fit views")
            ):
                v3.VIcon("mdi-fit-to-screen-outline", size="16")
                v3.VTooltip("Fit all views (F)", activator="parent", location="top")
        v3.VSelect(
            v_model=("overlay",), items=("overlays", _items(_OVERLAYS)), loading=("overlay_busy",),
            disabled=("times_s.length < 3 || live",), classes="overlay mt-2", raw_attrs=spoken("Overlay"), **_FIELD,
        )  # fmt: skip
        with html.Div(v_if="overlay === 'types'", classes="legend"):
            for kind, colour in PALETTES["standard"].items():
                with html.Span():
                    html.I(style=f"background: rgb{colour}")
                    html.Span(kind.name.lower())
        with html.Div(v_if="overlay === 'uncertainty' && !overlay_busy", classes="legend legend-scale"):
            html.Span("{{ (spread_percent / 10).toFixed(1) }}")
            html.I(title="Standard deviation of the enhancement at t_e over the samples")
            html.Span("{{ spread_percent.toFixed(0) }} %")
        with part(server, "greys", "greys"):
            _grey("Window", "window", "0", "grey_range[1] - grey_range[0]")
            _grey("Level", "level", "grey_range[0]", "grey_range[1]")
        with v3.VBtnToggle(
            v_model=("layout",),
            mandatory=True,
            density="compact",
            divided=True,
            variant="outlined",
            classes="layouts mt-2",
        ):
            for key, title in LAYOUTS.items():
                with v3.VBtn(value=key, size="small", classes=f"layout-{key}", raw_attrs=spoken(f"Layout: {title}")):
                    v3.VIcon(_LAYOUT_ICONS[key], size="18")
                    v3.VTooltip(title, activator="parent", location="top")


def region_section(new: Callable[[], None], undo: Callable[[], None]) -> None:
    """Tools to draw with."""
    with section("Regions"):
        with html.Div(classes="row tools"):
            _tool("brush", "mdi-brush", "Brush (B)")
            _tool("erase", "mdi-eraser", "Erase (E)")
            _tool("box", "mdi-select-drag", "Box: drag from corner to corner (R)")
            v3.VSpacer()
            icon_button("mdi-plus", "Paint another region", classes="new-region", click=new, disabled=("!title",))
            icon_button("mdi-undo", "Undo the last stroke", classes="undo", click=undo, disabled=("!title",))
        with html.Div(v_if="tool === 'brush' || tool === 'erase'", classes="slider-row"):
            html.Span("Size")
            html.Input(
                type="range", min="1", max="40", step="1", value=("brush_mm",), title="Diameter of the brush",
                input="brush_mm = Number($event.target.value)",
            )  # fmt: skip
            html.Span("{{ brush_mm }} mm")
        html.Div(_TOOL_HINT, classes="hint mt-1")


def export_section(cancel: Callable[[], None]) -> None:
    """Files to take home."""
    with section("Export"):
        with html.Div(classes="row row-wrap"):
            _file(
                "dicom.zip",
                "DICOM",
                "One series per phase, marked as synthetic, zipped",
                "!synthetic || !can_synthesize",
            )
            _file("phases.seq.nrrd", "Slicer sequence", "The phases for 3D Slicer (.seq.nrrd)", "times_s.length < 2")
            _file("curves.csv", "Curves CSV", "Signal and enhancement over time", _WITHOUT_CURVES)
            _file("regions.csv", "Regions CSV", "Class and statistics", _WITHOUT_CURVES)
        with html.Div(v_if="exporting", classes="row row-between mt-1"):
            html.Span("{{ exporting }}", classes="hint")
            v3.VBtn("Cancel", size="x-small", variant="tonal", click=cancel)


def _items(names: dict[str, str]) -> list[dict[str, str]]:
    return [{"value": value, "title": title} for value, title in names.items()]


def _number(label: str, name: str, hint: str) -> None:
    v3.VTextField(
        label=label, v_model=(name,), type="number", disabled=("busy",), title=hint, classes=f"field-{name}", **_FIELD
    )


def _toggle(label: str, name: str, icon: str, hint: str) -> None:
    with v3.VBtn(
        size="small", classes=f"toggle {name}", click=f"{name} = !{name}",
        variant=(f"{name} ? 'flat' : 'outlined'",), color=(f"{name} ? 'primary' : undefined",),
        disabled=("times_s.length < 2",) if name == "subtracted" else ("!title",),
    ):  # fmt: skip
        v3.VIcon(icon, size="16", classes="mr-1")
        html.Span(label)
        v3.VTooltip(hint, activator="parent", location="top")


def _tool(name: str, icon: str, hint: str) -> None:
    with v3.VBtn(
        size="small", classes=f"tool tool-{name}", click=f"tool = tool === '{name}' ? 'none' : '{name}'",
        variant=(f"tool === '{name}' ? 'flat' : 'outlined'",), color=(f"tool === '{name}' ? 'primary' : undefined",),
        disabled=("!title",), raw_attrs=spoken(hint),
    ):  # fmt: skip
        v3.VIcon(icon, size="18")
        v3.VTooltip(hint, activator="parent", location="top")


def _grey(label: str, name: str, lowest: str, highest: str) -> None:
    with html.Div(classes="slider-row"):
        html.Span(label)
        html.Input(
            type="range", min=(lowest,) if "_" in lowest else lowest, max=(highest,),
            step=("Math.max((grey_range[1] - grey_range[0]) / 500, 1e-6)",), value=(name,), title=label,
            input=f"{name} = Number($event.target.value)",
        )  # fmt: skip
        html.Span(f"{{{{ Math.round({name}) }}}}")


def _file(name: str, label: str, hint: str, disabled: str) -> None:
    with v3.VBtn(
        size="small", variant="outlined", href=f"files/{name}", classes=f"download download-{name.split('.')[0]}",
        disabled=(f"{disabled} || live || exporting !== ''",), v_bind="{ download: '' }",
    ):  # fmt: skip
        v3.VIcon("mdi-download", size="16", classes="mr-1")
        html.Span(label)
        v3.VTooltip(hint, activator="parent", location="top")
