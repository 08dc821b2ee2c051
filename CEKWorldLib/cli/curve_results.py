"""The work behind ``cekworld curves``: series, regions, maps, files, table."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from CEKWorldLib.cli.kinetic_input import map_settings, maps_of, regions_of, settings_of
from CEKWorldLib.cli.sample_input import spread_of, with_samples
from CEKWorldLib.cli.series_input import series_of
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.export.kinetic_plot import write_kinetic_plot
from CEKWorldLib.export.kinetic_tables import (
    write_roi_curves,
    write_roi_json,
    write_roi_statistics,
    write_voxel_statistics,
)
from CEKWorldLib.export.map_files import write_map
from CEKWorldLib.export.style import ACQUIRED, SYNTHETIC
from CEKWorldLib.export.type_colours import PALETTES, write_colour_table
from CEKWorldLib.kinetics.curve_type import TYPES, CurveType
from CEKWorldLib.kinetics.quantities import QUANTITIES
from CEKWorldLib.kinetics.roi import RoiResult
from CEKWorldLib.kinetics.settings import Settings


def measure(args: argparse.Namespace, folder: Path) -> tuple[str, tuple[str, ...]]:
    """Reads the series, measures it and writes the files.

    Returns:
        The table of regions, as text, and notes for the user.

    Raises:
        CEKWorldError: series, mask or times are not as they should be.
    """
    series = series_of(args)
    settings = settings_of(args)
    lines = [f"{SYNTHETIC if series.synthetic else ACQUIRED}; {settings.description()}"]
    if args.roi:
        results = with_samples(regions_of(args, series, settings), args, series)
        _write_regions(folder, results, series.synthetic, args.cursor)
        lines += ["", _table(results)]
        lines += [f"{result.name}: {note}" for result in results for note in result.notes]
    if args.maps:
        _write_maps(folder / "maps", args, series, settings)
    return "\n".join(lines), series.notes


def _write_regions(folder: Path, results: Sequence[RoiResult], synthetic: bool, cursor_s: float | None) -> None:
    for suffix in ("png", "svg"):
        write_kinetic_plot(folder / f"curves.{suffix}", results, synthetic, cursor_s)
    write_roi_curves(folder / "curves.csv", results, synthetic)
    write_roi_statistics(folder / "statistics.csv", results, synthetic)
    write_voxel_statistics(folder / "voxels.csv", results, synthetic)
    write_roi_json(folder / "kinetics.json", results, synthetic)


def _write_maps(folder: Path, args: argparse.Namespace, series: TimeSeries, settings: Settings) -> None:
    settings = map_settings(settings, series)
    computed = maps_of(series, settings)
    units = {name: unit for name, (_, unit) in QUANTITIES.items()}
    if spread := spread_of(args, series, tuple(QUANTITIES)):
        for name in QUANTITIES:
            computed |= {f"{name}_mean": spread.mean[name], f"{name}_sd": spread.sd[name]}
            units |= {f"{name}_mean": units[name], f"{name}_sd": units[name]}
        computed |= {f"share_{_word(kind)}": share for kind, share in spread.type_shares.items()}
        units |= {f"share_{_word(kind)}": "%" for kind in spread.type_shares}
    folder.mkdir()
    attributes = {
        "CEKWorld.Synthetic": "1" if series.synthetic else "0",
        "CEKWorld.Settings": json.dumps(settings.as_dict()),
        "CEKWorld.Definition": settings.description(),
    }
    for name, values in tqdm(computed.items(), desc="writing maps", disable=None, file=sys.stderr):
        write_map(folder / f"{name}.nrrd", values, series.grid, attributes | {"CEKWorld.Unit": units.get(name, "")})
    for palette in PALETTES:
        write_colour_table(folder / f"curve_type_{palette}.ctbl", palette)


def _table(results: Sequence[RoiResult]) -> str:
    """One line per region."""
    rows = [["region", "voxels", "PE(t_e) %", "phase", "D %", "type", "worst", "SER", "TTP s", *map(_word, TYPES)]]
    for result in results:
        statistics = result.statistics
        rows.append(
            [
                result.name,
                f"{result.curve_voxels}/{result.voxels}",
                _rounded(statistics.percent_enhancement, 0),
                result.initial_phase.name.lower(),
                _rounded(statistics.delayed_change, 1),
                _word(result.curve_type) if result.uncertainty is None else _most(result.uncertainty.type_shares),
                _word(result.worst_type),
                _rounded(statistics.ser, 2),
                _rounded(statistics.ttp_s, 0),
                *(f"{result.type_shares[kind]:.0f} %" for kind in TYPES),
            ]
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _most(shares: dict[CurveType, float]) -> str:
    kind = max(shares, key=lambda kind: shares[kind])
    return f"{_word(kind)} in {shares[kind]:.0f} %"


def _word(kind: CurveType) -> str:
    return kind.name.lower()


def _rounded(value: np.ndarray, digits: int) -> str:
    return "-" if np.isnan(value) else f"{float(value):.{digits}f}"
