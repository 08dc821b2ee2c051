"""The picture of a region: where it lies, how it enhances, and the curve types around it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.export.region_view import RegionView, draw_outline
from CEKWorldLib.export.style import ACQUIRED, RESEARCH, SYNTHETIC, mark_cell, save_picture
from CEKWorldLib.export.type_colours import PALETTES, Palette, coloured_types
from CEKWorldLib.kinetics.curve_type import TYPES
from CEKWorldLib.kinetics.noise import background_noise
from CEKWorldLib.kinetics.roi import RoiResult
from CEKWorldLib.kinetics.statistics import curve_statistics

_CELL_INCHES = 2.3


def write_region_picture(
    path: Path | str, series: TimeSeries, result: RoiResult, palette: Palette = "standard"
) -> None:
    """Draws the slice with most of the region, turned as it is read, all phases in one window.

    From left to right: the whole slice before contrast; then the part around the region before contrast, at t_e, at
    t_l, and at t_e with the curve types of every voxel above the enhancement gate.

    Args:
        path: PNG or SVG to write, by its suffix.
        series: what the region was measured on.
        result: of the region.
        palette: colours of the curve types.

    Raises:
        CEKWorldError: the file cannot be written.
    """
    view = RegionView.of(series.grid, result.positions)
    outline, box, pixel = view.outline, view.box, view.pixel
    frames = np.stack([view.plane(frame) for frame in series.frames])
    before = frames[series.times_s <= max(0.0, float(series.times_s[0]))].mean(axis=0)
    statistics = result.statistics
    early, late = (_nearest(series, t) for t in (statistics.t_e_s, statistics.t_l_s))
    settings = result.settings
    if settings.noise_sd is None:  # air would show types at random, as it enhances at random
        settings = replace(settings, noise_sd=background_noise(series.frames[0]))
    types = curve_statistics(frames, series.times_s, settings).gated_type
    low, high = _window(frames[:, *box])
    height_mm, width_mm = view.sides_mm
    figure = Figure(figsize=(5 * _CELL_INCHES, _CELL_INCHES * height_mm / width_mm + 0.75), facecolor="black")
    cells = figure.subplots(1, 5, gridspec_kw={"wspace": 0.03})
    figure.subplots_adjust(left=0.004, right=0.996, bottom=0.16 if types.any() else 0.02, top=0.86)
    titles = (
        f"slice {view.index + 1}, before contrast", "before contrast", _title(series, early, "$t_e$"),
        _title(series, late, "$t_l$"), "curve types",
    )  # fmt: skip
    pictures = (before, before[box], frames[early][box], frames[late][box], frames[early][box])
    for cell, title, picture in zip(cells, titles, pictures, strict=True):
        cell.imshow(picture, cmap="gray", vmin=low, vmax=high, aspect=pixel, interpolation="antialiased")
        cell.set_title(title, color="white", fontsize=9, pad=4)
        cell.set_axis_off()
        mark_cell(cell, series.synthetic)
    cells[4].imshow(coloured_types(types[box], palette), aspect=pixel, interpolation="nearest", alpha=0.6)
    rows, columns = box
    cells[0].add_patch(
        Rectangle(
            (columns.start - 0.5, rows.start - 0.5), columns.stop - columns.start, rows.stop - rows.start,
            fill=False, edgecolor="white", linewidth=0.8,
        )
    )  # fmt: skip
    draw_outline(cells[0], outline)
    for cell in cells[1:]:
        draw_outline(cell, outline[box])
    if types.any():
        _legend(figure, palette)
    save_picture(figure, path, 150, f"{SYNTHETIC if series.synthetic else ACQUIRED}: {RESEARCH}")


def _nearest(series: TimeSeries, t_s: float) -> int:
    """The phase at a time; the last one where there is no such time."""
    return int(np.abs(series.times_s - t_s).argmin()) if np.isfinite(t_s) else len(series.times_s) - 1


def _title(series: TimeSeries, phase: int, name: str) -> str:
    return f"{name}: {series.times_s[phase]:.4g} s"


def _window(frames: np.ndarray) -> tuple[float, float]:
    """One grey scale for all phases, or enhancement would not show; the brightest 0.5 % may saturate."""
    low, high = np.nanpercentile(frames, [1.0, 99.5])
    return float(low), float(high) if high > low else float(low) + 1.0


def _legend(figure: Figure, palette: Palette) -> None:
    for place, kind in enumerate(TYPES):
        colour = np.array(PALETTES[palette][kind]) / 255
        left = 0.805 + 0.066 * place
        figure.add_artist(Rectangle((left, 0.055), 0.008, 0.045, facecolor=tuple(colour), edgecolor="none"))
        figure.text(left + 0.011, 0.077, kind.name.lower(), color="white", fontsize=7.5, va="center")
