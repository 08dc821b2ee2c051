"""Pictures of the ablation: image strips over time, curves of a lesion, and the path of latents through time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from safetensors.numpy import load_file

from CEKWorldLib.evaluation.ablation.exams import STUDIES, HeldOutExam
from CEKWorldLib.evaluation.ablation.jobs import Workplace
from CEKWorldLib.evaluation.ablation.rows import ORACLE, REGRESSION
from CEKWorldLib.export.style import REGION_COLOURS, save_png

SHOWN = (
    ORACLE,
    REGRESSION["continuous"],
    "baseline",
    "two-stage-official",
    "two-stage",
    "joint-learned",
    "mean-start",
    "mean-start-two-stage",
    "baseline-weighted",
    "mean-start-weighted",
)
TIME_AS_TEXT = (REGRESSION["continuous"], REGRESSION["text"], "baseline", "baseline-text", "two-stage-text")
"""A picture of curves of their own: where the time is words, neighbouring times have nothing in common."""
_FRAMES = 7
_COLOURS = REGION_COLOURS[:-1]  # black is the truth's
Samples = Mapping[str, np.ndarray]


def write_all(place: Workplace, titles: Mapping[str, str]) -> None:
    """Writes ``strips-``, ``curves-``, ``curves-text-`` and ``latents-ANATOMY.png`` of the rows done, from seed 0.

    Args:
        titles: of the rows.
    """
    for anatomy in STUDIES:
        exam = place.shown_exam(anatomy)
        shown = _samples(place, anatomy, SHOWN, titles)
        write_strips(exam, _enhancement(shown), place.folder / f"strips-{anatomy}.png")
        told = _samples(place, anatomy, TIME_AS_TEXT, titles)
        if exam.lesions:
            write_curves(exam, _enhancement(shown), place.folder / f"curves-{anatomy}.png")
            write_curves(exam, _enhancement(told), place.folder / f"curves-text-{anatomy}.png")
        latents = {k: v["latents"] for k, v in shown.items() if "latents" in v}
        if latents:
            write_latents(exam, latents, place.folder / f"latents-{anatomy}.png")


def write_strips(exam: HeldOutExam, series: Samples, path: Path) -> None:
    """A row of frames for the truth and each series; half of the times were acquired by the study, half never."""
    columns = _strip_times(exam)
    rows = {"truth": exam.truth} | dict(series)
    figure = Figure(figsize=(1.35 * (len(columns) + 1), 1.3 * len(rows) + 0.5), layout="constrained")
    grid = figure.subplots(len(rows), len(columns) + 1, squeeze=False)
    brightest = float(np.percentile(exam.pre + exam.truth[columns], 99.5))
    acquired = set(exam.times.at("acquired"))
    for axes, at in zip(grid[0, 1:], columns, strict=True):
        kind = "acquired" if at in acquired else "never acquired"
        axes.set_title(f"+{exam.times.all[at]:.0f} s\n{kind}", fontsize=6.5)
    for line, (title, frames) in zip(grid, rows.items(), strict=True):
        line[0].text(1.0, 0.5, _wrapped(title), ha="right", va="center", fontsize=6.5, transform=line[0].transAxes)
        for axes, at in zip(line[1:], columns, strict=True):
            axes.imshow(exam.pre + frames[at].astype(np.float32), cmap="gray", vmin=0, vmax=brightest)
    for axes in grid.flat:
        axes.set_axis_off()
    figure.suptitle(f"{exam.anatomy}, held-out simulated exam; time since arrival", fontsize=8)
    save_png(figure, path, dpi=130)


def write_curves(exam: HeldOutExam, series: Samples, path: Path) -> None:
    """Percent enhancement of the exam's largest lesion, truth in black, with the study's times marked."""
    at = exam.times.at("curve")
    seconds, mask = exam.times.all[at], max(exam.lesions, key=np.sum)
    percent = 100.0 / float(exam.pre[mask].mean())
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for index, (title, frames) in enumerate(series.items()):
        curve = frames[at].astype(np.float32)[:, mask].mean(1)
        colour, again = _COLOURS[index % len(_COLOURS)], index >= len(_COLOURS)
        axes.plot(seconds, percent * curve, "--" if again else "-", color=colour, lw=1.2, label=_wrapped(title))
    axes.plot(seconds, percent * exam.truth[at][:, mask].mean(1), color="black", lw=2, label="truth")
    for moment in exam.times.acquired:
        axes.axvline(moment, color="0.85", lw=0.8, zorder=0)
    axes.set_xlabel("s after arrival; grey: acquired times", fontsize=8)
    axes.set_ylabel("enhancement of the lesion, %", fontsize=8)
    axes.tick_params(labelsize=8)
    figure.legend(loc="outside right center", fontsize=6.5)
    axes.set_title(f"{exam.anatomy}, held-out simulated exam", fontsize=9)
    save_png(figure, path, dpi=130)


def write_latents(exam: HeldOutExam, latents: Samples, path: Path) -> None:
    """Latents over time in the plane of the first two principal components of all rows, coloured by time.

    Each row moves about its own mean; where it lies is the noise it started from.
    """
    at = exam.times.at("curve")
    flat = {title: values[at].astype(np.float32).reshape(len(at), -1) for title, values in latents.items()}
    flat = {title: values - values.mean(0) for title, values in flat.items()}
    plane = np.linalg.svd(np.concatenate(list(flat.values())), full_matrices=False)[2][:2].T
    figure = Figure(figsize=(2.3 * len(flat), 2.7), layout="constrained")
    grid = figure.subplots(1, len(flat), squeeze=False, sharex=True, sharey=True)[0]
    for axes, (title, values) in zip(grid, flat.items(), strict=True):
        x, y = (values @ plane).T
        axes.plot(x, y, color="0.7", lw=0.7, zorder=1)
        points = axes.scatter(x, y, c=exam.times.all[at], cmap="viridis", s=10, zorder=2)
        axes.set_title(_wrapped(title), fontsize=6.5)
        axes.tick_params(labelsize=6)
    bar = figure.colorbar(points, ax=grid.tolist())
    bar.set_label("s after arrival", fontsize=7)
    bar.ax.tick_params(labelsize=6)
    figure.suptitle(f"{exam.anatomy}: latents over time, first two principal components of all rows", fontsize=8)
    save_png(figure, path, dpi=130)


def _enhancement(rows: Mapping[str, Samples]) -> Samples:
    return {title: arrays["enhancement"] for title, arrays in rows.items()}


def _samples(
    place: Workplace, anatomy: str, names: Sequence[str], titles: Mapping[str, str]
) -> dict[str, dict[str, np.ndarray]]:
    """Title to what a row left of the anatomy's exam: enhancement and, where it has them, latents."""
    shown = {}
    for name in names:
        path = place.scores_file(name, None if name == ORACLE else 0).with_suffix(".safetensors")
        if path.exists():
            values = load_file(path)
            shown[titles[name]] = {k.split(".")[1]: v for k, v in values.items() if k.startswith(f"{anatomy}.")}
    return shown


def _strip_times(exam: HeldOutExam) -> np.ndarray:
    """Acquired and never-acquired times, spread over the study."""
    acquired, between = exam.times.at("acquired"), exam.times.at("between")
    half = _FRAMES // 2
    picked = [times[np.linspace(0, len(times) - 1, half + extra).round().astype(int)]
              for times, extra in ((acquired, 1), (between, 0))]  # fmt: skip
    return np.unique(np.concatenate(picked))


def _wrapped(title: str) -> str:
    words, lines = title.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 16:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
