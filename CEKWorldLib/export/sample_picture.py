"""The picture of what samples of a series agree on, and where they do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.export.region_view import RegionView, draw_outline
from CEKWorldLib.export.style import ACQUIRED, RESEARCH, SYNTHETIC, mark_cell, save_picture
from CEKWorldLib.kinetics.curve_type import TYPES
from CEKWorldLib.kinetics.roi import RoiResult
from CEKWorldLib.kinetics.uncertainty import MapUncertainty

_CELL_INCHES = 2.9
_BRIGHTEST = 99.0  # percentile that a colour scale ends at


def write_sample_picture(path: Path | str, series: TimeSeries, result: RoiResult, spread: MapUncertainty) -> None:
    """Draws the part around a region: mean and standard deviation of the enhancement, and each type's share.

    Args:
        path: PNG or SVG to write, by its suffix.
        series: whose samples they are.
        result: of the region.
        spread: with the enhancement at t_e.

    Raises:
        CEKWorldError: the file cannot be written.
    """
    view = RegionView.of(series.grid, result.positions)
    mean, sd = spread.mean["percent_enhancement"], spread.sd["percent_enhancement"]
    panels = [("mean enhancement at $t_e$ (%)", mean, "viridis"), ("its standard deviation (%)", sd, "magma")]
    panels += [(f"samples with {kind.name.lower()} (%)", spread.type_shares[kind], "cividis") for kind in TYPES]
    height_mm, width_mm = view.sides_mm
    size = (len(panels) * _CELL_INCHES, _CELL_INCHES * height_mm / width_mm + 0.9)
    figure = Figure(figsize=size, facecolor="black")
    cells = figure.subplots(1, len(panels), gridspec_kw={"wspace": 0.05})
    figure.subplots_adjust(left=0.006, right=0.985, bottom=0.1, top=0.92)
    for cell, (title, values, colours) in zip(cells, panels, strict=True):
        shown = view.plane(values)[view.box]
        is_share = title.startswith("samples")
        image = cell.imshow(shown, cmap=colours, vmin=0, vmax=100 if is_share else _top(shown), aspect=view.pixel)
        cell.set_title(title, color="white", fontsize=9, pad=4)
        cell.set_axis_off()
        draw_outline(cell, view.outline[view.box])
        mark_cell(cell, series.synthetic)
        ticks = MaxNLocator(5, prune="both")  # the numbers at the ends would touch the neighbour's
        bar = figure.colorbar(image, ax=cell, location="bottom", pad=0.02, fraction=0.05, ticks=ticks)
        bar.ax.tick_params(colors="white", labelsize=7.5)
    save_picture(figure, path, 120, f"{SYNTHETIC if series.synthetic else ACQUIRED}: {RESEARCH}")


def _top(shown: np.ndarray) -> float:
    """Where the colour scale ends: the brightest hundredth may saturate."""
    finite = shown[np.isfinite(shown)]
    return max(float(np.percentile(finite, _BRIGHTEST)), 1.0) if finite.size else 1.0
