"""What the pictures have in common. Its words and colours serve tables and DICOM objects too, without matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.export.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SYNTHETIC, ACQUIRED = "SYNTHETIC", "ACQUIRED"
RESEARCH = "research use only  ·  not for diagnosis"
CAUTION = "not acquired from a patient  ·  made by a model  ·  research use only"
WARNING_COLOUR = "#c4460a"
OUTLINE = "#ffd166"  # of a region on an image
# Okabe and Ito's colours, which colour-blind readers tell apart (jfly.uni-koeln.de/color).
REGION_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f", "#000000")

# Chinese, Japanese, Korean, Indic and Thai letters, which matplotlib's own font lacks, on Linux, Windows and macOS.
FURTHER_FONTS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Zen Hei", "Noto Sans Devanagari", "Noto Sans Thai",
    "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Nirmala UI", "Leelawadee UI",
    "Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Arial Unicode MS",
)  # fmt: skip


def region_colour(index: int) -> str:
    return REGION_COLOURS[index % len(REGION_COLOURS)]


def plain(text: str) -> str:
    """A user's own words for a picture: between two dollars matplotlib would see a formula, or fail."""
    return text.replace("$", r"\$")


def mark_cell(cell: Axes, synthetic: bool) -> None:
    """Writes the origin of an image into its corner."""
    cell.text(
        0.02, 0.03, SYNTHETIC if synthetic else ACQUIRED, transform=cell.transAxes,
        color="#ff8c42" if synthetic else "0.75", fontsize=7.5, fontweight="bold", zorder=5,
        bbox={"facecolor": "black", "edgecolor": "none", "alpha": 0.7, "pad": 1.5},
    )  # fmt: skip


def save_png(figure: Figure, path: Path | str, dpi: int) -> None:
    """Renders without a display, and writes the file whole or not at all.

    Raises:
        CEKWorldError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    _find_letters(figure)
    with replacing(Path(path)) as temporary:
        FigureCanvasAgg(figure).print_figure(
            temporary,
            format="png",
            dpi=dpi,
            facecolor=figure.get_facecolor(),
            metadata={"Title": f"{SYNTHETIC}: {CAUTION}", "Software": "CEKWorld"},
        )


def save_picture(figure: Figure, path: Path | str, dpi: int, title: str) -> None:
    """Renders to the format the suffix names, PNG or SVG, and writes the file whole or not at all.

    Raises:
        CEKWorldError: another suffix, or the file cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    path = Path(path)
    form = path.suffix.lower().removeprefix(".")
    if form not in ("png", "svg"):
        raise CEKWorldError(f"{path.name} names no picture format; let it end in .png or .svg.")
    # SVG keeps text as text, to search and to edit, and no date, so that the same curve gives the same file.
    _find_letters(figure)
    metadata = {"Title": title} | ({"Software": "CEKWorld"} if form == "png" else {"Creator": "CEKWorld", "Date": None})
    with replacing(path) as temporary, rc_context({"svg.fonttype": "none", "svg.hashsalt": "CEKWorld"}):
        FigureCanvasAgg(figure).print_figure(
            temporary, format=form, dpi=dpi, facecolor=figure.get_facecolor(), metadata=metadata
        )


def _find_letters(figure: Figure) -> None:
    """Puts the machine's fonts behind matplotlib's own where a name is not in Latin letters alone."""
    from matplotlib import font_manager, rcParams
    from matplotlib.text import Text

    words = [text for text in figure.findobj(Text) if not text.get_text().isascii()]
    installed = set(font_manager.get_font_names()) if words else set()
    for text in words:
        text.set_fontfamily([*rcParams["font.family"], *(name for name in FURTHER_FONTS if name in installed)])
