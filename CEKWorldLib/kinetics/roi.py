"""Curves of regions of interest, with what the voxels of each region add to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import find_objects

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.kinetics.curve_type import TYPES, CurveType, InitialPhase
from CEKWorldLib.kinetics.selection import hottest_window, worst_cluster
from CEKWorldLib.kinetics.settings import Mode, Settings
from CEKWorldLib.kinetics.statistics import Statistics, curve_statistics
from CEKWorldLib.kinetics.time_axis import TimeAxis
from CEKWorldLib.kinetics.uncertainty import CurveUncertainty, curve_uncertainty

_FEW = 3  # voxels; below it noise alone may turn a plateau into washout
_NO_INJECTION = "times count from the first phase: nothing tells when the injection began; the type may be wrong"


@dataclass(frozen=True)
class RoiResult:
    """The curve of a region.

    Attributes:
        name: what the user calls the region.
        mode: which of its voxels the curve is the mean of: all, the hottest 3x3 window, or the worst cluster.
        times_s: (T,) rising, seconds after the start of the injection; see ``from_injection``.
        signal: (T,) mean signal of those voxels.
        voxels: how many voxels the region holds.
        nan_voxels: how many of the region were left out since they hold a NaN.
        voxel_mm3: volume of a voxel; NaN where the geometry is not known.
        statistics: of the curve.
        initial_phase: of the curve.
        curve_type: of the curve.
        type_shares: percent of the enhancing voxels that are of each type; zero throughout where none enhances.
        enhancing_voxels: how many voxels of the region lie above the enhancement gate and have a type.
        positions: (V, 3) slice, row and column of every voxel of the region without a NaN.
        in_curve: (V,) bool, which of them the curve is the mean of.
        voxel_statistics: of each of them.
        relative_enhancement: enhancement at t_e over that of the reference tissue; NaN without one, or where it
            enhances by less than the settings' ``ser_floor_percent``.
        reference: name of the reference tissue, "" without one.
        notes: sentences the reader must know.
        settings: the definitions used.
        uncertainty: from several samples, where there are some.
        from_injection: False where nothing tells when the injection began and times count from the first phase.
    """

    name: str
    mode: Mode
    times_s: np.ndarray
    signal: np.ndarray
    voxels: int
    nan_voxels: int
    voxel_mm3: float
    statistics: Statistics
    initial_phase: InitialPhase
    curve_type: CurveType
    type_shares: dict[CurveType, float]
    enhancing_voxels: int
    positions: np.ndarray
    in_curve: np.ndarray
    voxel_statistics: Statistics
    notes: tuple[str, ...]
    settings: Settings
    relative_enhancement: float = float("nan")
    reference: str = ""
    uncertainty: CurveUncertainty | None = None
    from_injection: bool = True

    @property
    def curve_voxels(self) -> int:
        """How many voxels the curve is the mean of."""
        return int(np.count_nonzero(self.in_curve))

    @property
    def enhancement(self) -> np.ndarray:
        """(T,) percent enhancement."""
        return 100.0 * (self.signal - self.statistics.baseline) / self.statistics.baseline

    @property
    def volume_mm3(self) -> float:
        """Volume of the region; NaN where the geometry is not known."""
        return self.voxels * self.voxel_mm3

    @property
    def predominant_type(self) -> CurveType:
        """The type of most enhancing voxels, of equal ones the more suspicious; NONE where none enhances."""
        if not self.enhancing_voxels:
            return CurveType.NONE
        return max(TYPES, key=lambda kind: (self.type_shares[kind], kind))

    @property
    def worst_type(self) -> CurveType:
        """The most suspicious type that any enhancing voxel has."""
        return max((kind for kind in TYPES if self.type_shares[kind] > 0), default=CurveType.NONE)


def from_first_phase(result: RoiResult) -> RoiResult:
    """The result of a series that does not tell when the injection began."""
    return replace(result, from_injection=False, notes=(*result.notes, _NO_INJECTION))


def roi_curves(
    frames: np.ndarray,
    times_s: np.ndarray,
    masks: Mapping[str, np.ndarray],
    settings: Settings | None = None,
    mode: Mode = "mean",
    *,
    reference: str | None = None,
    voxel_mm3: float = float("nan"),
    slice_axis: int = 0,
) -> list[RoiResult]:
    """Measures regions of a series.

    Args:
        frames: (T, slices, rows, columns) in one signal scale for all times.
        times_s: (T,) seconds after the start of the injection.
        masks: name to (slices, rows, columns), nonzero inside.
        settings: definitions; None takes the defaults.
        mode: which voxels a curve is the mean of.
        reference: the region that is the reference tissue; its own curve is always the mean of all its voxels.
        voxel_mm3: volume of a voxel.
        slice_axis: the axis of ``masks`` across the acquired plane.

    Returns:
        One result per mask, in their order.

    Raises:
        CEKWorldError: a mask is empty, of another shape or without a voxel that has a curve; no such reference; times
            that no curve can have.
    """
    settings = settings or Settings()
    if reference is not None and reference not in masks:
        raise CEKWorldError(f"There is no region {reference} to be the reference tissue; regions: {', '.join(masks)}.")
    results = []
    for name, mask in masks.items():
        own_mode: Mode = "mean" if name == reference else mode
        results.append(_measure(name, frames, times_s, mask, settings, own_mode, voxel_mm3, slice_axis))
    if reference is None:
        return results
    return relative_to(next(r for r in results if r.name == reference), results)


def relative_to(tissue: RoiResult, results: Sequence[RoiResult]) -> list[RoiResult]:
    """Adds each region's enhancement relative to that of a reference tissue on the same series."""
    enhancement = float(tissue.statistics.percent_enhancement)
    if enhancement < tissue.settings.ser_floor_percent:
        enhancement = float("nan")
    return [
        replace(r, reference=tissue.name, relative_enhancement=float(r.statistics.percent_enhancement / enhancement))
        for r in results
    ]


