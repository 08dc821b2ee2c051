"""Which voxel the mouse is on, by the crosshair node, the supported way in all of Slicer's views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.scene.observers import Observers
from CEKWorldLib.scene.regions import voxel_at

Voxel = tuple[int, int, int]


class Hover:
    """Reports the voxel under the mouse while it moves over a slice view.

    Args:
        scene: with a crosshair node, as every Slicer view makes one.
        volume: gives the node whose voxels are meant.
        on_voxel: called with (slice, row, column), or None where the mouse has left the volume.
    """

    def __init__(self, scene: Any, volume: Callable[[], Any], on_voxel: Callable[[Voxel | None], None]) -> None:
        self._volume = volume
        self._on_voxel = on_voxel
        self._last: Voxel | None = None
        self._observers = Observers()
        self._crosshair = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        if self._crosshair is not None:
            event = slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent
            self._observers.add(self._crosshair, event, self._moved)

    def stop(self) -> None:
        self._observers.clear()
        self._crosshair = None

    def _moved(self) -> None:
        position = [0.0, 0.0, 0.0]
        on_view = self._crosshair.GetCursorPositionRAS(position)
        voxel = self._voxel(position) if on_view else None
        if voxel != self._last:
            self._last = voxel
            self._on_voxel(voxel)

    def _voxel(self, position: list[float]) -> Voxel | None:
        try:
            return voxel_at(position, self._volume())
        except CEKWorldError:  # beside the volume there is simply no curve
            return None
