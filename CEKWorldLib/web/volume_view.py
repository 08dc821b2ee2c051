"""The 3-D view: the series' maximum intensity projection, which the mouse turns."""

from __future__ import annotations

from typing import Any

from slicer import vtkMRMLViewNode
from trame_slicer.core import SlicerApp

from CEKWorldLib.scene.scene_session import SceneSession

_PRESET = "MR-MIP"  # of Slicer's own; its grey values follow the window of the slices


class VolumeView:
    """Shows the series in the 3-D view while that is in the layout; otherwise it costs nothing.

    Args:
        app: has the view and volume rendering.
        scene: what is shown.
    """

    def __init__(self, app: SlicerApp, scene: SceneSession) -> None:
        self._app, self._scene = app, scene
        self._shown: Any | None = None

    def show(self, on: bool) -> None:
        """Shows the open series, or nothing."""
        if self._shown is not None:
            self._shown.SetVisibility(False)
            self._shown = None
        views = self._app.view_manager.get_threed_views()
        if not (on and self._scene.is_open and views):
            return
        for view in views:
            view.get_view_node().SetRaycastTechnique(vtkMRMLViewNode.MaximumIntensityProjection)
        self._shown = self._app.volume_rendering.create_display_node(self._scene.output, _PRESET)
        self._shown.SetFollowVolumeDisplayNode(True)
        self._shown.SetVisibility(True)
        for view in views:
            view.reset_view()