def with_uncertainty(
    results: Sequence[RoiResult], samples: Iterable[np.ndarray], times_s: np.ndarray
) -> list[RoiResult]:
    """Adds what several samples of the series say of each curve; all take the voxels that the result took.

    Args:
        results: of ``roi_curves``, on the mean or on one of the samples.
        samples: series (T, slices, rows, columns), taken one by one.
        times_s: (T,) as given to ``roi_curves``.

    Raises:
        CEKWorldError: fewer than two samples.
    """
    signals: list[list[np.ndarray]] = [[] for _ in results]
    for frames in samples:
        for result, own in zip(results, signals, strict=True):
            slices, rows, columns = result.positions[result.in_curve].T
            signal = frames[:, slices, rows, columns].astype(float).mean(axis=1)
            own.append(TimeAxis.of(times_s, result.settings).ordered(signal))
    return [
        replace(result, uncertainty=curve_uncertainty(np.array(own), result.times_s, result.settings))
        for result, own in zip(results, signals, strict=True)
    ]


def _measure(
    name: str,
    frames: np.ndarray,
    times_s: np.ndarray,
    mask: np.ndarray,
    settings: Settings,
    mode: Mode,
    voxel_mm3: float,
    slice_axis: int,
) -> RoiResult:
    inside, corner = _cropped(name, mask, frames.shape[1:])
    box = tuple(slice(c, c + side) for c, side in zip(corner, inside.shape, strict=True))
    curves = frames[(slice(None), *box)][:, inside].astype(float)
    whole = np.isfinite(curves).all(axis=0)
    if not whole.any():
        raise CEKWorldError(f"Every voxel of the region {name} holds a value that is no number; draw it elsewhere.")
    inside[inside] = whole
    curves = curves[:, whole]
    each = curve_statistics(curves, times_s, settings)
    chosen, notes = _chosen(mode, inside, each, slice_axis)
    signal = curves[:, chosen].mean(axis=1)
    statistics = curve_statistics(signal, times_s, settings)
    axis = TimeAxis.of(times_s, settings)
    phase, kind = statistics.type_of()
    types = each.gated_type
    enhancing = int(np.count_nonzero(types))
    dropped = int((~whole).sum())
    if dropped:
        notes.append(f"{dropped} voxels without a number left out")
    return RoiResult(
        name=name,
        mode=mode,
        times_s=axis.times_s,
        signal=axis.ordered(signal),
        voxels=len(whole),
        nan_voxels=dropped,
        voxel_mm3=voxel_mm3,
        statistics=statistics,
        initial_phase=phase,
        curve_type=kind,
        type_shares={t: 100.0 * float(np.mean(types[types > 0] == t)) if enhancing else 0.0 for t in TYPES},
        enhancing_voxels=enhancing,
        positions=np.argwhere(inside) + corner,
        in_curve=chosen,
        voxel_statistics=each,
        notes=(*statistics.notes, *notes, *_warnings(statistics, int(chosen.sum()))),
        settings=settings,
    )


def _cropped(name: str, mask: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """A copy of the mask within its bounding box, and the box's first corner."""
    if np.shape(mask) != shape:
        raise CEKWorldError(
            f"The region {name} has {_sides(np.shape(mask))} voxels, the series {_sides(shape)}; "
            "draw it on the series itself."
        )
    inside = np.asarray(mask) != 0
    box = find_objects(inside.astype(np.uint8))
    if not box:
        raise CEKWorldError(f"The region {name} is empty; draw it inside the field of view.")
    return inside[box[0]].copy(), np.array([side.start for side in box[0]])


def _chosen(mode: Mode, inside: np.ndarray, each: Statistics, slice_axis: int) -> tuple[np.ndarray, list[str]]:
    """Which of the region's voxels make up the curve; all of them, with a note, where the mode finds none."""
    every = np.ones(np.count_nonzero(inside), bool)
    if mode == "mean":
        return every, []
    grid = np.zeros(inside.shape)
    if mode == "hottest":
        grid[inside] = each.percent_enhancement
        found = hottest_window(grid, inside & np.isfinite(grid), slice_axis)
        missing = "no 3x3 window fits into the region: mean of all voxels"
    else:
        grid[inside] = each.gated_type
        found = worst_cluster(grid)
        missing = "no three connected voxels of one type above the gate: mean of all voxels"
    return (every, [missing]) if found is None else (found[inside], [])


def _warnings(statistics: Statistics, voxels: int) -> list[str]:
    notes = []
    if voxels < _FEW:
        notes.append(f"only {voxels} voxel{'s' * (voxels > 1)}: the curve is as noisy as they are")
    if statistics.type_of()[1] == CurveType.NONE:
        notes.append("not evaluable")
    elif statistics.weak:
        notes.append("weak enhancement")
    if float(statistics.peak_enhancement) > statistics.settings.linear_percent:
        notes.append("very high signal: enhancement is not proportional to contrast there")
    return notes


def _sides(shape: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in shape)
