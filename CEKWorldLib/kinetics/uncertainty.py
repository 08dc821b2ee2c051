"""How sure a statistic is, from several samples of the same series: noise seeds of a model, or repeated scans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.kinetics.curve_type import CurveType
from CEKWorldLib.kinetics.maps import MAP_NAMES, maps
from CEKWorldLib.kinetics.quantities import QUANTITIES
from CEKWorldLib.kinetics.settings import Settings
from CEKWorldLib.kinetics.statistics import curve_statistics

_FEWEST = 2


@dataclass(frozen=True)
class CurveUncertainty:
    """Samples of one curve.

    Attributes:
        samples: how many.
        enhancement_mean: (T,) mean percent enhancement.
        enhancement_sd: (T,) its standard deviation over the samples.
        mean: of each quantity, over the samples where it is defined.
        sd: standard deviation of each quantity; NaN where fewer than two samples define it.
        type_shares: percent of the samples that are of each type, NONE included.
    """

    samples: int
    enhancement_mean: np.ndarray
    enhancement_sd: np.ndarray
    mean: dict[str, float]
    sd: dict[str, float]
    type_shares: dict[CurveType, float]


@dataclass(frozen=True)
class MapUncertainty:
    """Samples of a volume's maps.

    Attributes:
        samples: how many.
        mean: quantity to (slices, rows, columns), over the samples where it is defined.
        sd: standard deviation likewise; NaN where fewer than two samples define it.
        type_shares: type to (slices, rows, columns), the percentage of samples of that type, NONE included.
    """

    samples: int
    mean: dict[str, np.ndarray]
    sd: dict[str, np.ndarray]
    type_shares: dict[CurveType, np.ndarray]


def curve_uncertainty(signals: np.ndarray, times_s: np.ndarray, settings: Settings | None = None) -> CurveUncertainty:
    """Measures every sample of a curve.

    Args:
        signals: (N, T) samples of the same curve, in order of time.
        times_s: (T,) rising and distinct.
        settings: definitions.

    Raises:
        CEKWorldError: fewer than two samples, or times that no curve can have.
    """
    signals = np.asarray(signals, float)
    _check_count(len(signals))
    statistics = curve_statistics(signals.T, times_s, settings)
    enhancement = 100 * (signals.T / statistics.baseline - 1)
    spreads = {name: _Spread((1,)) for name in QUANTITIES}
    for name, spread in spreads.items():
        for value in getattr(statistics, name):
            spread.add(np.array([value]))
    return CurveUncertainty(
        samples=len(signals),
        enhancement_mean=enhancement.mean(axis=1),
        enhancement_sd=enhancement.std(axis=1, ddof=1),
        mean={name: float(spread.mean[0]) for name, spread in spreads.items()},
        sd={name: float(spread.sd[0]) for name, spread in spreads.items()},
        type_shares={kind: 100 * float(np.mean(statistics.curve_type == kind)) for kind in CurveType},
    )


def map_uncertainty(
    samples: Iterable[np.ndarray],
    times_s: np.ndarray,
    settings: Settings | None = None,
    names: Sequence[str] = ("percent_enhancement", "ser", "ttp_s"),
) -> MapUncertainty:
    """Maps every sample of a series and keeps the mean and the spread.

    Args:
        samples: series (T, slices, rows, columns) of one shape; taken one by one, so a generator keeps memory at one.
        times_s: (T,) seconds after the start of the injection.
        settings: definitions.
        names: which of ``QUANTITIES`` to keep.

    Raises:
        CEKWorldError: fewer than two samples, or times that no curve can have.
        ValueError: a name that is no quantity.
    """
    if unknown := set(names) - set(QUANTITIES):
        raise ValueError(f"no quantities: {sorted(unknown)}; there are {MAP_NAMES}")
    spreads: dict[str, _Spread] = {}
    counts: dict[CurveType, np.ndarray] = {}
    number = 0
    for frames in samples:
        number += 1
        result = maps(frames, times_s, settings)
        for name in names:
            spreads.setdefault(name, _Spread(result[name].shape)).add(result[name])
        for kind in CurveType:
            counts[kind] = counts.get(kind, 0) + (result["curve_type"] == kind).astype(np.float32)
    _check_count(number)
    return MapUncertainty(
        samples=number,
        mean={name: spread.mean for name, spread in spreads.items()},
        sd={name: spread.sd for name, spread in spreads.items()},
        type_shares={kind: 100 * count / number for kind, count in counts.items()},
    )


class _Spread:
    """Running mean and standard deviation that skip NaN (Welford, Technometrics 1962;4:419)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._count = np.zeros(shape, np.int32)
        self._mean = np.zeros(shape, np.float32 if len(shape) > 1 else float)
        self._squares = np.zeros_like(self._mean)

    def add(self, values: np.ndarray) -> None:
        defined = ~np.isnan(values)
        self._count += defined
        step = np.where(defined, values - self._mean, 0)
        self._mean += step / np.maximum(self._count, 1)
        self._squares += step * np.where(defined, values - self._mean, 0)

    @property
    def mean(self) -> np.ndarray:
        return np.where(self._count > 0, self._mean, np.nan)

    @property
    def sd(self) -> np.ndarray:
        return np.where(self._count > 1, np.sqrt(self._squares / np.maximum(self._count - 1, 1)), np.nan)


def _check_count(samples: int) -> None:
    if samples < _FEWEST:
        raise CEKWorldError(f"An uncertainty needs at least {_FEWEST} samples; this series has {samples}.")
