"""One picture of a cached exam: its phases in one window, where registration moved them, and its strongest curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from CEKWorldLib.dataset.cache import CachedExam
from CEKWorldLib.exam.intensity import body_mask
from CEKWorldLib.export.style import ACQUIRED, RESEARCH, plain, save_picture

_MOST_PHASES = 8
_WINDOW = 1.3  # of the intensity scale: pre-contrast tissue ends near 1
_STRONGEST = 99.5  # percentile of the body whose mean curve is drawn


def write_exam_picture(exam: CachedExam, path: Path) -> None:
    """Writes a PNG: the slice that enhances most, before contrast and at up to eight times, and a curve."""
    record = exam.record
    slices = range(*record.slices)
    k = max(slices, key=lambda k: float(np.percentile(np.asarray(exam.enhancement[k], np.float32).max(0), _STRONGEST)))
    pre, enhancement = (np.asarray(array[k], np.float32) for array in (exam.pre, exam.enhancement))
    times = np.array(record.times_s)
    chosen = np.unique(np.linspace(0, len(times) - 1, min(_MOST_PHASES, len(times))).round().astype(int))
    columns = 1 + len(chosen)
    figure = Figure(figsize=(2.2 * columns, 6.6), layout="constrained")
    grid = figure.add_gridspec(3, columns, height_ratios=(1, 1, 0.9))
    _image(figure.add_subplot(grid[0, 0]), pre, "pre-contrast")
    for column, index in enumerate(chosen, 1):
        _image(figure.add_subplot(grid[0, column]), pre + enhancement[index], f"{times[index]:.0f} s")
        _image(figure.add_subplot(grid[1, column]), enhancement[index], _moved(exam, index))
    _curve(figure.add_subplot(grid[2, :]), pre, enhancement, np.array(record.times_s))
    figure.suptitle(
        f"{plain(record.name)}, {record.split}, {record.layout}, slice {k + 1} of {len(exam.pre)}; "
        f"times: {record.time_source}, zero: {record.zero_source}", fontsize=8,
    )  # fmt: skip
    save_picture(figure, path, 100, f"{ACQUIRED}: {RESEARCH}")


def _image(axes, image: np.ndarray, title: str) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=_WINDOW)
    axes.set_title(title, fontsize=7)
    axes.set_axis_off()


def _moved(exam: CachedExam, index: int) -> str:
    """What registration did to a phase after the injection; they come last."""
    record = exam.record
    if not record.alignments:
        return "enhancement"
    alignment = record.alignments[index - len(record.times_s)]
    return f"enhancement; {alignment['kept']}, {alignment['largest_mm']:.1f} mm"


def _curve(axes, pre: np.ndarray, enhancement: np.ndarray, times: np.ndarray) -> None:
    body = body_mask(pre[None])[0]
    peak = enhancement.max(0)
    strongest = body & (peak >= np.percentile(peak[body], _STRONGEST))
    curve = 100 * enhancement[:, strongest].mean(1) / max(float(pre[strongest].mean()), 1e-3)
    axes.plot(np.append(0.0, times), np.append(0.0, curve), "o-", color="black", markersize=3, linewidth=1)
    axes.axhline(0, color="gray", linewidth=0.5)
    axes.set_xlabel("seconds after injection", fontsize=7)
    axes.set_ylabel("enhancement (%)\nof the strongest 0.5 %", fontsize=7)
    axes.tick_params(labelsize=7)
