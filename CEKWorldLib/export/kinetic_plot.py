"""The kinetic plot: percent enhancement over time with all that a curve's class rests on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill, wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from CEKWorldLib.export.style import (
    ACQUIRED,
    CAUTION,
    RESEARCH,
    SYNTHETIC,
    WARNING_COLOUR,
    plain,
    region_colour,
    save_picture,
)
from CEKWorldLib.kinetics.curve_type import CurveType
from CEKWorldLib.kinetics.roi import RoiResult

_GREY = "0.35"
_LEFT, _RIGHT, _TEXT_WIDTH = 0.075, 0.70, 36
# Room for the plot with its head, and below it for five lines of notes, or as many as there are.
_PLOT_INCHES, _BELOW_INCHES, _LINE_INCHES = 4.8, 1.2, 0.14


def write_kinetic_plot(
    path: Path | str, results: Sequence[RoiResult], synthetic: bool, cursor_s: float | None = None
) -> None:
    """Plots the curves of regions.

    Each region has its curve, the band of a plateau around its reference sample, in the units of the axis, and the
    spread of its samples where they are known. Lines mark t_e, t_l and the cursor.

    Args:
        path: PNG or SVG to write, by its suffix.
        results: regions of one series under one settings object.
        synthetic: whether a model made the series; the word stands on the plot either way.
        cursor_s: the time a viewer shows, marked with each curve's value there; None marks none.

    Raises:
        CEKWorldError: the suffix names no picture format, or the file cannot be written.
    """
    notes = _notes(results)
    below = max(_BELOW_INCHES, 0.6 + _LINE_INCHES * len(notes))
    height = _PLOT_INCHES + below
    figure = Figure(figsize=(10.5, height), facecolor="white")
    axes = figure.add_axes((_LEFT, below / height, _RIGHT - _LEFT, 3.96 / height))
    if synthetic:
        axes.text(
            0.5, 0.5, SYNTHETIC, transform=axes.transAxes, ha="center", va="center", rotation=24, fontsize=60,
            fontweight="bold", color="0.94", zorder=0,
        )  # fmt: skip
    axes.axhline(0.0, color="0.75", linewidth=0.8, zorder=1)
    for index, result in enumerate(results):
        _draw(axes, result, region_colour(index))
    _mark_times(axes, results, cursor_s)
    first, last = float(results[0].times_s[0]), float(results[0].times_s[-1])
    axes.set_xlim(first, last + 0.02 * (last - first))
    axes.margins(y=0.1)
    zero = "injection start" if results[0].from_injection else "the first phase"
    axes.set_xlabel(f"time after {zero} (s)")
    axes.set_ylabel("signal enhancement over pre-contrast (%)")
    axes.grid(True, color="0.92", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    _legend(figure, results)
    figure.text(_LEFT, (below - 0.51) / height, "\n".join(notes), color="0.3", fontsize=8, va="top")
    _head(figure, synthetic, 1 - 0.27 / height)
    save_picture(figure, path, 160, f"{SYNTHETIC}: {CAUTION}" if synthetic else f"{ACQUIRED}: {RESEARCH}")


def plateau_band(result: RoiResult) -> tuple[float, float]:
    """The lowest and highest enhancement at t_l that still count as a plateau, in percent enhancement."""
    reference, band = float(result.statistics.reference_enhancement), result.settings.band_percent / 100
    # A tenth of the signal 100 + PE is a tenth of both: of the enhancement and of the baseline it stands on.
    width = band * (100 + reference if result.settings.definition == "signal" else reference)
    return reference - width, reference + width


def _draw(axes: Axes, result: RoiResult, colour: str) -> None:
    axes.plot(result.times_s, result.enhancement, "-o", color=colour, linewidth=1.8, markersize=3.5, zorder=3)
    statistics = result.statistics
    if result.curve_type != CurveType.NONE:
        low, high = plateau_band(result)
        span = [_reference_time(result), statistics.t_l_s]
        axes.fill_between(span, low, high, facecolor=colour, alpha=0.10, linewidth=0, zorder=1)
        axes.plot(span, [low, low], color=colour, linewidth=0.7, linestyle=":", zorder=2)
        axes.plot(span, [high, high], color=colour, linewidth=0.7, linestyle=":", zorder=2)
    if result.uncertainty:
        mean, sd = result.uncertainty.enhancement_mean, result.uncertainty.enhancement_sd
        axes.fill_between(
            result.times_s, mean - sd, mean + sd, facecolor="none", edgecolor=colour, alpha=0.45, hatch="////",
            linewidth=0.5, zorder=2,
        )  # fmt: skip


def _reference_time(result: RoiResult) -> float:
    """When the reference sample was taken: t_e, or the peak of the initial phase."""
    if result.settings.reference == "t_e":
        return result.statistics.t_e_s
    off = np.abs(result.enhancement - float(result.statistics.reference_enhancement))
    return float(result.times_s[np.argmin(np.where(result.times_s <= result.settings.peak_within_s, off, np.inf))])


def _mark_times(axes: Axes, results: Sequence[RoiResult], cursor_s: float | None) -> None:
    statistics = results[0].statistics
    marks = [("$t_e$", statistics.t_e_s), ("$t_l$", statistics.t_l_s)]
    for name, time in marks:
        if np.isfinite(time):
            axes.axvline(time, color=_GREY, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
            axes.annotate(
                f"{name} = {time:.4g} s", (time, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 3),
                textcoords="offset points", ha="center", fontsize=8.5, color=_GREY,
            )  # fmt: skip
    if cursor_s is None:
        return
    axes.axvline(cursor_s, color="black", linewidth=1.2, zorder=2)
    axes.annotate(
        f"{cursor_s:.4g} s", (cursor_s, 0.0), xycoords=("data", "axes fraction"), xytext=(4, 4),
        textcoords="offset points", fontsize=8.5, fontweight="bold",
    )  # fmt: skip
    for index, result in enumerate(results):
        value = np.interp(cursor_s, result.times_s, result.enhancement)
        axes.plot(cursor_s, value, "o", color=region_colour(index), markersize=8, markeredgecolor="black", zorder=4)


def _legend(figure: Figure, results: Sequence[RoiResult]) -> None:
    settings = results[0].settings
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=region_colour(i), linewidth=2.0, marker="o", markersize=4, label=_label(result))
        for i, result in enumerate(results)
    ]
    reference = "$t_e$" if settings.reference == "t_e" else "the early peak"
    band = f"plateau: ±{settings.band_percent:g} % of the\n{settings.definition} at {reference}"
    handles.append(Patch(facecolor="0.85", edgecolor="0.4", linestyle=":", label=band))
    if any(result.uncertainty for result in results):
        handles.append(Patch(facecolor="white", edgecolor="0.4", hatch="////", label="mean ± 1 sd of the samples"))
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(_RIGHT + 0.015, 0.88), frameon=False, fontsize=8.5,
        labelspacing=0.9,
    )  # fmt: skip


def _label(result: RoiResult) -> str:
    """Name, size, and class: one where there is one curve, shares where there are samples of it."""
    size = f"{result.curve_voxels} of {result.voxels} voxels, {result.mode}"
    lines = [fill(plain(result.name), _TEXT_WIDTH), size]
    if result.uncertainty:
        shares = sorted(result.uncertainty.type_shares.items(), key=lambda item: -item[1])
        named = ", ".join(f"{_word(kind)} {share:.0f} %" for kind, share in shares if share >= 0.5)
        lines.append(fill(f"{named} of {result.uncertainty.samples} samples", _TEXT_WIDTH))
    else:
        change = float(result.statistics.delayed_change)
        lines.append(
            f"{result.initial_phase.name.lower()}, {_word(result.curve_type)} ({change:+.1f} %)"
            if result.curve_type != CurveType.NONE
            else _word(result.curve_type)
        )
    return "\n".join(lines)


def _word(kind: CurveType) -> str:
    return "not evaluable" if kind == CurveType.NONE else kind.name.lower()


def _head(figure: Figure, synthetic: bool, height: float) -> None:
    word, colour, caution = (SYNTHETIC, WARNING_COLOUR, CAUTION) if synthetic else (ACQUIRED, "0.2", RESEARCH)
    figure.text(_LEFT, height, word, color=colour, fontsize=15, fontweight="bold", va="center")
    figure.text(_LEFT + 0.135, height, caution, color=colour, fontsize=9.5, va="center")


def _notes(results: Sequence[RoiResult]) -> list[str]:
    """The definition, and what the reader must know of times and regions, as lines."""
    shared = results[0].statistics.notes
    own = [f"{plain(result.name)}: {note}" for result in results for note in result.notes if note not in shared]
    return [line for note in (results[0].settings.description(), *shared, *own) for line in wrap(note, 150)]
