"""The chart of a session: curves of regions, the voxel under the mouse, and lines at the times that matter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from CEKWorldLib.kinetics.roi import RoiResult
from CEKWorldLib.scene.owned_nodes import OwnedNodes
from CEKWorldLib.scene.plot_line import LineStyle, PlotLine
from CEKWorldLib.scene.provenance import Provenance, mark
from CEKWorldLib.scene.region import Colour

_TIME, _TIME_FROM_FIRST = "time after injection (s)", "time after the first phase (s)"
_CURSOR_ROLE, _REFERENCE_ROLES = "time cursor", ("t_e", "t_l")
_VERTICALS = (_CURSOR_ROLE, *_REFERENCE_ROLES)  # of the reader, not of the patient, so never synthetic
_CURSOR = LineStyle((0.85, 0.45, 0.0))
_HOVER = LineStyle((0.5, 0.5, 0.5), markers=True, width=1.0)
_REFERENCE = LineStyle((0.4, 0.4, 0.4), dashed=True, width=1.0)
_MARGIN = 0.05  # of the range, below the curves
_HEADROOM = 0.35  # of the range, above them: where Slicer puts the legend, of five lines in a quarter of a screen
_LEAST_RANGE = (-10.0, 60.0)  # percent; keeps noise in resting tissue from filling the plot


class CurveChart:
    """Percent enhancement over time in MRML plot nodes, which stay the same nodes for as long as the session lives.

    A plot view reads all series again at any change, so callers update at 15 to 20 Hz at most.

    Args:
        nodes: of the session.
        name: what is plotted.
        provenance: None for acquired series.
        from_injection: whether times count from the start of the injection, else from the first phase.
    """

    def __init__(
        self, nodes: OwnedNodes, name: str, provenance: Provenance | None, from_injection: bool = True
    ) -> None:
        self._nodes = nodes
        self._name = name
        self._provenance = provenance
        self._time_title = _TIME if from_injection else _TIME_FROM_FIRST
        self._lines: dict[str, PlotLine] = {}
        self._range = _LEAST_RANGE
        self._verticals: dict[str, tuple[float, LineStyle]] = {}
        self._set_up: Any | None = None  # the node, once it is this exam's

    @property
    def node(self) -> Any:
        """``vtkMRMLPlotChartNode``, for a view's or the layout's use."""
        chart, _new = self._nodes.get("chart", "vtkMRMLPlotChartNode", self._name)
        if chart is not self._set_up:
            self._set_up = chart
            mark(chart, f"{self._name} curves", self._provenance)
            chart.SetTitle(chart.GetName())
            chart.SetXAxisTitle(self._time_title)
            chart.SetYAxisTitle("enhancement (%)")
            chart.SetYAxisRangeAuto(False)
            chart.EnablePointMoveAlongXOff()
            chart.EnablePointMoveAlongYOff()
        return chart

    def show_curves(self, results: Sequence[RoiResult], colours: Sequence[Colour]) -> None:
        """Replaces the curves with the bands of their samples, and the lines at t_e and t_l of the first.

        Args:
            results: one per region.
            colours: of the regions as they are drawn.
        """
        chart = self.node
        was_modifying = chart.StartModify()
        for n, (result, colour) in enumerate(zip(results, colours, strict=True)):
            self._draw(f"curve {n}", result.name, result.times_s, result.enhancement, LineStyle(colour, markers=True))
            self._draw_band(n, result, colour)
        n = len(results)
        while self._line(f"curve {n}").is_drawn:  # be it of the exam before, whose nodes are gone on with
            for role in (f"curve {n}", *_band_roles(n)):
                self._erase(role)
            n += 1
        bands = [edge for result in results for edge in _band(result)]
        self._range = _value_range([*(result.enhancement for result in results), *bands])
        self._set_verticals(results)
        chart.EndModify(was_modifying)

    def show_time(self, time_s: float) -> None:
        """Moves the time cursor."""
        self._vertical(_CURSOR_ROLE, time_s, _CURSOR)
        self.node.Modified()  # the view reads a series' table again only when its chart says so

    def show_hover(self, times_s: np.ndarray, enhancement: np.ndarray) -> None:
        """Shows the curve of the voxel under the mouse."""
        self._draw("hover", "voxel", times_s, enhancement, _HOVER)
        self.node.Modified()

    def hide_hover(self) -> None:
        self._erase("hover")

    def _draw_band(self, n: int, result: RoiResult, colour: Colour) -> None:
        """Two thin lines around a curve where several samples tell its spread, else none."""
        band = _band(result)
        for role, sign, edge in zip(_band_roles(n), "-+", band or (None, None), strict=True):
            if edge is None:
                self._erase(role)
            else:
                self._draw(role, f"{result.name} mean {sign} SD", result.times_s, edge, LineStyle(colour, width=1.0))

    def _set_verticals(self, results: Sequence[RoiResult]) -> None:
        low, high = self._range
        self.node.SetYAxisRange(low, high)
        first = results[0].statistics if results else None
        times = dict(zip(_REFERENCE_ROLES, (first.t_e_s, first.t_l_s), strict=True)) if first else {}
        for name in _REFERENCE_ROLES:
            if name in times and np.isfinite(times[name]):
                self._vertical(name, times[name], _REFERENCE)
            else:
                self._erase(name)
        if _CURSOR_ROLE in self._verticals:
            self._vertical(_CURSOR_ROLE, *self._verticals[_CURSOR_ROLE])

    def _vertical(self, name: str, time_s: float, style: LineStyle) -> None:
        self._verticals[name] = (time_s, style)
        self._draw(name, name, np.full(2, time_s), np.array(self._range), style)

    def _draw(self, role: str, name: str, x: np.ndarray, y: np.ndarray, style: LineStyle) -> None:
        series = self._line(role).update(name, x, y, style)
        if not self.node.HasPlotSeriesNodeID(series.GetID()):
            self.node.AddAndObservePlotSeriesNodeID(series.GetID())

    def _erase(self, role: str) -> None:
        self._line(role).remove()  # the chart lets go of a series that leaves the scene
        self._lines.pop(role, None)
        self._verticals.pop(role, None)

    def _line(self, role: str) -> PlotLine:
        is_of_patient = role not in _VERTICALS
        return self._lines.setdefault(role, PlotLine(self._nodes, role, self._provenance if is_of_patient else None))


def _band_roles(n: int) -> tuple[str, str]:
    return f"curve {n} lower", f"curve {n} upper"


def _band(result: RoiResult) -> tuple[np.ndarray, ...]:
    """Mean of the samples less and plus their standard deviation, (T,) percent; nothing where there is one sample."""
    if result.uncertainty is None:
        return ()
    mean, sd = result.uncertainty.enhancement_mean, result.uncertainty.enhancement_sd
    return mean - sd, mean + sd


def _value_range(curves: Sequence[np.ndarray]) -> tuple[float, float]:
    values = np.concatenate([*curves, _LEAST_RANGE])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return low - _MARGIN * (high - low), high + _HEADROOM * (high - low)
