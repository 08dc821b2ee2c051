"""What `kinetic_options` say, as settings and as measured regions."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from CEKWorldLib.cli.regions import mask_regions
from CEKWorldLib.exam.grid import slice_axis
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.kinetics.maps import maps
from CEKWorldLib.kinetics.noise import background_noise
from CEKWorldLib.kinetics.roi import RoiResult, from_first_phase, roi_curves
from CEKWorldLib.kinetics.settings import Settings


def settings_of(args: argparse.Namespace) -> Settings:
    """The definitions."""
    return Settings(
        definition=args.definition,
        reference=args.reference,
        t_e_s=args.t_e,
        t_l_s=args.t_l,
        gate_percent=args.gate,
        arrival_s=args.arrival,
        noise_sd=args.noise,
    )


def map_settings(settings: Settings, series: TimeSeries) -> Settings:
    """For maps: air is blanked where it tells its noise; a region's curve is not judged by that of single voxels."""
    return settings if settings.noise_sd is not None else replace(settings, noise_sd=background_noise(series.frames[0]))


def regions_of(args: argparse.Namespace, series: TimeSeries, settings: Settings) -> list[RoiResult]:
    """Measures the regions.

    Raises:
        CEKWorldError: a mask cannot be read or does not fit the series.
    """
    results = roi_curves(
        series.frames,
        series.times_s,
        mask_regions(args.roi, series.grid),
        settings,
        args.mode,
        reference=args.tissue,
        voxel_mm3=float(np.prod(series.grid.spacing)),
        slice_axis=slice_axis(series.grid),
    )
    return results if series.zero_source else [from_first_phase(result) for result in results]


def maps_of(series: TimeSeries, settings: Settings) -> dict[str, np.ndarray]:
    """All maps, with a progress bar."""
    with tqdm(total=100, desc="maps", unit="%", disable=None, file=sys.stderr) as bar:

        def show(share: float) -> None:
            bar.update(round(100 * share) - bar.n)

        return maps(series.frames, series.times_s, settings, progress=show)
