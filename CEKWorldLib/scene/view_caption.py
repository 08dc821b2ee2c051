"""The caption at the upper edge of the views: what is synthetic says so for as long as it is shown."""

from __future__ import annotations

from typing import Any

import vtk

_PIXELS = 16
_COLOUR = (1.0, 0.75, 0.2)
_PLACE = (0.5, 0.985)  # of the view; Slicer's own annotations keep to the four corners


class ViewCaption:
    """One text in any number of views.

    A text of one size in each: ``vtkCornerAnnotation``, Slicer's own, looks for a size that fits whenever its text
    changes, which took 25 to 30 ms in every view at every move of the slider, more than all the rest of it.
    """

    def __init__(self) -> None:
        self._text = ""
        self._shown: list[tuple[Any, Any]] = []

    @property
    def text(self) -> str:
        return self._text

    @text.setter
    def text(self, text: str) -> None:
        self._text = text
        for _renderer, actor in self._shown:
            actor.SetInput(text)

    def add(self, renderer: Any, pixels: int = _PIXELS) -> Any:
        """Shows the caption in a view, once.

        Args:
            renderer: ``vtkRenderer`` of the view, its uppermost where it has several.
            pixels: height of the text.

        Returns:
            ``vtkTextActor``.
        """
        known = next((actor for view, actor in self._shown if view is renderer), None)
        if known is not None:
            return known
        actor = vtk.vtkTextActor()
        style = actor.GetTextProperty()
        style.SetFontSize(pixels)
        style.SetColor(*_COLOUR)
        style.SetShadow(True)
        style.SetJustificationToCentered()
        style.SetVerticalJustificationToTop()
        actor.GetPositionCoordinate().SetCoordinateSystemToNormalizedViewport()
        actor.SetPosition(*_PLACE)
        actor.SetInput(self._text)
        renderer.AddViewProp(actor)
        self._shown.append((renderer, actor))
        return actor

    def clear(self) -> None:
        """Takes the caption out of all views."""
        for renderer, actor in self._shown:
            renderer.RemoveViewProp(actor)
        self._shown.clear()
        self.text = ""
