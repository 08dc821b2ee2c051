"""The results of regions as the rows of a table: what is shown, coloured, copied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from slicer.i18n import tr as _

from CEKWorldLib.export.style import CAUTION, SYNTHETIC
from CEKWorldLib.export.type_colours import PALETTES, Colour, Palette
from CEKWorldLib.kinetics.curve_type import TYPES, CurveType, InitialPhase
from CEKWorldLib.kinetics.roi import RoiResult


@dataclass(frozen=True)
class Cell:
    """A cell of the table.

    Attributes:
        text: what it says.
        colour: of a chip behind the text, 0 to 255; None for plain text.
        hint: said when the mouse rests on it.
    """

    text: str
    colour: Colour | None = None
    hint: str = ""

    @property
    def is_dark(self) -> bool:
        """Whether white text is easier to read on the chip (relative luminance, ITU-R BT.709)."""
        red, green, blue = self.colour or (255, 255, 255)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 110


def header() -> list[str]:
    return [
        _("Region"),
        _("Initial"),
        _("Delayed"),
        _("Worst"),
        _("PE (%)"),
        _("Relative"),
        _("Change (%)"),
        _("SER"),
        _("TTP (s)"),
        _("Voxels"),
        _("Persistent / plateau / washout"),
    ]


def rows(results: Sequence[RoiResult], palette: Palette = "standard") -> list[list[Cell]]:
    """One row per region. Where there are samples, the delayed phase is a share of these and numbers have a spread."""
    return [_row(result, palette) for result in results]


def as_text(results: Sequence[RoiResult], synthetic: bool) -> str:
    """The table for the clipboard: tabs between columns, as spreadsheets and word processors take it.

    Args:
        results: of regions, whose names may hold tabs and line ends.
        synthetic: made by a model, which the last line says.
    """
    lines = [header(), *([" ".join(cell.text.split()) for cell in row] for row in rows(results))]
    if synthetic:
        lines.append([f"{SYNTHETIC}: {CAUTION}"])
    return "\n".join("\t".join(line) for line in lines) + "\n"


def phase_name(phase: InitialPhase) -> str:
    return {
        InitialPhase.NONE: _("not evaluable"),
        InitialPhase.SLOW: _("slow"),
        InitialPhase.MEDIUM: _("medium"),
        InitialPhase.FAST: _("fast"),
    }[phase]


def type_name(kind: CurveType) -> str:
    return {
        CurveType.NONE: _("not evaluable"),
        CurveType.PERSISTENT: _("persistent"),
        CurveType.PLATEAU: _("plateau"),
        CurveType.WASHOUT: _("washout"),
    }[kind]


def _row(result: RoiResult, palette: Palette) -> list[Cell]:
    shares = " / ".join(f"{result.type_shares[kind]:.0f}" for kind in TYPES) + " %" if result.enhancing_voxels else "-"
    return [
        Cell(result.name, hint="\n".join(result.notes)),
        Cell(phase_name(result.initial_phase)),
        _delayed(result, palette),
        _chip(result.worst_type, palette),
        _number(result, "percent_enhancement", 0),
        _relative(result),
        _number(result, "delayed_change", 1),
        _number(result, "ser", 2),
        _number(result, "ttp_s", 0),
        Cell(f"{result.curve_voxels} / {result.voxels}", hint=_("in the curve / in the region")),
        Cell(shares, hint=_("share of the voxels above the enhancement gate")),
    ]


def _delayed(result: RoiResult, palette: Palette) -> Cell:
    if result.uncertainty is None:
        return _chip(result.curve_type, palette)
    shares = sorted(result.uncertainty.type_shares.items(), key=lambda item: -item[1])
    kind, share = shares[0]
    cell = _chip(kind, palette)
    of_samples = "\n".join(f"{type_name(other)} {part:.0f} %" for other, part in shares if part > 0)
    return Cell(f"{cell.text} {share:.0f} %", cell.colour, of_samples)


def _chip(kind: CurveType, palette: Palette) -> Cell:
    return Cell(type_name(kind), PALETTES[palette].get(kind))


def _relative(result: RoiResult) -> Cell:
    if not result.reference:
        return Cell("-", hint=_("Choose a reference tissue under Definitions."))
    if not math.isfinite(result.relative_enhancement):
        return Cell("-", hint=_("{tissue} does not enhance enough to compare with.").format(tissue=result.reference))
    hint = _("enhancement over that of {tissue}").format(tissue=result.reference)
    return Cell(f"{result.relative_enhancement:.2f}", hint=hint)


def _number(result: RoiResult, quantity: str, digits: int) -> Cell:
    value = float(getattr(result.statistics, quantity))
    if not math.isfinite(value):
        return Cell("-")
    text = f"{value:.{digits}f}"
    if result.uncertainty is not None and math.isfinite(spread := result.uncertainty.sd[quantity]):
        text += f" ± {spread:.{digits}f}"
    return Cell(text)
