"""The time-intensity plot: percent enhancement over seconds, one line per region."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from CEKWorldLib.export.curves import RegionCurve
from CEKWorldLib.export.style import CAUTION, SYNTHETIC, WARNING_COLOUR, plain, region_colour, save_png


def write_curve_plot(
    path: Path | str, curves: Sequence[RegionCurve], arrival_s: float, key_times_s: Sequence[float], subtitle: str = ""
) -> None:
    """Plots the regions' percent enhancement; synthetic solid, truth dashed where known.

    Args:
        path: PNG to write.
        curves: one per region, sampled finely enough to look continuous.
        arrival_s: bolus arrival, drawn as a line.
        key_times_s: synthesized times, drawn as dots; between them the line is interpolated.
        subtitle: one line on model and source.

    Raises:
        CEKWorldError: the file cannot be written.
    """
    figure = Figure(figsize=(9.0, 5.4), facecolor="white")
    axes = figure.add_axes((0.085, 0.115, 0.665, 0.755))
    axes.text(
        0.5, 0.5, SYNTHETIC, transform=axes.transAxes, ha="center", va="center", rotation=24, fontsize=64,
        fontweight="bold", color="0.93", zorder=0,
    )  # fmt: skip
    axes.axhline(0.0, color="0.75", linewidth=0.8, zorder=1)
    axes.axvline(arrival_s, color="0.35", linewidth=1.0, linestyle=(0, (1, 2)), zorder=1)
    axes.annotate(
        f"bolus arrival {arrival_s:.3g} s", (arrival_s, 1.0), xycoords=("data", "axes fraction"), xytext=(4, -4),
        textcoords="offset points", va="top", fontsize=8.5, color="0.35",
    )  # fmt: skip
    for index, curve in enumerate(curves):
        colour = region_colour(index)
        axes.plot(curve.times_s, curve.enhancement, color=colour, linewidth=2.0, zorder=3)
        dots = [curve.enhancement_at(t) for t in key_times_s]
        axes.plot(key_times_s, dots, "o", color=colour, markersize=4.0, clip_on=False, zorder=4)
        if curve.true_enhancement is not None:
            axes.plot(curve.times_s, curve.true_enhancement, color=colour, linewidth=1.4, linestyle="--", zorder=2)
    first, last = float(curves[0].times_s[0]), float(curves[0].times_s[-1])
    axes.set_xlim(first, max(last, first + 1.0))
    axes.margins(y=0.08)
    axes.set_xlabel("time after injection start (s)")
    axes.set_ylabel("signal enhancement over pre-contrast (%)")
    axes.grid(True, color="0.92", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    _legend(figure, curves)
    figure.text(0.085, 0.95, SYNTHETIC, color=WARNING_COLOUR, fontsize=15, fontweight="bold", va="center")
    figure.text(0.245, 0.95, CAUTION, color=WARNING_COLOUR, fontsize=9.5, va="center")
    figure.text(0.085, 0.903, plain(subtitle), color="0.3", fontsize=9, va="center")
    save_png(figure, path, dpi=160)


def _legend(figure: Figure, curves: Sequence[RegionCurve]) -> None:
    handles = [
        Line2D([], [], color=region_colour(i), linewidth=2.0, label=f"{fill(plain(c.name), 24)}\n({_count(c.voxels)})")
        for i, c in enumerate(curves)
    ]
    handles.append(Line2D([], [], color="0.2", linewidth=2.0, marker="o", markersize=4, label="synthetic"))
    if any(curve.truth is not None for curve in curves):
        handles.append(Line2D([], [], color="0.2", linewidth=1.4, linestyle="--", label="truth (simulated)"))
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.76, 0.88), frameon=False, fontsize=9, labelspacing=0.7
    )


def _count(voxels: int) -> str:
    return f"{voxels:,} voxel{'s' if voxels != 1 else ''}".replace(",", " ")


def plot_times(first_s: float, last_s: float, arrival_s: float) -> np.ndarray:
    """Times for a line that looks continuous: every 2 s for the 90 s around the first pass, every 10 s after it."""
    bend = min(max(arrival_s + 75.0, first_s), last_s)
    early = np.linspace(first_s, bend, max(2, round((bend - first_s) / 2.0) + 1))
    late = np.linspace(bend, last_s, round((last_s - bend) / 10.0) + 2)[1:]
    return np.unique(np.concatenate([early, late]))
