"""The map over the images, computed when it is chosen."""

from __future__ import annotations

import numpy as np

from CEKWorldLib.errors import Cancelled, CEKWorldError
from CEKWorldLib.gui.choices import OverlayChoice
from CEKWorldLib.gui.exporting import Report, series_maps
from CEKWorldLib.gui.sample_store import SampleStore
from CEKWorldLib.scene.scene_session import SceneSession

_STRONGEST = 99.5  # percentile of the spread that gets the strongest colour; single voxels of vessels go beyond


def show_overlay(session: SceneSession, choice: OverlayChoice, store: SampleStore | None, report: Report) -> None:
    """Shows a map in place of the one before.

    Args:
        session: what shows the series.
        choice: which.
        store: samples of the series, where there are some.
        report: progress and cancel.

    Raises:
        CEKWorldError: no samples, or too few phases for a curve.
        Cancelled: the report's answer was no.
    """
    if choice is OverlayChoice.NONE:
        session.overlay.hide()
    elif choice is OverlayChoice.CURVE_TYPES:
        computed = series_maps(session.series(), session.settings, report)
        session.overlay.show_types(computed["curve_type"])
    else:
        if store is None:
            raise CEKWorldError("Uncertainty needs at least two samples; raise their number and synthesize again.")

        def progress(done: int, total: int) -> None:
            if not report("Comparing the samples", done, total):
                raise Cancelled("Stopped; the samples were not compared.")

        spread = store.enhancement_spread(progress)
        session.overlay.show_uncertainty(spread, max(float(np.percentile(spread, _STRONGEST)), 1e-6))
