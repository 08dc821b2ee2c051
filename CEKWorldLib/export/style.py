"""What the pictures have in common."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from CEKWorldLib.export.atomic import replacing

SYNTHETIC = "SYNTHETIC"
CAUTION = "not acquired from a patient  ·  model trained on simulated data  ·  research use only"
WARNING_COLOUR = "#c4460a"
# Okabe and Ito's colours, which colour-blind readers tell apart (jfly.uni-koeln.de/color).
REGION_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f", "#000000")


def region_colour(index: int) -> str:
    return REGION_COLOURS[index % len(REGION_COLOURS)]


def save_png(figure: Figure, path: Path | str, dpi: int) -> None:
    """Renders without a display, and writes the file whole or not at all.

    Raises:
        CEKWorldError: the file cannot be written.
    """
    with replacing(Path(path)) as temporary:
        FigureCanvasAgg(figure).print_figure(
            temporary,
            format="png",
            dpi=dpi,
            facecolor=figure.get_facecolor(),
            metadata={"Title": f"{SYNTHETIC}: {CAUTION}", "Software": "CEKWorld"},
        )
