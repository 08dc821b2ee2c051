"""The one volume node that shows the series, whichever time is chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.scene.geometry import set_geometry
from CEKWorldLib.scene.owned_nodes import OwnedNodes
from CEKWorldLib.scene.provenance import Provenance, mark

TIME_KEY = "CEKWorld.TimeSeconds"
_ROLE = "output"
_STRIDE = 7  # every 7th voxel along each axis tells a window well enough: 48 000 of 320x320x160


@dataclass(frozen=True)
class Window:
    """Grey levels: black at ``low``, white at ``high``."""

    low: float
    high: float

    @classmethod
    def of(cls, frames: Iterable[np.ndarray], source: np.ndarray | float = 0.0) -> Window:
        """One window for a whole series: from its darkest to its brightest percentile, air and vessels left out.

        Args:
            frames: (slices, rows, columns) each.
            source: what is taken off each of them.
        """
        some = (slice(None, None, _STRIDE),) * 3
        taken_off = source if isinstance(source, float) else source[some]
        bounds = [np.nanpercentile(frame[some] - taken_off, (1.0, 99.5)) for frame in frames]
        low, high = min(b[0] for b in bounds), max(b[1] for b in bounds)
        return cls(float(low), float(max(high, low + 1e-6)))


class OutputVolume:
    """A scalar volume node whose image is swapped by pointer, 0.03 ms at 320x320x160.

    The window stays as it is, whatever is shown: windowing each frame on its own would hide the enhancement, and
    costs 84 ms of histogram a frame.

    Args:
        nodes: of the session.
        name: what is shown.
        grid: geometry of every frame.
        provenance: None for an acquired series.
        window: grey levels to begin with; the user may change them.
        on_renewed: told the node that takes the place of one the user has deleted.
    """

    def __init__(
        self,
        nodes: OwnedNodes,
        name: str,
        grid: Volume,
        provenance: Provenance | None,
        window: Window,
        on_renewed: Callable[[Any], None] = lambda _node: None,
    ) -> None:
        self._nodes = nodes
        self._name = name
        self._grid = grid
        self._provenance = provenance
        self._window = window
        self._on_renewed = on_renewed
        self._shown: tuple[Any, float] | None = None  # image and time
        self._set_up(nodes.get(_ROLE, "vtkMRMLScalarVolumeNode", name)[0])

    @property
    def node(self) -> Any:
        """The volume node; a new one, which shows the same, where the user has deleted it."""
        node, new = self._nodes.get(_ROLE, "vtkMRMLScalarVolumeNode", self._name)
        if new:
            self._set_up(node)
            self._fill(node)
            self._on_renewed(node)
        return node

    @property
    def window(self) -> Window:
        """The grey levels now, the user's changes included."""
        display = self.node.GetDisplayNode()
        return Window(display.GetWindowLevelMin(), display.GetWindowLevelMax())

    @window.setter
    def window(self, window: Window) -> None:
        self._window = window
        self.node.GetDisplayNode().SetWindowLevelMinMax(window.low, window.high)

    def show(self, image: Any, time_s: float) -> None:
        """Swaps the image, in one event.

        Args:
            image: ``vtkImageData`` of the grid's shape.
            time_s: its time, kept as an attribute.
        """
        node, self._shown = self.node, (image, time_s)
        self._fill(node)

    def _fill(self, node: Any) -> None:
        if self._shown is None:
            return
        image, time_s = self._shown
        was_modifying = node.StartModify()
        node.SetAndObserveImageData(image)
        node.SetAttribute(TIME_KEY, f"{time_s:g}")
        node.EndModify(was_modifying)

    def _set_up(self, node: Any) -> None:
        mark(node, self._name, self._provenance)
        set_geometry(node, self._grid)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(self._window.low, self._window.high)
