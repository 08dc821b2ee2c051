"""Curves of regions as a Plotly figure, in the page's colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from CEKWorldLib.kinetics.roi import RoiResult
from CEKWorldLib.scene.region import Colour
from CEKWorldLib.web.curve_table import css

# Margins in pixels; the time cursor is laid over the plot by the style sheet, which must know them.
LEFT, RIGHT, TOP, BOTTOM = 54, 14, 22, 44
_TEXT, _GRID, _LINE = "#9aa4b2", "#1f2732", "#5b6675"
_LEAST_RANGE = (-10.0, 60.0)  # percent; keeps noise in resting tissue from filling the plot


def curve_figure(
    results: Sequence[RoiResult], colours: Sequence[Colour], first_s: float, last_s: float, from_injection: bool = True
) -> dict[str, Any]:
    """The figure: percent enhancement over time, its spread over samples, lines at t_e and t_l of the first region.

    Args:
        results: of the regions; may be none.
        colours: of the regions as they are drawn.
        first_s: where the time axis begins.
        last_s: where it ends.
        from_injection: whether times count from the start of the injection, else from the first phase.
    """
    traces: list[dict[str, Any]] = []
    for result, colour in zip(results, colours, strict=True) if results else ():
        traces += [*_band(result, colour), _curve(result, colour)]
    return {"data": traces, "layout": _layout(results, first_s, last_s, from_injection)}


def _curve(result: RoiResult, colour: Colour) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": result.name,
        "x": result.times_s.tolist(),
        "y": _listed(result.enhancement),
        "line": {"color": css(colour), "width": 2},
        "marker": {"size": 5},
        "hovertemplate": "%{x:.0f} s  %{y:+.0f} %<extra>" + result.name + "</extra>",
    }


def _band(result: RoiResult, colour: Colour) -> list[dict[str, Any]]:
    """One standard deviation of the samples to either side of their mean."""
    if result.uncertainty is None:
        return []
    mean, sd = result.uncertainty.enhancement_mean, result.uncertainty.enhancement_sd
    red, green, blue = (round(255 * channel) for channel in colour)
    return [
        {
            "type": "scatter",
            "x": [*result.times_s.tolist(), *result.times_s[::-1].tolist()],
            "y": _listed(np.concatenate([mean + sd, (mean - sd)[::-1]])),
            "fill": "toself",
            "fillcolor": f"rgba({red}, {green}, {blue}, 0.22)",
            "line": {"width": 0},
            "mode": "lines",
            "hoverinfo": "skip",
            "showlegend": False,
        }
    ]


def _layout(results: Sequence[RoiResult], first_s: float, last_s: float, from_injection: bool) -> dict[str, Any]:
    axis = {"gridcolor": _GRID, "zerolinecolor": _LINE, "linecolor": _LINE, "fixedrange": True, "ticks": "outside"}
    values = np.concatenate([*(result.enhancement for result in results), np.array(_LEAST_RANGE)])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = 0.06 * (high - low)
    zero = "injection start" if from_injection else "the first phase"
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": _TEXT, "size": 11},
        "margin": {"l": LEFT, "r": RIGHT, "t": TOP, "b": BOTTOM, "pad": 0},
        "xaxis": {
            **axis,
            "title": {"text": f"time after {zero} (s)", "standoff": 8},
            "range": [first_s, last_s],
        },
        "yaxis": {
            **axis,
            "title": {"text": "enhancement (%)", "standoff": 6},
            "range": [low - margin, high + margin],
        },
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": False,
        "autosize": True,
        **_reference_times(results, last_s),
    }


def _reference_times(results: Sequence[RoiResult], last_s: float) -> dict[str, Any]:
    """Dashed lines where the early and the delayed sample were taken."""
    if not results:
        return {}
    times = {"t_e": results[0].statistics.t_e_s, "t_l": results[0].statistics.t_l_s}
    known = {name: float(t) for name, t in times.items() if math.isfinite(t)}
    line = {"color": _LINE, "width": 1, "dash": "dash"}
    shapes = [
        {"type": "line", "x0": t, "x1": t, "yref": "paper", "y0": 0, "y1": 1, "line": line} for t in known.values()
    ]
    notes = [
        {
            "x": t,
            "xanchor": "right" if t > 0.8 * last_s else "center",
            "y": 1,
            "yref": "paper",
            "yanchor": "bottom",
            "text": f"{name} {t:.0f} s",
            "showarrow": False,
        }
        for name, t in known.items()
    ]
    return {"shapes": shapes, "annotations": notes}


def _listed(values: np.ndarray) -> list[float | None]:
    """NaN as gaps, which JSON can say."""
    return [float(value) if math.isfinite(value) else None for value in values]
