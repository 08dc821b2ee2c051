"""What the slice views show: background, foreground and slab, with the user's own choice given back at the end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import vtk


@dataclass(frozen=True)
class _Layers:
    background: str | None
    foreground: str | None
    opacity: float


@dataclass(frozen=True)
class _Slab:
    on: bool
    kind: int
    thickness_mm: float


class SliceLayers:
    """The layers and the slab of all slice views of a scene.

    Args:
        scene: ``vtkMRMLScene``.
    """

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._layers: dict[str, _Layers] = {}
        self._slabs: dict[str, _Slab] = {}
        self._background: str | None = None  # shown here, as is the foreground
        self._foreground: str | None = None

    def show_background(self, volume: Any) -> None:
        self._background = volume.GetID()
        for node in self._remembered_composites():
            node.SetBackgroundVolumeID(volume.GetID())

    def renew_background(self, volume: Any) -> None:
        """Shows a volume in place of a deleted one, for which Slicer has put any other; views given back stay so."""
        if self._layers:
            self.show_background(volume)

    def show_foreground(self, volume: Any, opacity: float) -> None:
        self._foreground = volume.GetID()
        for node in self._remembered_composites():
            node.SetForegroundVolumeID(volume.GetID())
            node.SetForegroundOpacity(opacity)

    def hide_foreground(self) -> None:
        """Gives the foreground back to what the user had there, unless he has chosen another since."""
        for node in self._remembered_composites():
            if node.GetForegroundVolumeID() in (self._foreground, None):  # None: it was deleted
                before = self._layers[node.GetID()]
                node.SetForegroundVolumeID(before.foreground)
                node.SetForegroundOpacity(before.opacity)

    def project(self, thickness_mm: float) -> None:
        """Maximum intensity projection: every view shows the brightest voxel within a slab around its plane.

        Slicer's own slab, so the projection follows slice, time, subtraction and zoom. A slab as thick as the volume
        gives the usual projection of a subtraction. It gets whole millimetres, which Slicer writes into the views.
        """
        for node in _nodes(self._scene, "vtkMRMLSliceNode"):
            now = _Slab(
                bool(node.GetSlabReconstructionEnabled()),
                node.GetSlabReconstructionType(),
                node.GetSlabReconstructionThickness(),
            )
            self._slabs.setdefault(node.GetID(), now)
            node.SetSlabReconstructionType(vtk.VTK_IMAGE_SLAB_MAX)
            node.SetSlabReconstructionThickness(math.ceil(thickness_mm))
            node.SetSlabReconstructionEnabled(True)

    def stop_projecting(self) -> None:
        for node in _nodes(self._scene, "vtkMRMLSliceNode"):
            before = self._slabs.pop(node.GetID(), None)
            if before is not None:
                node.SetSlabReconstructionEnabled(before.on)
                node.SetSlabReconstructionType(before.kind)
                node.SetSlabReconstructionThickness(before.thickness_mm)

    def restore(self) -> None:
        """Gives all views back as they were found, but for volumes that the user has chosen in them since."""
        self.stop_projecting()
        self.hide_foreground()
        for node in self._remembered_composites():
            if node.GetBackgroundVolumeID() in (self._background, None):
                node.SetBackgroundVolumeID(self._layers[node.GetID()].background)
        self._layers.clear()

    def forget(self) -> None:
        """What was found belongs to a scene that is gone."""
        self._layers.clear()
        self._slabs.clear()

    def _remembered_composites(self) -> list[Any]:
        nodes = _nodes(self._scene, "vtkMRMLSliceCompositeNode")
        for node in nodes:
            now = _Layers(node.GetBackgroundVolumeID(), node.GetForegroundVolumeID(), node.GetForegroundOpacity())
            self._layers.setdefault(node.GetID(), now)
        return nodes


def _nodes(scene: Any, class_name: str) -> list[Any]:
    return [scene.GetNthNodeByClass(n, class_name) for n in range(scene.GetNumberOfNodesByClass(class_name))]
