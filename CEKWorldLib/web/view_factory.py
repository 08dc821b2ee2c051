"""Slicer's views as parts of the page: drawn here, shown on a canvas there, which sends back what the mouse does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trame.widgets import html
from trame_rca.utils import RcaViewAdapter
from trame_rca.widgets.rca import RemoteControlledArea
from trame_server import Server
from trame_server.utils.asynchronous import create_task
from trame_slicer.rca_view.rca_view_factory import RcaRenderStrategy
from trame_slicer.views import (
    AbstractView,
    CursorId,
    IViewFactory,
    SliceView,
    ThreeDView,
    ViewLayout,
    ViewLayoutDefinition,
    ViewType,
)

from CEKWorldLib.web.page.part import spoken
from CEKWorldLib.web.picture_stream import PictureStream
from CEKWorldLib.web.view_window import PIXELS_OF_VOLUME, SliceWindow, VolumeWindow

_MOUSE_EVERY_MS = 10

DescribeView = Callable[[Server, str, AbstractView], None]


class ViewFactory(IViewFactory):
    """Makes slice views and 3-D views for trame-slicer's layouts.

    trame-slicer's own factory sends every picture that is drawn, whether the browser can follow or not; this one
    gives them to a ``PictureStream``.

    Args:
        server: that shows them.
        stream: takes their pictures to the browser.
        describe: fills the page above a view.
    """

    def __init__(self, server: Server, stream: PictureStream, describe: DescribeView) -> None:
        super().__init__()
        self._server, self._stream, self._describe = server, stream, describe

    def can_create_view(self, view: ViewLayoutDefinition) -> bool:
        return view.view_type in ViewType

    def _create_view(self, view: ViewLayoutDefinition, scene: Any, app_logic: Any) -> AbstractView:
        name = view.singleton_tag
        is_volume = view.view_type == ViewType.THREE_D_VIEW
        drawn = (ThreeDView if is_volume else SliceView)(scene=scene, app_logic=app_logic, name=name)
        drawn.set_view_properties(view.properties)
        cursor = f"{name}_cursor"
        self._server.state[cursor] = CursorId.DEFAULT.value
        window = (VolumeWindow if is_volume else SliceWindow)(drawn, self._server.state, cursor)
        pictures = self._stream.add(name, window)
        self._place(name, cursor, drawn)
        area = _Area(window, name, scheduler=pictures, do_schedule_render_on_interaction=False)
        if is_volume:
            area.max_pixel_count = PIXELS_OF_VOLUME
        drawn.set_scheduled_render(RcaRenderStrategy(pictures))
        create_task(self._register(area))
        return drawn

    def _place(self, name: str, cursor: str, view: AbstractView) -> None:
        with (
            ViewLayout(self._server, template_name=name),
            html.Div(classes="view", style=(f"{{ cursor: {cursor} }}",)),
        ):
            # No display of its own: the canvas in it is drawn on by pictures.js.
            with RemoteControlledArea(
                name=name, display="none", send_mouse_move=True, event_throttle_ms=(str(_MOUSE_EVERY_MS),),
                raw_attrs=['role="img"', *spoken(f"{name} view")],
            ):  # fmt: skip
                html.Canvas(classes="picture", v_bind=f"{{ 'data-view': '{name}' }}")
            self._describe(self._server, name, view)

    async def _register(self, area: RcaViewAdapter) -> None:
        await self._server.ready
        self._server.controller.rc_area_register(area)

    def _get_slicer_view(self, view: AbstractView) -> AbstractView:
        return view


class _Area(RcaViewAdapter):
    """Tells its window of the browser's screen, too."""

    def update_size(self, _origin: str, size: dict[str, float]) -> None:
        self._rca.pixel_ratio = size.get("p", 1.0)
        super().update_size(_origin, size)
