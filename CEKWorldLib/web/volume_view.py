"""The 3-D view: the series' maximum intensity projection, which the mouse turns."""

from __future__ import annotations

from typing import Any

from slicer import vtkMRMLInteractionNode, vtkMRMLViewNode
from trame_slicer.core import SlicerApp
from trame_slicer.views import ThreeDView

from CEKWorldLib.scene.scene_session import SceneSession

_BEFORE_SLICER, _AFTER_SLICER = 10.0, -10.0  # priorities of observers
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
        self._turned: list[ThreeDView] = []  # views that the mouse turns

    def show(self, on: bool) -> None:
        """Shows the open series, or nothing."""
        if self._shown is not None:
            self._shown.SetVisibility(False)
            self._shown = None
        views = self._app.view_manager.get_threed_views()
        if not (on and self._scene.is_open and views):
            return
        for view in views:
            self._let_mouse_turn(view)
            _draw_plainly(view)
            view.get_view_node().SetRaycastTechnique(vtkMRMLViewNode.MaximumIntensityProjection)
        self._shown = self._app.volume_rendering.create_display_node(self._scene.output, _PRESET)
        self._shown.SetFollowVolumeDisplayNode(True)
        self._shown.SetVisibility(True)
        for view in views:
            view.reset_view()

    def _let_mouse_turn(self, view: ThreeDView) -> None:
        """While dragging changes window and level, which it does without a tool, Slicer turns no 3-D view."""
        if view in self._turned:
            return
        self._turned.append(view)
        interaction, interactor = self._app.markups_logic.interaction_node, view.interactor()
        mode = [interaction.GetCurrentInteractionMode()]

        def begin(*_: Any) -> None:
            mode[0] = interaction.GetCurrentInteractionMode()
            interaction.SetCurrentInteractionMode(vtkMRMLInteractionNode.ViewTransform)

        def end(*_: Any) -> None:
            interaction.SetCurrentInteractionMode(mode[0])

        interactor.AddObserver("LeftButtonPressEvent", begin, _BEFORE_SLICER)
        interactor.AddObserver("LeftButtonReleaseEvent", end, _AFTER_SLICER)


def _draw_plainly(view: ThreeDView) -> None:
    """Without depth peeling, which beside regions puts other textures in the volume's place in software rendering."""
    view.get_view_node().SetUseDepthPeeling(False)
    view.renderer().SetUseDepthPeeling(False)
    view.renderer().SetUseDepthPeelingForVolumes(False)
