"""The windows that views are drawn in, with fewer pixels where more would be slow."""

from __future__ import annotations

from math import sqrt
from typing import Any

from trame_server.state import State
from trame_slicer.rca_view.rca_view_factory import RcaWindow
from trame_slicer.views import SliceView, ThreeDView

PIXELS_OF_VOLUME = 120_000  # of a 3-D picture, which without a graphics card takes 0.3 s of CPU
_PIXELS_IN_MOTION = 120_000  # as many as two cores draw and show 30 times a second
_WORTHWHILE = 0.85  # hardly smaller pictures are hardly faster
_DPI = 72  # VTK's own
_CAPTION_WIDTH = 280  # of the page's pixels, in which "SYNTHETIC t=+87.5 s (preview)" has room


class SliceWindow(RcaWindow):
    """Draws a slice view offscreen, while time moves in fewer pixels.

    Args:
        view: what is drawn.
        state: of the page.
        cursor: name of the mouse cursor in it.

    Attributes:
        waits: whether it is drawn only when time does not move.
        pixel_ratio: pixels of the browser's screen for one of the page.
    """

    waits = False
    pixel_ratio = 1.0

    def __init__(self, view: SliceView, state: State, cursor: str) -> None:
        super().__init__(view.render_window(), state=state, active_view_cursor=cursor)
        self._view = view
        self._size = (0, 0)
        self._scale = 1.0

    def process_resize_event(self, width: int, height: int) -> None:
        self.coarsen(False)
        self._size = (width, height)
        self._size_texts()
        super().process_resize_event(width, height)

    def process_interaction_event(self, event: dict[str, Any]) -> None:
        self.coarsen(False)  # the mouse is where it is in all pixels
        super().process_interaction_event(event)

    def coarsen(self, on: bool) -> None:
        """Draws in fewer pixels from now on, or in all; the picture shows the same part of the slice."""
        width, height = self._size
        scale = min(1.0, sqrt(_PIXELS_IN_MOTION / max(width * height, 1))) if on else 1.0
        scale = scale if scale < _WORTHWHILE else 1.0
        if scale == self._scale:
            return
        self._scale = scale
        columns, rows = round(scale * width), round(scale * height)
        self._vtk_render_window.SetSize(columns, rows)
        self._size_texts()
        self._view.get_view_node().SetDimensions(columns, rows, 1)

    def _size_texts(self) -> None:
        """Makes texts as large on any screen, and smaller in a narrow view, which would cut the caption off."""
        fitting = min(1.0, self._size[0] / self.pixel_ratio / _CAPTION_WIDTH)
        self._vtk_render_window.SetDPI(round(self._scale * self.pixel_ratio * fitting * _DPI))


class VolumeWindow(RcaWindow):
    """Draws a 3-D view offscreen; see ``SliceWindow``."""

    waits = True
    pixel_ratio = 1.0

    def __init__(self, view: ThreeDView, state: State, cursor: str) -> None:
        super().__init__(view.render_window(), state=state, active_view_cursor=cursor)

    def coarsen(self, on: bool) -> None:
        """Its pictures are small already."""


ViewWindow = SliceWindow | VolumeWindow
