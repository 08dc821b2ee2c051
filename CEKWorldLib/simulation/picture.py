"""A one-page picture of a simulated case: what was acquired, what is true, and how it enhances."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure, SubFigure

from CEKWorldLib.simulation.case import Case
from CEKWorldLib.simulation.labels import Label, is_lesion

_CURVE_TIMES = np.concatenate([np.arange(0, 90, 3), np.arange(90, 361, 15)])
_ORGANS = (
    Label.ARTERY,
    Label.HEART,
    Label.GLAND,
    Label.LIVER,
    Label.SPLEEN,
    Label.KIDNEY_CORTEX,
    Label.PORTAL_VEIN,
    Label.SINUS,
    Label.GREY_MATTER,
    Label.WHITE_MATTER,
    Label.MUSCLE,
    Label.FAT,
)
_MIN_VOXELS = 20


def case_picture(case: Case, path: Path | str) -> None:
    """Writes a PNG: slices by phases on top, percent-enhancement curves of lesions and organs below.

    The phases share one window; the pre-contrast volume and the subtraction (90 s minus pre-contrast) have their own.
    """
    slices = _slices_to_show(case)
    arterial = case.injection.arrival_s + 12.0
    phases = {f"arterial {arterial:.0f} s": case.signal(arterial)}
    phases |= {f"{t} s": case.signal(t) for t in (90, 300)}
    subtraction = case.enhancement(90.0)
    # Blood, kidneys and scalp fat would set the window for everything else: the 90th percentile passes them by.
    body = ~np.isin(case.labels, [Label.AIR, Label.LUNG, Label.ARTERY, Label.HEART, Label.VEIN, Label.SINUS])
    window = 1.4 * float(np.percentile(np.stack(list(phases.values()))[:, body], 90))
    pre_window = 1.4 * float(np.percentile(case.pre.voxels[body], 90))
    subtraction_window = float(max(np.percentile(subtraction[body], 99), 0.05 * window))

    rows, columns = len(slices), len(phases) + 3
    figure = Figure(figsize=(2.7 * columns, 2.7 * rows + 4.2), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    pictures, plots = cast(list[SubFigure], figure.subfigures(2, 1, height_ratios=[2.7 * rows, 3.7]))
    grid = pictures.subplots(rows, columns, squeeze=False)
    for row, k in zip(grid, slices, strict=True):
        row[0].imshow(case.pre.voxels[k], cmap="gray", vmin=0, vmax=pre_window)
        _show_labels(row[1], case.labels[k])
        for axes, image in zip(row[2:-1], phases.values(), strict=True):
            axes.imshow(image[k], cmap="gray", vmin=0, vmax=window)
        row[-1].imshow(subtraction[k], cmap="gray", vmin=0, vmax=subtraction_window)
        row[0].text(3, 3, f"slice {k}", color="yellow", fontsize=8, va="top")
    for axes, title in zip(grid[0], ["pre-contrast", "labels", *phases, "90 s - pre"], strict=True):
        axes.set_title(title, fontsize=9)
    for axes in grid.flat:
        axes.set_axis_off()
    figure.suptitle(_title(case), fontsize=10)
    _plot_curves(plots, case)
    figure.savefig(path, dpi=90)


def _slices_to_show(case: Case) -> list[int]:
    """Up to three slices: those with most of each lesion, filled up with the middle of the stack."""
    sizes = [(case.labels == code).sum(axis=(1, 2)) for code in np.unique(case.labels[is_lesion(case.labels)])]
    wanted = [int(size.argmax()) for size in sizes]
    count = len(case.labels)
    chosen = list(dict.fromkeys([*wanted, count // 2, count // 4, 3 * count // 4]))[:3]
    return sorted(chosen)


def _show_labels(axes: Axes, labels: np.ndarray) -> None:
    """Labels in colours of their own; lesions in reds."""
    codes = np.arange(256)
    hsv = np.stack([codes * 0.618 % 1, np.full(256, 0.5), np.full(256, 0.75)], -1)  # golden ratio: neighbours differ
    hsv[Label.AIR] = 0
    hsv[Label.LESION :, 0] = np.linspace(0.93, 1.03, 256 - Label.LESION) % 1
    hsv[Label.LESION :, 1:] = 1
    axes.imshow(hsv_to_rgb(hsv)[labels])


def _plot_curves(figure: SubFigure, case: Case) -> None:
    lesion_axes, organ_axes = figure.subplots(1, 2)
    for index, lesion in enumerate(case.lesions):
        kind = "malignant" if lesion.malignant else "benign"
        name = f"{index + 1} {lesion.family} ({kind}, {lesion.radius_mm:.0f} mm)"
        _plot(lesion_axes, case, case.labels == Label.LESION + index, name)
    for label in _ORGANS:
        _plot(organ_axes, case, case.labels == label, label.name.lower().replace("_", " "))
    for axes, title in ((lesion_axes, "lesions"), (organ_axes, "organs")):
        axes.axvline(case.injection.arrival_s, color="gray", lw=0.8, ls=":")
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("s after injection start", fontsize=8)
        axes.set_ylabel("enhancement, %", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize=7, ncols=2)


def _plot(axes: Axes, case: Case, mask: np.ndarray, name: str) -> None:
    if mask.sum() < _MIN_VOXELS:
        return
    signal = case.curve(mask, [0.0, *_CURVE_TIMES])
    axes.plot(_CURVE_TIMES, 100 * (signal[1:] / signal[0] - 1), label=name, lw=1.2)


def _title(case: Case) -> str:
    scan, injection = case.acquisition, case.injection
    return (
        f"{case.anatomy}, simulated, {case.split} {case.seed}, {case.view}, {scan.field_strength_t:g} T, "
        f"TR {scan.repetition_time_ms:.1f} TE {scan.echo_time_ms:.1f} ms, {scan.flip_angle_deg:.0f} deg, "
        f"{'fat-saturated' if scan.fat_saturated else 'no fat saturation'}, AIF {case.aif}, "
        f"arrival {injection.arrival_s:.0f} s, r1 {injection.relaxivity:g}"
    )
