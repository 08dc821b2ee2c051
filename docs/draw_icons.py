"""Draws the icons of the Slicer extension: ``python docs/draw_icons.py``.

The curve is the one CEKWorld is about: nothing before the bolus arrives, a steep wash-in, a slow washout; the dot is
the time slider on it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
ICONS = ROOT / "CEKWorld" / "Resources" / "Icons"
SIDE, OVERSAMPLING = 128, 4
_GLOW = LinearSegmentedColormap.from_list("contrast agent", ["#4f9dff", "#ffd25e", "#ff7a3d"])


def draw_icon() -> Image.Image:
    """The icon, 128x128 with transparent corners."""
    figure = Figure(figsize=(SIDE / 100, SIDE / 100), dpi=100 * OVERSAMPLING, facecolor="none")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 1), ylim=(0, 1))
    axes.axis("off")
    axes.add_patch(FancyBboxPatch((0.05, 0.05), 0.9, 0.9, "round,pad=0,rounding_size=0.2", color="#12243d"))
    t = np.linspace(0.13, 0.87, 400)
    since = np.clip(t - 0.3, 0, None)
    height = 0.24 + 0.68 * (1 - np.exp(-since / 0.085)) * np.exp(-since / 1.3)
    points = np.stack([t, height], -1)
    segments = np.stack([points[:-1], points[1:]], 1)
    axes.add_collection(
        LineCollection(segments, array=height[:-1], cmap=_GLOW, linewidths=7.5, capstyle="round", zorder=2)
    )
    now = 285
    axes.plot([t[now]] * 2, [0.16, height[now]], color="white", alpha=0.45, linewidth=2.2, zorder=1)
    axes.plot(t[now], height[now], "o", color="white", markersize=13, zorder=3)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def draw_sample() -> Image.Image:
    """The bundled sample exam's middle slice, for the Sample Data module."""
    voxels = sitk.GetArrayFromImage(sitk.ReadImage(str(ROOT / "Resources" / "sample" / "breast" / "pre.nrrd")))
    middle = voxels[len(voxels) // 2].astype(float)
    grey = 255 * np.clip(middle / np.percentile(middle, 99.5), 0, 1)
    return Image.fromarray(grey.astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def main() -> None:
    ICONS.mkdir(parents=True, exist_ok=True)
    icon = draw_icon()
    for path in (ROOT / "CEKWorld.png", ICONS / "CEKWorld.png"):
        icon.save(path, optimize=True)
    draw_sample().save(ICONS / "CEKWorldBreast.png", optimize=True)


if __name__ == "__main__":
    main()
