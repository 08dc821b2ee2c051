"""Draws a box in a slice view, from one corner to the other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import vtk
from trame_slicer.views import SliceView

_PRIORITY = 10.0  # before Slicer's own handling of the mouse
_EVENTS = ("LeftButtonPressEvent", "MouseMoveEvent", "LeftButtonReleaseEvent")


class BoxTool:
    """While it is on, dragging in a view sets the size of a markups box, one slice deep.

    Args:
        views: to draw in.
        begin: called at the first corner; gives the ``vtkMRMLMarkupsROINode`` to be drawn.
        finish: called when the button is let go.
    """

    def __init__(self, views: list[SliceView], begin: Callable[[], Any], finish: Callable[[], None]) -> None:
        self.on = False
        self._begin, self._finish = begin, finish
        self._box: Any | None = None
        self._first = np.zeros(3)
        self._commands: list[_Command] = []
        for view in views:
            for event in _EVENTS:
                self._commands.append(_Command(view.interactor(), event, partial(self._act, view, event)))

    def _act(self, view: SliceView, event: str) -> bool:
        """Whether the event was for the box."""
        if not self.on:
            return False
        if event == "LeftButtonPressEvent":
            self._box = self._begin()
            self._first = self._position(view)
        elif self._box is None:
            return False
        else:
            self._stretch(self._box, view)
            if event == "LeftButtonReleaseEvent":
                self._box = None
                self._finish()
        return True

    def _stretch(self, box: Any, view: SliceView) -> None:
        last, node = self._position(view), view.get_view_node()
        to_ras = node.GetSliceToRAS()
        normal = np.array([to_ras.GetElement(row, 2) for row in range(3)])
        size = np.abs(last - self._first) + np.abs(normal) * view.get_slice_step()
        was_modifying = box.StartModify()
        box.SetCenter(*((self._first + last) / 2))
        box.SetSize(*np.maximum(size, 1e-3))
        box.EndModify(was_modifying)

    def _position(self, view: SliceView) -> np.ndarray:
        x, y = view.interactor().GetEventPosition()
        return np.array(view.get_view_node().GetXYToRAS().MultiplyPoint((x, y, 0.0, 1.0))[:3])


class _Command:
    """An observation that may keep an event from those who observe after it."""

    def __init__(self, subject: Any, event: str, act: Callable[[], bool]) -> None:
        self._subject, self._act = subject, act
        self._tag = subject.AddObserver(event, self._called, _PRIORITY)

    def _called(self, *_: Any) -> None:
        command: vtk.vtkCommand = self._subject.GetCommand(self._tag)
        command.SetAbortFlag(1 if self._act() else 0)
