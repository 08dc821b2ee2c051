"""Curves of regions as rows of the page's class table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from CEKWorldLib.export.type_colours import PALETTES
from CEKWorldLib.kinetics.curve_type import TYPES, CurveType
from CEKWorldLib.kinetics.roi import RoiResult
from CEKWorldLib.scene.region import Colour, Region

_LABELS = {
    CurveType.NONE: "not evaluable",
    CurveType.PERSISTENT: "I persistent",
    CurveType.PLATEAU: "II plateau",
    CurveType.WASHOUT: "III washout",
}


def curve_rows(ids: Sequence[str], regions: Sequence[Region], results: Sequence[RoiResult]) -> list[dict[str, Any]]:
    """One row per region, ready to be shown.

    Args:
        ids: of the regions.
        regions: as they are drawn.
        results: of the regions; none at all where there are no curves yet.
    """
    if not results:
        return [
            {"id": id, "name": region.name, "colour": css(region.colour), "voxels": int(region.inside.sum())}
            for id, region in zip(ids, regions, strict=True)
        ]
    rows = zip(ids, regions, results, strict=True)
    return [_row(id, region, result) for id, region, result in rows]


def css(colour: Colour) -> str:
    """A colour as style sheets write it."""
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in colour)


def _row(id: str, region: Region, result: RoiResult) -> dict[str, Any]:
    statistics = result.statistics
    return {
        "id": id,
        "name": region.name,
        "colour": css(region.colour),
        "voxels": result.voxels,
        "type": _LABELS[result.curve_type],
        "type_style": _chip(result.curve_type),
        "initial": result.initial_phase.name.lower(),
        "early": _percent(statistics.percent_enhancement),
        "change": _percent(statistics.delayed_change),
        "peak": _percent(statistics.peak_enhancement),
        "ttp": _seconds(statistics.ttp_s),
        "ser": _plain(statistics.ser),
        "worst": _LABELS[result.worst_type] if result.enhancing_voxels else "none enhances",
        "worst_style": _chip(result.worst_type),
        "shares": [[_chip(kind), round(result.type_shares[kind], 1)] for kind in TYPES],
        "spread": _spread(result),
        "notes": "; ".join(result.notes),
    }


def _chip(kind: CurveType) -> str:
    """Style of a chip in the overlay's colours, with text that can be read on them."""
    if kind == CurveType.NONE:
        return "background: #3a4350; color: #dfe5ec"
    red, green, blue = PALETTES["standard"][kind]
    bright = 0.299 * red + 0.587 * green + 0.114 * blue > 128
    return f"background: rgb({red}, {green}, {blue}); color: {'#000' if bright else '#fff'}"


def _spread(result: RoiResult) -> str:
    """How sure the type is, from samples; empty without them."""
    if result.uncertainty is None:
        return ""
    share = result.uncertainty.type_shares[result.curve_type]
    return f"{share:.0f} % of {result.uncertainty.samples} samples"


def _percent(value: Any) -> str:
    return "–" if math.isnan(value) else f"{float(value):+.0f} %"


def _seconds(value: Any) -> str:
    return "–" if math.isnan(value) else f"{float(value):.0f} s"


def _plain(value: Any) -> str:
    return "–" if math.isnan(value) else f"{float(value):.2f}"
