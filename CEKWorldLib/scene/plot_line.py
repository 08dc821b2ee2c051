"""One line of a plot: a table and a plot series, made once and then updated in place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from CEKWorldLib.scene.owned_nodes import OwnedNodes
from CEKWorldLib.scene.provenance import Provenance, mark

TIME_COLUMN, VALUE_COLUMN = "time (s)", "value"  # a column without a name crashes Slicer's plot view

_Series = slicer.vtkMRMLPlotSeriesNode


@dataclass(frozen=True)
class LineStyle:
    """How a line is drawn.

    Attributes:
        colour: red, green, blue, 0 to 1.
        dashed: dashed instead of solid.
        markers: a circle at every point.
        width: in pixels.
    """

    colour: tuple[float, float, float]
    dashed: bool = False
    markers: bool = False
    width: float = 2.0


class PlotLine:
    """A table node with two columns and the series node that plots them.

    Args:
        nodes: of the session.
        role: what the line is for; also the role of its nodes.
        provenance: of the numbers.
    """

    def __init__(self, nodes: OwnedNodes, role: str, provenance: Provenance | None = None) -> None:
        self._nodes = nodes
        self._role = role
        self._provenance = provenance
        self._name = ""

    def update(self, name: str, x: np.ndarray, y: np.ndarray, style: LineStyle) -> Any:
        """Replaces the line's points.

        Args:
            name: in the legend.
            x: (N,) seconds.
            y: (N,) values.
            style: how it is drawn.

        Returns:
            ``vtkMRMLPlotSeriesNode``.
        """
        table, new_table = self._nodes.get(f"{self._role} table", "vtkMRMLTableNode", name)
        series, new_series = self._nodes.get(f"{self._role} series", "vtkMRMLPlotSeriesNode", name)
        if new_table:
            _set_up_table(table)
        if new_table or new_series:
            series.SetAndObserveTableNodeID(table.GetID())
            series.SetXColumnName(TIME_COLUMN)
            series.SetYColumnName(VALUE_COLUMN)
            series.SetPlotType(_Series.PlotTypeScatter)
        was_modifying = series.StartModify()
        if name != self._name or new_table or new_series:
            self._name = name
            mark(series, name, self._provenance)
            mark(table, name, self._provenance)
        series.SetColor(*style.colour)
        series.SetLineWidth(style.width)
        series.SetLineStyle(_Series.LineStyleDash if style.dashed else _Series.LineStyleSolid)
        series.SetMarkerStyle(_Series.MarkerStyleCircle if style.markers else _Series.MarkerStyleNone)
        series.EndModify(was_modifying)
        _fill(table, x, y)
        return series

    @property
    def is_drawn(self) -> bool:
        return self._nodes.find(f"{self._role} series") is not None

    def remove(self) -> None:
        self._nodes.remove(f"{self._role} series")
        self._nodes.remove(f"{self._role} table")


def _set_up_table(table: Any) -> None:
    table.RemoveAllColumns()
    for column in (TIME_COLUMN, VALUE_COLUMN):
        values = vtk.vtkDoubleArray()
        values.SetName(column)
        table.AddColumn(values)


def _fill(table: Any, *columns: np.ndarray) -> None:
    """Writes the columns; one event."""
    was_modifying = table.StartModify()
    for n, values in enumerate(columns):
        array = table.GetTable().GetColumn(n)
        array.SetNumberOfValues(len(values))
        vtk_to_numpy(array)[:] = values
        array.Modified()
    table.GetTable().Modified()
    table.EndModify(was_modifying)
