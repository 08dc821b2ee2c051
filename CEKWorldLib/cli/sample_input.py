"""Further samples of a series, such as other seeds of one synthesis: what ``--sample`` names."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from CEKWorldLib.cli.kinetic_input import map_settings, settings_of
from CEKWorldLib.cli.series_input import series_of
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.kinetics.roi import RoiResult, with_uncertainty
from CEKWorldLib.kinetics.uncertainty import MapUncertainty, map_uncertainty

_ROUNDING_PERCENT = 1e-6  # spread of equal samples
_ALIKE = "all samples are the same: they tell no uncertainty (synthesize with --samples)"


def samples_of(args: argparse.Namespace, first: TimeSeries) -> Iterator[np.ndarray]:
    """The frames of every sample, the series itself first; one series in memory besides it.

    Raises:
        CEKWorldError: a sample cannot be read, or has other phases, times or slices.
    """
    yield first.frames
    for path in _paths(args.sample):
        chosen = args.series if path.is_dir() else None  # a file has no series to choose from
        sample = series_of(argparse.Namespace(**{**vars(args), "input": path, "series": chosen}))
        if sample.frames.shape != first.frames.shape or not np.allclose(sample.times_s, first.times_s, atol=0.01):
            raise CEKWorldError(
                f"{path.name} has other phases, times or slices than {args.input.name}; samples share all of them."
            )
        yield sample.frames


def with_samples(results: list[RoiResult], args: argparse.Namespace, series: TimeSeries) -> list[RoiResult]:
    """Adds to each region what the samples say of its curve; the results themselves without ``--sample``."""
    if not args.sample:
        return results
    return [
        result
        if result.uncertainty is None or np.max(result.uncertainty.enhancement_sd) > _ROUNDING_PERCENT
        else replace(result, notes=(*result.notes, _ALIKE))
        for result in with_uncertainty(results, samples_of(args, series), series.times_s)
    ]


def spread_of(args: argparse.Namespace, series: TimeSeries, names: Sequence[str]) -> MapUncertainty | None:
    """Mean and spread of some quantities' maps over the samples; None without ``--sample``."""
    if not args.sample:
        return None
    settings = map_settings(settings_of(args), series)
    return map_uncertainty(samples_of(args, series), series.times_s, settings, names)


def _paths(named: Sequence[Path]) -> Iterator[Path]:
    """A folder stands for the sequences in it, or is a DICOM series."""
    for path in named:
        sequences = sorted(path.glob("*.nrrd")) if path.is_dir() else []
        yield from sequences or [path]
