"""How images are shown: window and level, subtraction, projection, overlays, layout."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import vtk
from slicer import vtkMRMLInteractionNode

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.kinetics.curve_type import CurveType
from CEKWorldLib.kinetics.maps import maps
from CEKWorldLib.kinetics.uncertainty import map_uncertainty
from CEKWorldLib.scene.observers import Observers
from CEKWorldLib.scene.scene_session import SceneSession
from CEKWorldLib.web.page_state import Page
from CEKWorldLib.web.sample_frames import SampleFrames
from CEKWorldLib.web.slice_views import SliceViews

_STRONGEST = 99.0  # percentile of the spread that gets the strongest colour
_DARK = 0.1  # of the brightest tissue
_HEADROOM = 1.5  # of the sliders for grey values above the brightest one
_QUANTITY = "percent_enhancement"


class Display:
    """Carries the page's choices over to the scene.

    Args:
        page: has the choices.
        scene: what is shown.
        views: where.
        interaction: the scene's interaction node; while no tool is on, dragging changes window and level.
        samples: gives the frames of the latest synthesis, None where there are none.
    """

    def __init__(
        self,
        page: Page,
        scene: SceneSession,
        views: SliceViews,
        interaction: Any,
        samples: Callable[[], SampleFrames | None],
    ) -> None:
        self._page, self._scene, self._views, self._samples = page, scene, views, samples
        self._observers = Observers()
        self._task: asyncio.Task | None = None
        interaction.SetCurrentInteractionMode(vtkMRMLInteractionNode.AdjustWindowLevel)
        page.on_change("window", lambda _: self._set_window())
        page.on_change("level", lambda _: self._set_window())
        page.on_change("projected", lambda _: self.project())
        page.on_change("overlay", lambda _: self.lay_over())

    def reset(self) -> None:
        """Follows the window of what was opened, and shows it without maps."""
        low, high = self._scene.output.GetImageData().GetScalarRange()
        display = self._scene.output.GetDisplayNode()
        highest = max(_HEADROOM * high, display.GetWindowLevelMax(), low + 1e-6)
        self._page.set(grey_range=[float(low), float(highest)], overlay="none")
        self._observers.clear()
        self._observers.add(display, vtk.vtkCommand.ModifiedEvent, self._tell_window)
        self._tell_window()
        self.project()

    def project(self) -> None:
        """Switches the projection on or off, as the page says."""
        if not self._scene.is_open:
            return
        if self._page.get("projected"):
            bounds = [0.0] * 6
            self._scene.output.GetRASBounds(bounds)
            sides = [high - low for low, high in zip(bounds[::2], bounds[1::2], strict=True)]
            # The slab reaches half its thickness to either side of the slice that is shown, which may be the last.
            self._scene.layers.project(2 * max(sides))
        else:
            self._scene.layers.stop_projecting()

    def lay_over(self) -> None:
        """Shows the map that the page names; computes it first."""
        if self._task is not None:
            self._task.cancel()
        if not self._scene.is_open:
            return
        if self._page.get("overlay") == "none":
            self._scene.overlay.hide()
        else:
            self._task = asyncio.create_task(self._lay_over(self._page.get("overlay")))

    async def _lay_over(self, kind: str) -> None:
        self._page.set(overlay_busy=True)
        try:
            if kind == "types":
                await self._show_types()
            else:
                await self._show_uncertainty()
        except CEKWorldError as error:
            self._page.fail(error)
            self._page.set(overlay="none")
        finally:
            self._page.set(overlay_busy=False)

    async def _show_types(self) -> None:
        series = self._scene.series()
        found = await asyncio.to_thread(maps, series.frames, series.times_s, self._scene.settings)
        found["curve_type"][_is_dark(series.frames[0])] = CurveType.NONE
        self._scene.overlay.show_types(found["curve_type"])

    async def _show_uncertainty(self) -> None:
        frames = self._samples()
        if frames is None:
            raise CEKWorldError("The uncertainty is that of synthesized samples; an acquired series has none.")
        if len(frames.samples) < 2:
            raise CEKWorldError("The uncertainty needs at least two samples; synthesize with more.")
        times, settings = np.array(frames.times_s), self._scene.settings
        found = await asyncio.to_thread(map_uncertainty, frames.samples, times, settings, (_QUANTITY,))
        spread = found.sd[_QUANTITY]
        spread[_is_dark(frames.samples[0][0])] = np.nan
        highest = float(np.nanpercentile(spread, _STRONGEST)) if np.isfinite(spread).any() else 1.0
        self._scene.overlay.show_uncertainty(spread, max(highest, 1e-6))
        self._page.set(spread_percent=highest)

    def _set_window(self) -> None:
        if not self._scene.is_open:
            return
        display = self._scene.output.GetDisplayNode()
        window, level = max(float(self._page.get("window")), 1e-6), float(self._page.get("level"))
        if (display.GetWindow(), display.GetLevel()) != (window, level):
            display.SetWindowLevel(window, level)

    def _tell_window(self) -> None:
        display = self._scene.output.GetDisplayNode()
        window, level = display.GetWindow(), display.GetLevel()
        if (self._page.get("window"), self._page.get("level")) != (window, level):
            self._page.set(window=window, level=level)


def _is_dark(pre: np.ndarray) -> np.ndarray:
    """Where there is hardly any signal before contrast, in air and lung: a percentage of it says nothing."""
    return pre < _DARK * np.percentile(pre, 98)
