"""Colours of the curve types, for overlays, and their table as 3D Slicer reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from CEKWorldLib.export.atomic import replacing
from CEKWorldLib.kinetics.curve_type import TYPES, CurveType

Palette = Literal["standard", "colour-blind"]
Colour = tuple[int, int, int]

# Standard: what breast workstations show (Partridge 2014, fig. 2). Colour-blind: Okabe and Ito's blue, yellow and
# vermillion, which differ in lightness as well (jfly.uni-koeln.de/color).
PALETTES: dict[Palette, dict[CurveType, Colour]] = {
    "standard": {
        CurveType.PERSISTENT: (0, 0, 255),
        CurveType.PLATEAU: (0, 255, 0),
        CurveType.WASHOUT: (255, 0, 0),
    },
    "colour-blind": {
        CurveType.PERSISTENT: (0, 114, 178),
        CurveType.PLATEAU: (240, 228, 66),
        CurveType.WASHOUT: (213, 94, 0),
    },
}


def coloured_types(types: np.ndarray, palette: Palette = "standard") -> np.ndarray:
    """Paints a map of curve types.

    Args:
        types: any shape, of ``CurveType``.
        palette: one of ``PALETTES``.

    Returns:
        uint8, the shape and four channels; NONE is transparent.
    """
    table = np.zeros((len(CurveType), 4), np.uint8)
    for kind, colour in PALETTES[palette].items():
        table[kind] = (*colour, 255)
    return table[types]


def write_colour_table(path: Path | str, palette: Palette = "standard") -> None:
    """Writes the types' names and colours as a Slicer colour table (``.ctbl``).

    Raises:
        CEKWorldError: the file cannot be written.
    """
    rows = ["0 none 0 0 0 0"]
    rows += [f"{kind.value} {kind.name.lower()} {' '.join(map(str, PALETTES[palette][kind]))} 255" for kind in TYPES]
    text = "\n".join([f"# Color table file: curve types, {palette}", f"# {len(rows)} values", *rows])
    with replacing(Path(path)) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
