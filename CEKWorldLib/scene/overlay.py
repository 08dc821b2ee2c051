"""Maps over the images: curve types and uncertainty, in the foreground layer."""

from __future__ import annotations

import numpy as np

from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.export.type_colours import PALETTES, Palette
from CEKWorldLib.kinetics.curve_type import TYPES, CurveType
from CEKWorldLib.scene.geometry import set_geometry
from CEKWorldLib.scene.images import image_of
from CEKWorldLib.scene.owned_nodes import OwnedNodes
from CEKWorldLib.scene.provenance import Provenance, mark
from CEKWorldLib.scene.slice_layers import SliceLayers

_OPACITY = 0.6  # the anatomy below stays readable


class Overlay:
    """One volume node in the foreground of the slice views, in the colours of what it shows.

    Args:
        nodes: of the session.
        layers: of the slice views.
        grid: geometry of the maps.
        provenance: None for maps of an acquired series.
    """

    def __init__(self, nodes: OwnedNodes, layers: SliceLayers, grid: Volume, provenance: Provenance | None) -> None:
        self._nodes = nodes
        self._layers = layers
        self._grid = grid
        self._provenance = provenance
        self._opacity = _OPACITY

    def show_types(self, types: np.ndarray, palette: Palette = "standard", opacity: float = _OPACITY) -> None:
        """Paints curve types.

        Args:
            types: (slices, rows, columns) uint8 of ``CurveType``; NONE is transparent.
            palette: their colours.
            opacity: of the layer.
        """
        colours, _ = self._nodes.get("type colours", "vtkMRMLColorTableNode", "curve types")
        colours.SetTypeToUser()
        colours.SetNumberOfColors(len(CurveType))
        colours.SetColor(CurveType.NONE, "none", 0.0, 0.0, 0.0, 0.0)
        for kind in TYPES:
            colours.SetColor(kind, kind.name.lower(), *(channel / 255 for channel in PALETTES[palette][kind]), 1.0)
        # A type is a class: levels lie on whole numbers, and between two classes there is none.
        bounds = (float(CurveType.NONE), float(CurveType.WASHOUT))
        self._show(types, "curve types", colours.GetID(), bounds, float(TYPES[0]), False, opacity)

    def show_uncertainty(self, spread: np.ndarray, highest: float, opacity: float = _OPACITY) -> None:
        """Paints a standard deviation over samples.

        Args:
            spread: (slices, rows, columns) float32; NaN and less than a tenth of ``highest`` are transparent.
            highest: the value in the strongest colour.
            opacity: of the layer.
        """
        colours, _ = self._nodes.get("uncertainty colours", "vtkMRMLColorTableNode", "uncertainty")
        colours.SetTypeToWarm1()
        known = np.nan_to_num(spread, nan=0.0).astype(np.float32, copy=False)
        self._show(known, "uncertainty", colours.GetID(), (0.0, highest), 0.1 * highest, True, opacity)

    def show_again(self) -> bool:
        """Shows the latest map again, in views that were given back meanwhile; whether it is still there."""
        node = self._nodes.find("overlay")
        if node is not None:
            self._layers.show_foreground(node, self._opacity)
        return node is not None

    def hide(self) -> None:
        """Gives the foreground back; the map's nodes stay for the next time."""
        self._layers.hide_foreground()

    def _show(
        self,
        values: np.ndarray,
        name: str,
        colours_id: str,
        bounds: tuple[float, float],
        transparent_below: float,
        smooth: bool,
        opacity: float,
    ) -> None:
        node, _new = self._nodes.get("overlay", "vtkMRMLScalarVolumeNode", name)
        set_geometry(node, self._grid)  # it may be the node of the exam before
        node.CreateDefaultDisplayNodes()
        mark(node, name, self._provenance)
        display = node.GetDisplayNode()
        display.AutoWindowLevelOff()
        display.SetAndObserveColorNodeID(colours_id)
        display.SetWindowLevelMinMax(*bounds)
        display.SetInterpolate(smooth)
        display.AutoThresholdOff()
        display.SetThreshold(transparent_below, max(bounds[1], float(values.max())))
        display.ApplyThresholdOn()
        node.SetAndObserveImageData(image_of(np.ascontiguousarray(values)))
        self._opacity = opacity
        self._layers.show_foreground(node, opacity)
