"""Curves of what the user draws, measured while it is drawn, with their uncertainty where there are samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from slicer.i18n import tr as _

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.grid import slice_axis
from CEKWorldLib.gui.coalescing import Coalescer
from CEKWorldLib.gui.region_nodes import RegionWatch, regions_of
from CEKWorldLib.gui.sample_store import SampleStore
from CEKWorldLib.gui.signals import Signal
from CEKWorldLib.gui.timers import MakeTimer
from CEKWorldLib.kinetics.roi import RoiResult, relative_to, with_uncertainty
from CEKWorldLib.kinetics.settings import Mode
from CEKWorldLib.scene.region import Region
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
        self._tissue: Any | None = None
        self._watch, self._tissue_watch = RegionWatch(self.measure_soon), RegionWatch(self.measure_soon)
        self._soon: Coalescer[None] = Coalescer(make_timer, lambda _none: self.measure(), _INTERVAL_MS)

    def choose(self, node: Any | None, tissue: Any | None, follow: bool) -> None:
        """Takes other nodes, and measures again and again while they change if asked to.

        Args:
            node: what is measured.
            tissue: the reference tissue.
            follow: whether to measure while they are edited.
        """
        self._node, self._tissue = node, tissue
        self._watch.follow(node if follow else None)
        self._tissue_watch.follow(tissue if follow else None)
        self.measure()

    def stop(self) -> None:
        """Forgets node and results, as when the scene is closed."""
        for watch in (self._watch, self._tissue_watch):
            watch.follow(None)
        self._soon.drop()
        self._node, self._tissue, self.results = None, None, []

    def clear(self) -> None:
        """Drops the results, as when another exam is shown: they are not of it."""
        self.results = []
        if self._session.is_open:
            self._session.chart.show_curves([], [])
        self.measured.emit([])

    def measure_soon(self) -> None:
        self._soon.put(None)

    def measure(self) -> None:
        """Measures now. An empty region and a missing series are told, and leave no result."""
        if self._node is None or not self._session.is_open:
            self.clear()
            return
        try:
            self.results = self._measured(self._regions(self._node))
        except CEKWorldError as error:
            self.results = []
            self._session.chart.show_curves([], [])
            self.failed.emit(str(error))
        else:
            self.measured.emit(self.results)

    def _regions(self, node: Any) -> list[Region]:
        return regions_of(node, self._session.output, slice_axis(self._session.grid))

    def _measured(self, regions: Sequence[Region]) -> list[RoiResult]:
        store = self._samples()
        results = [self._curve(region, self.mode) for region in regions]
        if store is not None:
            results = with_uncertainty(results, store.samples, np.array(store.times_s))
        if self._tissue is not None:
            results = relative_to(self._curve(self._only_region(self._tissue), "mean"), results)
        self._session.chart.show_curves(results, [region.colour for region in regions])
        return results

    def _curve(self, region: Region, mode: Mode) -> RoiResult:
        return self._session.curve(region, mode, self._samples())

    def _only_region(self, tissue: Any) -> Region:
        regions = self._regions(tissue)
        if len(regions) > 1:
            raise CEKWorldError(
                _("The reference tissue must be one region, but '{name}' holds {count}.").format(
                    name=tissue.GetName(), count=len(regions)
                )
            )
        return regions[0]
