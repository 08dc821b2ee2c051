"""The contact sheet: slices down, times across, one window for all, the truth below the synthesis where it is known."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.ndimage import map_coordinates

from CEKWorldLib.exam.grid import ModelGrid, View
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.export.style import CAUTION, SYNTHETIC, plain, region_colour, save_png

_GAP = 4  # pixels between cells
_CELL_INCHES = 1.75
_BODY = 0.06  # of the brightest signal; air and lung lie below
_OUTLINED = 0.01  # of the volume; the outline of a larger region hides more than it shows


def write_contact_sheet(
    path: Path | str,
    volume: Volume,
    slices: Sequence[int],
    times_s: Sequence[float],
    frames: np.ndarray,
    arrival_s: float,
    truth: np.ndarray | None = None,
    regions: Mapping[str, np.ndarray] | None = None,
    subtitle: str = "",
) -> None:
    """Draws every slice at every time, turned as it is read: patient right on the left, anterior or head at the top.

    Args:
        path: PNG to write.
        volume: geometry of the slices.
        slices: S slice numbers, from 0, along the axis the slices were acquired (``exam.grid.slice_axis``).
        times_s: T seconds after injection start.
        frames: (S, T, rows, columns) synthetic signal.
        arrival_s: bolus arrival; times up to it are pre-contrast.
        truth: as ``frames``, the simulated truth.
        regions: region name to mask of the volume's shape, where small, outlined in the first column
            in the colours of the plot; the first of those is also shown enlarged.
        subtitle: one line on model and source.

    Raises:
        CEKWorldError: the file cannot be written.
    """
    grid = ModelGrid.of(volume)
    row_spacing, column_spacing = (volume.spacing[2 - axis] for axis in grid.axes[1:])
    kinds = {"synthetic": frames} if truth is None else {"synthetic": frames, "truth": truth}
    cells = np.stack([[[_turned(cell, grid) for cell in row[i]] for row in kinds.values()] for i in range(len(slices))])
    box = _body_box(cells)
    cells = cells[(..., *box)]
    low, high = _window(cells)
    outlines = {
        region_colour(index): np.stack([_turned(np.take(mask, k, grid.slice_axis), grid)[box] for k in slices])
        for index, mask in enumerate((regions or {}).values())
        if mask.mean() < _OUTLINED
    }
    names = [f"slice {k + 1}" for k in slices]
    if magnified := _magnifier(next(iter(outlines.values()), None)):
        row, magnification, enlarge = magnified
        names.append(f"slice {slices[row] + 1} ×{magnification:.1f}")
        cells = np.concatenate([cells, [[[enlarge(cell) for cell in kind] for kind in cells[row]]]])
        outlines = {colour: np.concatenate([o, [enlarge(o[row])]]) for colour, o in outlines.items()}

    height, width = (size + _GAP for size in cells.shape[3:])
    mosaic = np.pad(cells, [(0, 0)] * 3 + [(0, _GAP)] * 2, constant_values=np.nan)
    mosaic = mosaic.transpose(0, 1, 3, 2, 4).reshape(len(names) * len(kinds) * height, len(times_s) * width)
    cell_aspect = row_spacing / column_spacing * cells.shape[3] / cells.shape[4]
    axes, figure = _canvas(len(names) * len(kinds), len(times_s), cell_aspect)
    axes.imshow(mosaic, cmap="gray", vmin=low, vmax=high, aspect="auto", interpolation="antialiased")
    for column, t in enumerate(times_s):
        phase = "pre-contrast" if t <= arrival_s else f"arrival {t - arrival_s:+.0f} s"
        axes.annotate(
            f"t = {t:.0f} s\n{phase}", ((column + 0.5) * width, 0), xytext=(0, 5), textcoords="offset points",
            ha="center", va="bottom", color="white", fontsize=9.5, annotation_clip=False,
        )  # fmt: skip
    for row, (name, kind) in enumerate(itertools.product(names, kinds)):
        axes.annotate(
            f"{name}\n{kind}", (0, (row + 0.5) * height), xytext=(-6, 0), textcoords="offset points",
            ha="right", va="center", rotation=90, color="#8fd3ff" if kind == "truth" else "white", fontsize=9.5,
            multialignment="center", annotation_clip=False,
        )  # fmt: skip
    for colour, planes in outlines.items():
        for row, plane in enumerate(planes):
            if plane.any():
                place = np.arange(plane.shape[1]), row * len(kinds) * height + np.arange(plane.shape[0])
                axes.contour(*place, plane, levels=[0.5], colors=[colour], linewidths=1.2)
    _orientation_letters(axes, grid.view, cells.shape[3:])
    _titles(figure, subtitle, f"one window for all times: {low:.4g} to {high:.4g}")
    save_png(figure, path, dpi=150)


def _magnifier(
    outlines: np.ndarray | None,
) -> tuple[int, float, Callable[[np.ndarray], np.ndarray]] | None:
    """Where to look closer: the row that shows most of a region, the magnification, and what enlarges a cell.

    The enlarged part is three times the region's size and has the cell's own proportions. None where there is no
    region or it fills the cell anyway.
    """
    if outlines is None or not outlines.any():
        return None
    row = int(outlines.sum((1, 2)).argmax())
    shape = np.array(outlines.shape[1:])
    where = np.argwhere(outlines[row])
    share = max(float(np.max(3.0 * (np.ptp(where, axis=0) + 1) / shape)), 0.12)
    if share > 0.7:
        return None
    size = share * (shape - 1)
    start = np.clip(where.mean(0) - size / 2, 0, shape - 1 - size)
    grid = np.meshgrid(*(s + np.linspace(0, d, n) for s, d, n in zip(start, size, shape, strict=True)), indexing="ij")
    return row, 1.0 / share, lambda cell: map_coordinates(cell.astype(np.float32), grid, order=1)


def _turned(plane: np.ndarray, grid: ModelGrid) -> np.ndarray:
    """A slice of the volume as the grid's view is read, its pixels untouched."""
    plane = plane.T if grid.axes[1] > grid.axes[2] else plane
    return np.flip(plane, tuple(axis for axis in (0, 1) if grid.flipped[1 + axis]))


