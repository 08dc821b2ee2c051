"""Pictures of held-out cases: the slice, what contrast truly adds and what the model adds, and the curves of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from CEKWorldLib.evaluation.case_scores import CURVE_TIMES_S, Truth
from CEKWorldLib.export.style import CAUTION, OUTLINE, SYNTHETIC, plain, region_colour, save_png
from CEKWorldLib.simulation.splits import TITLES

_ABREAST = 2  # cases beside each other
_PARTS = ("pre-contrast", "added in truth", "added by the model", "")
_BRIGHTEST = 99.7  # percentile that is white: the vessels may saturate, the lesions must not
_INCHES = 1.55


@dataclass(frozen=True)
class CasePicture:
    """What is shown of a case.

    Attributes:
        title: what the case is, and how well it was met.
        time_s: when the truth of ``region`` is brightest.
        pre: the pre-contrast slice, (rows, columns); a phantom of a patient's, not a patient's.
        true_enhancement, enhancement: of the slice at ``time_s``, in the signal's units.
        region: what the curves are of, the largest lesion that enhances or all enhancing tissue; (rows, columns).
        true_curve, curve: percent enhancement of the region, in all slices, at ``CURVE_TIMES_S``.
    """

    title: str
    time_s: float
    pre: np.ndarray
    true_enhancement: np.ndarray
    enhancement: np.ndarray
    region: np.ndarray
    true_curve: np.ndarray
    curve: np.ndarray

    @classmethod
    def of(cls, truth: Truth, frames: np.ndarray, scores: Mapping[str, float]) -> CasePicture:
        """The picture of a case.

        Args:
            truth: the case.
            frames: synthesized signal at ``CURVE_TIMES_S``, (T, slices, rows, columns).
            scores: of these frames.
        """
        case, source = truth.case, truth.case.pre.voxels
        lesions = truth.lesions()
        largest = max(lesions, key=lambda n: lesions[n].sum(), default=None)
        mask = truth.tissue if largest is None else lesions[largest]
        name = "enhancing tissue" if largest is None else case.lesions[largest].family.replace("_", " ")
        curve, true_curve = (
            100.0 * series[:, mask].mean(1) / truth.pre[mask].mean() for series in (frames - source, _added(truth))
        )
        at, shown = int(true_curve.argmax()), int(mask.sum((1, 2)).argmax())
        error = f"error {100 * scores['enhancing_mae_ratio']:.0f} %"
        ranks = f", Spearman {scores['lesion_spearman']:.2f}" if "lesion_spearman" in scores else ""
        return cls(
            title=f"{TITLES[case.split]}, {case.seed}: {name}; {error}{ranks}",
            time_s=float(CURVE_TIMES_S[at]),
            pre=source[shown],
            true_enhancement=_added(truth)[at, shown],
            enhancement=(frames - source)[at, shown],
            region=mask[shown],
            true_curve=true_curve,
            curve=curve,
        )


def write_case_pictures(path: Path, pictures: Sequence[CasePicture], subtitle: str) -> None:
    """Draws cases two abreast; each has one grey scale for what contrast adds, so that brightness can be compared.

    Args:
        path: PNG to write.
        subtitle: one line on the model.

    Raises:
        CEKWorldError: the file cannot be written.
    """
    lines = -(-len(pictures) // _ABREAST)
    figure = Figure(
        figsize=(_INCHES * len(_PARTS) * _ABREAST * 1.06, (_INCHES + 0.3) * lines + 0.6), layout="constrained"
    )
    grid = figure.subplots(lines, len(_PARTS) * _ABREAST, squeeze=False).reshape(-1, len(_PARTS))
    for axes, picture in zip(grid, pictures, strict=False):
        _draw(axes, picture)
    for axes in grid[len(pictures) :].flat:
        axes.set_axis_off()
    figure.suptitle(f"{SYNTHETIC}   {CAUTION}\n{plain(subtitle)}", fontsize=8)
    save_png(figure, path, dpi=100)


def _added(truth: Truth) -> np.ndarray:
    return truth.series - truth.pre


def _draw(axes: np.ndarray, picture: CasePicture) -> None:
    white = max(float(np.percentile(picture.true_enhancement, _BRIGHTEST)), 1e-6)
    images = (picture.pre, picture.true_enhancement, picture.enhancement)
    for cell, image, part in zip(axes, images, _PARTS, strict=False):
        window = {} if image is picture.pre else {"vmin": 0.0, "vmax": white}
        cell.imshow(image, cmap="gray", **window)
        cell.set_axis_off()
        cell.text(
            0.03, 0.97, part if image is picture.pre else f"{part}, {picture.time_s:.0f} s",
            transform=cell.transAxes, va="top", color="white", fontsize=5.5,
        )  # fmt: skip
    axes[0].contour(picture.region, levels=[0.5], colors=[OUTLINE], linewidths=0.6)
    title = axes[0].set_title(plain(picture.title), fontsize=6.5, loc="left", pad=3)
    title.set_in_layout(False)  # or the first image gets the room its long title needs
    _draw_curves(axes[-1], picture)


def _draw_curves(axes: Axes, picture: CasePicture) -> None:
    axes.plot(CURVE_TIMES_S, picture.true_curve, color="black", lw=1.2, label="truth")
    axes.plot(CURVE_TIMES_S, picture.curve, color=region_colour(1), lw=1.2, label="model")
    axes.set_box_aspect(1)
    axes.tick_params(labelsize=5, length=2, pad=1)
    axes.set_xlabel("s", fontsize=5.5, labelpad=1)
    axes.set_ylabel("enhancement, %", fontsize=5.5, labelpad=1)
    axes.legend(fontsize=5, frameon=False, handlelength=1.2)
