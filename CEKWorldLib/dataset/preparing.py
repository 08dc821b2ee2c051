"""Makes one exam of a contrast series: model grid, registration, one intensity scale, checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np

from CEKWorldLib.dataset.registration import Alignment, register
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.checks import check_image
from CEKWorldLib.exam.grid import ModelGrid
from CEKWorldLib.exam.intensity import body_mask, intensity_scale
from CEKWorldLib.exam.time_series import TimeSeries

_STRONGEST = (-4.0, 12.0)  # enhancement in units of the scale, as the bank of simulated slabs keeps it
_LEAST_ENHANCEMENT = 0.08  # of the scale, at the 99.5th percentile of the body: vessels alone reach 0.3 in a brain
_LEAST_CONTRAST = 1.5  # brightening over darkening, both at their 99.5th percentile: motion and noise do both alike
_SAME_SCALE = (0.75, 3.0)  # median signal of the body over pre-contrast; phases with scales of their own leave this
_LEAST_BODY = 0.1  # of the largest slice's body: less is an edge slice of skin
_LARGE_MOTION_MM = 10.0
_LATEST_S = 3600.0

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """How exams are prepared.

    Attributes:
        registration: whether phases are registered to the pre-contrast phase.
    """

    registration: bool = True


@dataclass(frozen=True)
class PreparedExam:
    """An exam on the model grid, in units of its scale.

    Attributes:
        pre: (slices, rows, columns) float32, mean of the pre-contrast phases.
        enhancement: (slices, times, rows, columns) float32.
        times_s: (times,) seconds after the injection.
        pre_times_s: of the pre-contrast phases.
        scale: the signal that counts as one.
        view: nearest canonical plane.
        spacing_mm: of slices, rows and columns.
        slices: first and one past the last slice with enough body.
        largest_enhancement: 99.5th percentile inside the body of the strongest phase.
        alignments: per registered phase.
        notes: sentences about the images.
    """

    pre: np.ndarray
    enhancement: np.ndarray
    times_s: np.ndarray
    pre_times_s: np.ndarray
    scale: float
    view: str
    spacing_mm: tuple[float, float, float]
    slices: tuple[int, int]
    largest_enhancement: float
    alignments: tuple[dict[str, object], ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)


def prepare_exam(series: TimeSeries, settings: Settings, progress: Progress | None = None) -> PreparedExam:
    """Turns a contrast series into an exam to train on.

    Args:
        series: times counted from the injection.
        settings: what to do with it.
        progress: told what goes on, before every phase; what it raises ends the work.

    Raises:
        CEKWorldError: what is wrong with the exam, in words that name no file and no patient.
    """
    times = series.times_s
    baseline, later = np.flatnonzero(times <= 0), np.flatnonzero(times > 0)
    _check_series(series, baseline, later)
    grid = ModelGrid.of(series.grid)
    axis = grid.slice_axis
    spacing = (float(series.grid.spacing[::-1][axis]), grid.pixel_mm, grid.pixel_mm)
    reference = grid.to_model(series.frames[baseline[-1]])
    body = body_mask(reference)
    alignments: list[Alignment] = []

    def aligned(phase: np.intp) -> np.ndarray:
        if progress:
            progress(f"phase {phase + 1} of {len(times)}")
        frame = grid.to_model(series.frames[phase])
        if not settings.registration or phase == baseline[-1]:
            return frame
        frame, alignment = register(reference, frame, body, spacing)
        alignments.append(alignment)
        return frame

    pre = np.mean([aligned(phase) for phase in baseline], axis=0)
    scale = intensity_scale(pre, body)
    pre /= scale
    enhancement = np.stack([aligned(phase) / scale - pre for phase in later], axis=1)
    strongest = _check_enhancement(pre, enhancement, body)
    area = body.sum((1, 2))
    shown = np.flatnonzero(area >= _LEAST_BODY * area.max())
    moved = max((alignment.largest_mm for alignment in alignments), default=0.0)
    return PreparedExam(
        pre=pre,
        enhancement=np.clip(enhancement, *_STRONGEST),
        times_s=times[later],
        pre_times_s=times[baseline],
        scale=scale,
        view=grid.view,
        spacing_mm=spacing,
        slices=(int(shown[0]), int(shown[-1]) + 1),
        largest_enhancement=strongest,
        alignments=tuple(asdict(alignment) for alignment in alignments),
        notes=(f"The patient moved by up to {moved:.0f} mm.",) if moved > _LARGE_MOTION_MM else (),
    )


def _check_series(series: TimeSeries, baseline: np.ndarray, later: np.ndarray) -> None:
    if series.synthetic:
        raise CEKWorldError("It was made by a model; synthetic phases are never trained on.")
    if not len(baseline):
        raise CEKWorldError("No phase lies before the injection.")
    if not len(later):
        raise CEKWorldError("No phase lies after the injection.")
    if series.times_s[-1] > _LATEST_S:
        raise CEKWorldError(f"The last phase lies {series.times_s[-1] / 60:.0f} minutes after the injection.")
    if not np.isfinite(series.frames).all():
        raise CEKWorldError("It holds NaN or infinite voxels.")
    check_image(series.volume(baseline[-1]), "The pre-contrast phase")


def _check_enhancement(pre: np.ndarray, enhancement: np.ndarray, body: np.ndarray) -> float:
    """The 99.5th percentile of the strongest phase; refuses phases without contrast and with scales of their own."""
    inside = np.stack([enhancement[:, time][body] for time in range(enhancement.shape[1])])
    ratio = np.median(pre[body] + inside, axis=1) / np.median(pre[body])
    if ratio.min() < _SAME_SCALE[0] or ratio.max() > _SAME_SCALE[1]:
        raise CEKWorldError(
            f"The body's median signal changes by a factor of {ratio.min():.2f} to {ratio.max():.2f} from phase to "
            "phase: each seems to be scaled by itself, or they are subtractions."
        )
    darker, brighter = np.percentile(inside, (0.5, 99.5), axis=1)
    strongest = int(brighter.argmax())
    if brighter[strongest] < max(_LEAST_ENHANCEMENT, -_LEAST_CONTRAST * darker[strongest]):
        raise CEKWorldError(
            f"No contrast is seen: the brightest half percent of the body gains {100 * brighter[strongest]:.0f} % of "
            f"the intensity scale, the darkest loses {-100 * darker[strongest]:.0f} %."
        )
    return float(brighter[strongest])
