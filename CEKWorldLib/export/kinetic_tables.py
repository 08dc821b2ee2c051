"""Kinetic results as tables and as JSON."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from CEKWorldLib.export.atomic import replacing
from CEKWorldLib.export.style import ACQUIRED, RESEARCH, SYNTHETIC
from CEKWorldLib.kinetics.curve_type import TYPES, CurveType, InitialPhase
from CEKWorldLib.kinetics.quantities import QUANTITIES
from CEKWorldLib.kinetics.roi import RoiResult
from CEKWorldLib.kinetics.uncertainty import CurveUncertainty


def write_roi_curves(path: Path | str, results: Sequence[RoiResult], synthetic: bool) -> None:
    """Writes one row per time; per region the mean signal, the percent enhancement and its spread where known.

    Lines that start with # say what the numbers are (``pandas.read_csv(comment="#")``).

    Raises:
        CEKWorldError: the file cannot be written.
    """
    columns = {"time_s": results[0].times_s}
    for result in results:
        columns[f"{result.name} signal"] = result.signal
        columns[f"{result.name} enhancement_percent"] = result.enhancement
        if result.uncertainty:
            columns[f"{result.name} enhancement_sd_percent"] = result.uncertainty.enhancement_sd
    _write_csv(path, results, synthetic, columns, zip(*columns.values(), strict=True))


def write_roi_statistics(path: Path | str, results: Sequence[RoiResult], synthetic: bool) -> None:
    """Writes one row per region: voxels, types and every quantity of its curve, units in the column names.

    Raises:
        CEKWorldError: the file cannot be written.
    """
    rows = [_statistics_row(result) for result in results]
    _write_csv(path, results, synthetic, rows[0], (row.values() for row in rows))


def write_voxel_statistics(path: Path | str, results: Sequence[RoiResult], synthetic: bool) -> None:
    """Writes one row per voxel of every region: its place, type and every quantity.

    Raises:
        CEKWorldError: the file cannot be written.
    """
    header = ["region", "slice", "row", "column", "in_curve", "initial_phase", "curve_type", *_quantity_columns()]
    _write_csv(path, results, synthetic, header, (row for result in results for row in _voxel_rows(result)))


def write_roi_json(path: Path | str, results: Sequence[RoiResult], synthetic: bool) -> None:
    """Writes curves, statistics and settings of every region; what is not defined is null.

    Raises:
        CEKWorldError: the file cannot be written.
    """
    document = {
        "origin": SYNTHETIC if synthetic else ACQUIRED,
        "notice": RESEARCH,
        "units": {name: unit for name, (_, unit) in QUANTITIES.items()},
        "settings": results[0].settings.as_dict(),
        "definition": results[0].settings.description(),
        "times_count_from": _zero(results),
        "regions": [_region(result) for result in results],
    }
    with replacing(Path(path)) as temporary:
        temporary.write_text(json.dumps(_plain(document), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _statistics_row(result: RoiResult) -> dict[str, Any]:
    return {
        "region": result.name,
        "mode": result.mode,
        "voxels": result.voxels,
        "curve_voxels": result.curve_voxels,
        "volume_mm3": result.volume_mm3,
        "initial_phase": result.initial_phase.name.lower(),
        "curve_type": result.curve_type.name.lower(),
        "t_e_s": result.statistics.t_e_s,
        "t_l_s": result.statistics.t_l_s,
        **dict(zip(_quantity_columns(), result.statistics.numbers().values(), strict=True)),
        "relative_enhancement": result.relative_enhancement,
        "reference": result.reference,
        **{f"{kind.name.lower()}_percent_of_enhancing": result.type_shares[kind] for kind in TYPES},
        "enhancing_voxels": result.enhancing_voxels,
        "predominant_type": result.predominant_type.name.lower(),
        "worst_type": result.worst_type.name.lower(),
        "notes": "; ".join(result.notes),
    }


def _voxel_rows(result: RoiResult) -> Iterable[list[Any]]:
    each = result.voxel_statistics
    quantities = np.stack([getattr(each, name) for name in QUANTITIES], axis=1)
    for at, used, phase, kind, values in zip(
        result.positions, result.in_curve, each.initial_phase, each.gated_type, quantities, strict=True
    ):
        names = (InitialPhase(phase).name.lower(), CurveType(kind).name.lower())
        yield [result.name, *at.tolist(), int(used), *names, *values.tolist()]


def _region(result: RoiResult) -> dict[str, Any]:
    row = _statistics_row(result)
    for column in (*_quantity_columns(), *(name for name in row if name.endswith("_percent_of_enhancing"))):
        del row[column]
    return {
        **row,
        "notes": list(result.notes),
        "times_s": result.times_s,
        "signal": result.signal,
        "baseline": float(result.statistics.baseline),
        "enhancement_percent": result.enhancement,
        "statistics": result.statistics.numbers(),
        "type_shares_percent": _shares(result.type_shares),
        "uncertainty": result.uncertainty and _uncertainty(result.uncertainty),
    }


def _uncertainty(uncertainty: CurveUncertainty) -> dict[str, Any]:
    return {
        "samples": uncertainty.samples,
        "enhancement_mean_percent": uncertainty.enhancement_mean,
        "enhancement_sd_percent": uncertainty.enhancement_sd,
        "mean": uncertainty.mean,
        "sd": uncertainty.sd,
        "type_shares_percent": _shares(uncertainty.type_shares),
    }


def _shares(shares: dict[CurveType, float]) -> dict[str, float]:
    return {kind.name.lower(): share for kind, share in shares.items()}


def _quantity_columns() -> list[str]:
    """Names with their units, those that do not end in theirs already; SER says whose it is."""
    units = {"%": "_percent", "%/s": "_percent_per_s", "%/min": "_percent_per_min", "%·s": "_percent_s"}
    named = {name: f"{name}{units.get(unit, '')}" for name, (_, unit) in QUANTITIES.items()}
    return list((named | {"percent_enhancement": "percent_enhancement", "ser": "SER_UCSF"}).values())


def _write_csv(
    path: Path | str, results: Sequence[RoiResult], synthetic: bool, header: Iterable[str], rows: Iterable[Iterable]
) -> None:
    with replacing(Path(path)) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {SYNTHETIC if synthetic else ACQUIRED}; {RESEARCH}\n")
        file.write(f"# time_s counts from the {_zero(results)}; enhancement is 100 (S - S0) / S0.\n")
        file.write(f"# {results[0].settings.description()}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([_cell(name) for name in header])
        writer.writerows([_cell(value) for value in row] for row in rows)


def _zero(results: Sequence[RoiResult]) -> str:
    return "start of the injection" if results[0].from_injection else "first phase"


def _cell(value: Any) -> Any:
    """Numbers to six digits, NaN empty."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return plain_text(value) if isinstance(value, str) else value


def plain_text(text: str) -> str:
    """Text for a table; what a spreadsheet would take for a formula gets an apostrophe."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _plain(value: Any) -> Any:
    """Lists for arrays and None for NaN, at any depth."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return None if math.isnan(value) else float(value)
    return value
