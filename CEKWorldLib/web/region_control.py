"""Regions the user draws, with brush or box, and their curves while they are being drawn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from slicer import vtkMRMLInteractionNode
from trame_slicer.core import SlicerApp
from trame_slicer.segmentation import SegmentationEffectErase, SegmentationEffectPaint
from trame_slicer.segmentation.paint_effect_parameters import BrushDiameterMode
from undo_stack import UndoStack
from vtkmodules.vtkCommonCore import vtkCommand

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.kinetics.roi import RoiResult, with_uncertainty
from CEKWorldLib.scene.observers import Observers
from CEKWorldLib.scene.region import Region
from CEKWorldLib.scene.regions import from_roi, from_segment
from CEKWorldLib.scene.scene_session import SceneSession
from CEKWorldLib.web.box_tool import BoxTool
from CEKWorldLib.web.curve_figure import curve_figure
from CEKWorldLib.web.curve_table import curve_rows
from CEKWorldLib.web.page_state import Page
from CEKWorldLib.web.sample_frames import SampleFrames
from CEKWorldLib.web.slice_views import SliceViews

_log = logging.getLogger(__name__)
_MEASURED_EVERY_S = 0.1
_STEPS_BACK = 20
_EMPTY_S = 480.0  # length of the time axis while there are no phases
_HANDLE_SCALE = 1.2  # percent of the view; boxes around lesions are small
_EFFECTS = {"brush": SegmentationEffectPaint, "erase": SegmentationEffectErase}
# Okabe and Ito's colours in the order in which they stand out from grey images (jfly.uni-koeln.de/color).
_COLOURS = (
    (0.90, 0.62, 0.0), (0.34, 0.71, 0.91), (0.80, 0.47, 0.65), (0.0, 0.62, 0.45), (0.94, 0.89, 0.26), (0.84, 0.37, 0.0),
)  # fmt: skip


class RegionControl:
    """Segments and boxes of the open series.

    Args:
        page: has tool and table.
        app: has scene and segmentation editor.
        scene: what is measured.
        views: where boxes are drawn.
        samples: gives the frames of the latest synthesis, None where there are none.

    Attributes:
        results: the curves as they are shown.
        drawn: the regions they belong to, in the same order.
    """

    def __init__(
        self,
        page: Page,
        app: SlicerApp,
        scene: SceneSession,
        views: SliceViews,
        samples: Callable[[], SampleFrames | None],
    ) -> None:
        self.results: list[RoiResult] = []
        self.drawn: list[Region] = []
        self._page, self._app, self._scene, self._samples = page, app, scene, samples
        self._editor = app.segmentation_editor
        self._editor.set_undo_stack(UndoStack(undo_limit=_STEPS_BACK))
        self._editor.segmentation_modified.connect(self.measure)
        self._segmentation: Any | None = None
        self._boxes: list[Any] = []
        self._count = 0
        self._observers = Observers()
        self._changed = asyncio.Event()
        self._box_tool = BoxTool(views.all, self._begin_box, self._finish_box)
        page.on_change("tool", lambda _: self._take_up(page.get("tool")))
        page.on_change("brush_mm", lambda _: self._set_brush())
        page.on_change("region", self._select)

    def start(self) -> None:
        """Begins to measure what changes, in the running event loop."""
        self._task = asyncio.create_task(self._follow())

    def reset(self) -> None:
        """Begins without regions, on the series that was opened."""
        self._page.set(tool="none")
        self._observers.clear()
        gone = [self._segmentation, *self._boxes]
        self._boxes, self._count = [], 0
        self.results, self.drawn = [], []  # else the exam before would be exported until the next measurement
        self._segmentation = self._editor.create_empty_segmentation_node()
        self._segmentation.GetDisplayNode().SetOpacity2DFill(0.25)
        self._editor.set_active_segmentation(self._segmentation, self._scene.output)
        for node in gone:
            if node is not None:
                self._app.scene.RemoveNode(node)
        self.measure()

    def measure(self, *_: Any) -> None:
        """Has all curves measured soon; changes that come meanwhile are measured together."""
        self._changed.set()

    def remove(self, region: str) -> None:
        """Removes a region by its id."""
        self._page.set(tool="none")
        box = next((box for box in self._boxes if box.GetID() == region), None)
        if box is None:
            self._editor.remove_segment(region)
        else:
            self._boxes.remove(box)
            self._app.scene.RemoveNode(box)
        self.measure()

    def undo(self) -> None:
        """Takes back the last stroke."""
        self._editor.undo_stack.undo()
        self.measure()

    def new_segment(self) -> None:
        """Begins a region to be painted."""
        name, colour = self._next()
        segment = self._editor.add_empty_segment(segment_name=name, segment_color=list(colour))
        self._page.set(region=segment, tool="brush")

    def _take_up(self, tool: str) -> None:
        if not self._scene.is_open:
            return
        if tool in _EFFECTS and not self._editor.active_segment_id:
            self.new_segment()
        self._box_tool.on = tool == "box"
        mode = vtkMRMLInteractionNode.AdjustWindowLevel if tool == "none" else vtkMRMLInteractionNode.ViewTransform
        self._app.markups_logic.interaction_node.SetCurrentInteractionMode(mode)
        if tool in _EFFECTS:
            self._page.set(region=self._editor.active_segment_id)
            self._editor.set_active_effect_type(_EFFECTS[tool])
            self._set_brush()
        else:
            self._editor.deactivate_effect()

    def _select(self, region: str) -> None:
        """Makes a region the one that is painted on, or whose handles are shown."""
        for box in self._boxes:
            box.GetDisplayNode().SetHandlesInteractive(box.GetID() == region)
        if region in self._editor.get_segment_ids():
            self._editor.set_active_segment_id(region)

    def _set_brush(self) -> None:
        effect = self._editor.active_effect
        if isinstance(effect, (SegmentationEffectPaint, SegmentationEffectErase)):
            effect.set_brush_diameter(float(self._page.get("brush_mm")), BrushDiameterMode.Absolute)

    def _begin_box(self) -> Any:
        name, colour = self._next()
        box = self._app.scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
        box.CreateDefaultDisplayNodes()
        display = box.GetDisplayNode()
        display.SetSelectedColor(*colour)
        display.SetColor(*colour)
        display.SetFillOpacity(0.1)
        display.SetPropertiesLabelVisibility(False)
        display.SetInteractionHandleScale(_HANDLE_SCALE)
        self._boxes.append(box)
        self._observers.add(box, vtkCommand.ModifiedEvent, self.measure)
        return box

    def _finish_box(self) -> None:
        self._page.set(tool="none", region=self._boxes[-1].GetID())

    def _next(self) -> tuple[str, tuple[float, float, float]]:
        self._count += 1
        return f"Region {self._count}", _COLOURS[(self._count - 1) % len(_COLOURS)]

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                if self._scene.is_open:
                    self._measure()
            except Exception as error:  # curves must follow the next stroke, whatever was wrong with this one
                _log.exception("curves cannot be measured")
                self.results = []
                self._page.fail(CEKWorldError(f"The curves cannot be measured ({error}); change or remove the region."))
            await asyncio.sleep(_MEASURED_EVERY_S)

    def _measure(self) -> None:
        ids, self.drawn = self._regions()
        definition = self._scene.settings.description() if self.drawn else ""
        try:
            self.results = self._scene.measure(self.drawn)
            self._add_uncertainty()
        except CEKWorldError as error:
            self.results, definition = [], str(error)
        first, last = self._plotted_times()
        self._page.set(
            regions=curve_rows(ids, self.drawn, self.results),
            figure=curve_figure(
                self.results, [region.colour for region in self.drawn], first, last, self._page.get("from_injection")
            ),
            definition=definition,
            plot_first_s=first,
            plot_last_s=last,
        )

    def _plotted_times(self) -> tuple[float, float]:
        """Bounds of the time axis, with room for the last point."""
        times = self._scene.times_s
        first, last = (min(0.0, times[0]), times[-1]) if len(times) > 1 else (0.0, _EMPTY_S)
        return first, last + 0.02 * (last - first)

    def _add_uncertainty(self) -> None:
        frames = self._samples()
        if self.results and frames is not None and len(frames.samples) > 1:
            self.results = with_uncertainty(self.results, frames.samples, np.array(frames.times_s))

    def _regions(self) -> tuple[list[str], list[Region]]:
        ids, regions = [], []
        segments = [(id, from_segment, (self._segmentation, id)) for id in self._editor.get_segment_ids()]
        boxes = [(box.GetID(), from_roi, (box,)) for box in self._boxes]
        for id, read, drawn in (*segments, *boxes):
            try:
                regions.append(read(*drawn, self._scene.output))  # type: ignore[operator]
            except CEKWorldError:  # not drawn yet, or moved out of the volume: no curve
                continue
            ids.append(id)
        return ids, regions
