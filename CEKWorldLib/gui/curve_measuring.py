"""Curves of what the user draws, measured while it is drawn, with their uncertainty where there are samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.grid import slice_axis
from CEKWorldLib.gui.coalescing import Coalescer
from CEKWorldLib.gui.region_nodes import RegionWatch, regions_of
from CEKWorldLib.gui.sample_store import SampleStore
from CEKWorldLib.gui.signals import Signal
from CEKWorldLib.gui.timers import MakeTimer
from CEKWorldLib.kinetics.roi import RoiResult, with_uncertainty
from CEKWorldLib.kinetics.settings import Mode
from CEKWorldLib.scene.geometry import grid_of
from CEKWorldLib.scene.region import Region
from CEKWorldLib.scene.region_curves import region_curve
from CEKWorldLib.scene.scene_session import SceneSession

_INTERVAL_MS = 60  # a plot view reads all series again at each change: 15 times a second are enough


class CurveMeter:
    """Measures the regions of a node.

    Args:
        session: what holds the series.
        make_timer: of the application.
        samples: gives the samples of the series, None where there are none.

    Attributes:
        mode: which voxels a curve is the mean of.
        results: the latest, and the regions they are of.
        measured: emitted with the results.
        failed: emitted with a sentence for the user.
    """

    def __init__(self, session: SceneSession, make_timer: MakeTimer, samples: Callable[[], SampleStore | None]) -> None:
        self.mode: Mode = "mean"
        self.results: list[RoiResult] = []
        self.measured, self.failed = Signal(), Signal()
        self._session = session
        self._samples = samples
        self._node: Any | None = None
        self._watch = RegionWatch(self.measure_soon)
        self._soon: Coalescer[None] = Coalescer(make_timer, lambda _none: self.measure(), _INTERVAL_MS)

    def choose(self, node: Any | None, follow: bool) -> None:
        """Takes another node, and measures it again and again while it changes if asked to."""
        self._node = node
        self._watch.follow(node if follow else None)
        self.measure()

    def stop(self) -> None:
        """Forgets node and results, as when the scene is closed."""
        self._watch.follow(None)
        self._soon.drop()
        self._node, self.results = None, []

    def measure_soon(self) -> None:
        self._soon.put(None)

    def measure(self) -> None:
        """Measures now. An empty region and a missing series are told, and leave no result."""
        if self._node is None or not self._session.is_open:
            return
        try:
            self.results = self._measured(self._regions())
        except CEKWorldError as error:
            self.results = []
            self.failed.emit(str(error))
        else:
            self.measured.emit(self.results)

    def _regions(self) -> list[Region]:
        output = self._session.output
        return regions_of(self._node, output, slice_axis(grid_of(output)))

    def _measured(self, regions: Sequence[Region]) -> list[RoiResult]:
        store = self._samples()
        if store is None:
            return self._session.measure(regions, self.mode)
        grid = grid_of(self._session.output)
        size, axis = float(np.prod(grid.spacing)), slice_axis(grid)
        results = [region_curve(store, region, self._session.settings, self.mode, size, axis) for region in regions]
        results = with_uncertainty(results, store.samples, np.array(store.times_s))
        self._session.chart.show_curves(results, [region.colour for region in regions])
        return results