def _body_box(cells: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns that hold the patient, with a margin of 2 %; background air has no place on the sheet."""
    brightest = cells.max(axis=(0, 1, 2))
    body = brightest > _BODY * np.percentile(brightest, 99)
    box = []
    for axis in (0, 1):
        # A line belongs to the body when 2 % of it does; single noise pixels do not count.
        filled = np.flatnonzero(body.mean(axis=1 - axis) > 0.02)
        size = brightest.shape[axis]
        margin = round(0.02 * size)
        first, last = (filled[0], filled[-1]) if len(filled) else (0, size - 1)
        box.append(slice(max(first - margin, 0), min(last + margin + 1, size)))
    return box[0], box[1]


def _window(cells: np.ndarray) -> tuple[float, float]:
    """One grey scale for the whole series, or enhancement would not show; the brightest 1 %, vessels, may saturate."""
    low = max(float(np.percentile(cells, 0.5)), 0.0)
    body = cells[cells > _BODY * cells.max()]
    high = float(np.percentile(body, 99.0)) if body.size else low
    return low, high if high > low else low + 1.0


def _canvas(rows: int, columns: int, cell_aspect: float) -> tuple[Axes, Figure]:
    width = max(columns * _CELL_INCHES, 7.2)
    height = width / columns * cell_aspect * rows
    left, right, top, bottom = 0.55, 0.1, 1.15, 0.12
    figure = Figure(figsize=(width + left + right, height + top + bottom), facecolor="black")
    total_width, total_height = figure.get_size_inches()
    axes = figure.add_axes(
        (left / total_width, bottom / total_height, width / total_width, height / total_height), facecolor="black"
    )
    axes.set_axis_off()
    return axes, figure


def _orientation_letters(axes: Axes, view: View, cell: tuple[int, ...]) -> None:
    """Patient sides on the first cell alone; the others are turned alike."""
    for letter, place in (
        ("A" if view == "sagittal" else "R", (0.04, 0.5)),
        ("A" if view == "axial" else "H", (0.5, 0.05)),
    ):
        axes.text(
            place[0] * cell[1], place[1] * cell[0], letter, color="#ffd166", fontsize=9, fontweight="bold",
            ha="center", va="center",
        )  # fmt: skip


def _titles(figure: Figure, subtitle: str, window: str) -> None:
    width, height = figure.get_size_inches()
    line: dict[str, Any] = {"va": "center", "ha": "left"}
    figure.text(0.12 / width, 1 - 0.2 / height, SYNTHETIC, color="#ff8c42", fontsize=15, fontweight="bold", **line)
    figure.text(1.6 / width, 1 - 0.2 / height, CAUTION, color="#ff8c42", fontsize=9.5, **line)
    origin = f"{plain(subtitle)}    {window}".strip()
    figure.text(0.12 / width, 1 - 0.5 / height, origin, color="0.8", fontsize=9, **line)
