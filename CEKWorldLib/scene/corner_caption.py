"""The caption in the corner of the views: what is synthetic says so for as long as it is shown."""

from __future__ import annotations

from typing import Any

import vtk

_UPPER_EDGE = vtk.vtkCornerAnnotation.UpperEdge  # Slicer's own annotations keep to the four corners
_COLOUR = (1.0, 0.75, 0.2)


class CornerCaption:
    """One text in any number of views.

    In Slicer a view has its annotation, ``sliceView().cornerAnnotation()``; elsewhere ``annotation_for`` adds one to a
    renderer.
    """

    def __init__(self) -> None:
        self._annotations: list[Any] = []
        self._text = ""

    @property
    def text(self) -> str:
        return self._text

    @text.setter
    def text(self, text: str) -> None:
        self._text = text
        for annotation in self._annotations:
            annotation.SetText(_UPPER_EDGE, text)

    def add(self, annotation: Any) -> None:
        """Shows the caption in a view's ``vtkCornerAnnotation``."""
        self._annotations.append(annotation)
        annotation.GetTextProperty().SetColor(*_COLOUR)
        annotation.SetText(_UPPER_EDGE, self._text)

    def add_to(self, renderer: Any) -> Any:
        """Makes an annotation in a ``vtkRenderer`` and shows the caption there."""
        annotation = vtk.vtkCornerAnnotation()
        renderer.AddViewProp(annotation)
        self.add(annotation)
        return annotation

    def clear(self) -> None:
        """Empties the text and lets go of the views."""
        self.text = ""
        self._annotations.clear()
