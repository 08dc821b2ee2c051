"""A series held against a scene: what the panel in Slicer and the browser viewer drive."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import slicer

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.grid import slice_axis
from CEKWorldLib.exam.image_series import series_attributes
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.kinetics.roi import RoiResult, from_first_phase
from CEKWorldLib.kinetics.settings import Mode, Settings
from CEKWorldLib.scene.curve_chart import CurveChart
from CEKWorldLib.scene.frame_store import FrameStore
from CEKWorldLib.scene.hover import Hover, Voxel
from CEKWorldLib.scene.observers import Observers
from CEKWorldLib.scene.output_volume import OutputVolume, Window
from CEKWorldLib.scene.overlay import Overlay
from CEKWorldLib.scene.owned_nodes import OwnedNodes
from CEKWorldLib.scene.phase_sequence import publish_phases
from CEKWorldLib.scene.provenance import Provenance
from CEKWorldLib.scene.region import Region
from CEKWorldLib.scene.region_curves import Frames, region_curve
from CEKWorldLib.scene.series_view import SeriesView, Shown
from CEKWorldLib.scene.slice_layers import SliceLayers
from CEKWorldLib.scene.view_caption import ViewCaption

_FEWEST = 3  # frames, below which a curve says nothing


class SceneSession:
    """Shows a series in a scene and follows what happens to the scene.

    ``open_exam`` or ``open_series`` first; ``show`` for every move of the slider. When the scene is closed the session
    is empty again, and ready for the next exam. Closing the session leaves its nodes, which are results, in the scene.

    Args:
        scene: ``vtkMRMLScene``; ``slicer.mrmlScene`` in Slicer.
        on_scene_closed: called after the scene was closed, when nothing is shown any more.
        memory_limit_bytes: for frames.
        changing: within which many things are changed that views show; an application may hold drawing back meanwhile.

    Attributes:
        caption: the text in the corner of the views; views are added to it.
        layers: of the slice views, with maximum intensity projection.
        settings: how curves are judged.
    """

    def __init__(
        self,
        scene: Any,
        on_scene_closed: Callable[[], None] | None = None,
        memory_limit_bytes: int = 4 * 2**30,
        changing: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.caption = ViewCaption()
        self.layers = SliceLayers(scene)
        self.settings = Settings()
        self._scene = scene
        self._on_scene_closed = on_scene_closed
        self._changing = changing
        self._nodes = OwnedNodes(scene)
        self._frames = FrameStore(memory_limit_bytes)
        self._open: _OpenSeries | None = None
        self._sources: frozenset[float] = frozenset()  # times at which the source itself is shown
        self._hover: Hover | None = None
        self._observers = Observers()
        self._observers.add(scene, slicer.vtkMRMLScene.StartCloseEvent, self._forget)
        self._observers.add(scene, slicer.vtkMRMLScene.EndCloseEvent, self._tell_closed)

    def open_exam(
        self,
        name: str,
        pre: Volume,
        provenance: Provenance,
        arrival_s: float,
        brightest: float,
        scratch: Sequence[np.ndarray] | None = None,
    ) -> None:
        """Takes a pre-contrast volume whose frames are going to be synthesized; it is the volume up to bolus arrival.

        Args:
            name: of the exam, as its volume node is called.
            pre: pre-contrast volume.
            provenance: how the frames are made.
            arrival_s: bolus arrival, seconds after injection start.
            brightest: how much brighter than ``pre`` the window's white is; 2 suits breast and liver.
            scratch: two float32 arrays of the exam's shape, whose memory was touched already: at 65 MB that takes up
                to 240 ms, so viewers that must not wait make them bit by bit. None makes them here.
        """
        window = Window.of([pre.voxels])
        window = Window(window.low, window.low + brightest * (window.high - window.low))
        with self._changing():
            self._begin(name, pre, provenance, window, scratch)
            self._sources = frozenset({0.0, arrival_s})
            for time_s in sorted(self._sources):
                self._frames.put(time_s, pre.voxels, keep=True)
            self.show(0.0)

    def open_series(self, name: str, series: TimeSeries) -> None:
        """Takes a series that is there already, its first phase as the pre-contrast volume.

        Args:
            name: of the exam, as its volume node is called.
            series: its phases; shown as synthetic where it says that a model made it.
        """
        with self._changing():
            self._begin(name, series.grid, Provenance.of(series), Window.of(series.frames), given=series)
            for time_s, frame in zip(series.times_s.tolist(), series.frames, strict=True):
                self._frames.put(time_s, frame, keep=True)
            self.show(float(series.times_s[0]))

    def check_room(self, shape: tuple[int, ...], phases: int) -> None:
        """Makes sure that phases are not dropped to make room for later ones.

        Args:
            shape: of each.
            phases: how many there will be, beside the source.

        Raises:
            CEKWorldError: they need more memory than frames may take.
        """
        need, limit = 4 * int(np.prod(shape)) * (phases + 1), self._frames.limit_bytes
        if need > limit:
            raise CEKWorldError(
                f"{phases} phases of this volume need {need / 2**30:.1f} GB, more than the {limit / 2**30:.1f} GB that "
                "frames may take; choose fewer times, or crop the volume."
            )

    def put_frame(self, time_s: float, voxels: np.ndarray) -> None:
        """Adds a synthesized frame, shared and not copied.

        Args:
            time_s: seconds after injection start.
            voxels: float32 (slices, rows, columns), contiguous; must not change afterwards.

        Raises:
            CEKWorldError: of another shape than the exam.
        """
        self._check_shape(voxels)
        self._frames.put(time_s, voxels)

    def put_glance(self, time_s: float, voxels: np.ndarray, partial: bool = False) -> None:
        """Takes the volume of a time between the frames that is looked at, as ``put_frame``; it becomes no phase.

        Args:
            time_s: seconds after injection start.
            voxels: as for ``put_frame``.
            partial: some slices still show the source; the caption says so.

        Raises:
            CEKWorldError: of another shape than the exam.
        """
        self._check_shape(voxels)
        self._frames.put_glance(time_s, voxels, partial)

    @property
    def is_open(self) -> bool:
        return self._open is not None

    @property
    def has_phases(self) -> bool:
        """Whether there is more than the source itself, which an exam shows at injection and arrival."""
        return not self._sources.issuperset(self._frames.times_s)

    @property
    def grid(self) -> Volume:
        """The geometry of all frames, whatever the user does to the node that shows them."""
        return self._opened.grid

    @property
    def series_is_synthetic(self) -> bool:
        """Whether what is shown was synthesized."""
        return self._opened.provenance is not None

    @property
    def times_s(self) -> tuple[float, ...]:
        """The times that are shown exactly; the slider's ticks."""
        return self._frames.times_s

    @property
    def output(self) -> Any:
        """The volume node that shows the series."""
        return self._opened.output.node

    @property
    def chart(self) -> CurveChart:
        return self._opened.chart

    @property
    def overlay(self) -> Overlay:
        return self._opened.overlay

    @property
    def subtracted(self) -> bool:
        """Whether the pre-contrast volume is taken off what is shown; the next ``show`` applies it."""
        return self._opened.view.subtracted

    @subtracted.setter
    def subtracted(self, on: bool) -> None:
        self._opened.view.subtracted = on

    def show(self, time_s: float) -> Shown | None:
        """Shows a time in the output volume, the caption and the chart's cursor.

        Returns:
            What is shown; None while the scene is being closed, loaded or restored, when nothing may be added to it.
        """
        if self._open is None or self._scene.IsBatchProcessing():
            return None
        with self._changing():
            shown = self._open.view.show(time_s)
            self.caption.text = shown.caption
            self._open.chart.show_time(time_s)
        return shown

    def show_in_views(self) -> None:
        """Puts the output volume into the background of all slice views."""
        with self._changing():
            self.layers.show_background(self.output)

    def publish(self) -> tuple[Any, Any]:
        """Puts all frames into the session's sequence node, for saving and for the rest of Slicer.

        Returns:
            The sequence and its browser.
        """
        opened = self._opened
        images = {t: self._frames.image(t) for t in self._frames.times_s}
        origin = opened.provenance or "acquired"
        series = f"{opened.name} {_fingerprint(opened.grid)} {origin} {sorted(self._sources)}"  # with its bolus arrival
        sequence, browser = publish_phases(self._nodes, series, opened.name, opened.grid, images, opened.provenance)
        if opened.given is not None:
            for key, value in series_attributes(opened.given).items():
                sequence.SetAttribute(key, value)
        return sequence, browser

    def measure(self, regions: Sequence[Region], mode: Mode = "mean") -> list[RoiResult]:
        """Measures regions and shows their curves.

        Raises:
            CEKWorldError: a region without a curve, or fewer than three frames.
        """
        results = [self.curve(region, mode) for region in regions]
        self.chart.show_curves(results, [region.colour for region in regions])
        return results

    def curve(self, region: Region, mode: Mode, frames: Frames | None = None) -> RoiResult:
        """Measures a region without showing it.

        Args:
            region: on the exam's grid.
            mode: which voxels the curve is the mean of.
            frames: another series of the exam; None takes what is shown.

        Raises:
            CEKWorldError: as ``measure``.
        """
        grid = self._opened.grid
        voxel_mm3 = float(np.prod(grid.spacing))
        result = region_curve(frames or self._frames, region, self.settings, mode, voxel_mm3, slice_axis(grid))
        return result if self._opened.from_injection else from_first_phase(result)

    def follow_mouse(self, on: bool) -> None:
        """Shows the curve of the voxel under the mouse, or stops."""
        if self._hover is not None:
            self._hover.stop()
            self._hover = None
        if on:
            self._hover = Hover(self._scene, lambda: self.output, self._hovered)

    def series(self) -> TimeSeries:
        """All frames as one series, for maps and exports: the one that was given, or a copy of what was synthesized."""
        opened = self._opened
        if opened.given is not None:
            return opened.given
        frames = np.stack([self._frames.voxels(t) for t in self._frames.times_s])
        return TimeSeries(
            frames=frames,
            times_s=np.array(self._frames.times_s),
            grid=opened.grid.like(frames[0]),
            synthetic=True,
            time_sources=("synthesized",) * len(frames),
            zero_source="injection",
        )

    def close(self) -> None:
        """Ends the session: views as they were found, no observer left; nodes stay in the scene."""
        self._observers.clear()
        self.layers.restore()
        self._forget()

    @property
    def _opened(self) -> _OpenSeries:
        if self._open is None:
            raise CEKWorldError("There is no exam yet; choose a volume first.")
        return self._open

    def _check_shape(self, voxels: np.ndarray) -> None:
        if voxels.shape != self._opened.grid.shape:
            raise CEKWorldError(f"A frame of {voxels.shape} does not fit the exam's {self._opened.grid.shape}.")

    def _begin(
        self,
        name: str,
        grid: Volume,
        provenance: Provenance | None,
        window: Window,
        scratch: Sequence[np.ndarray] | None = None,
        given: TimeSeries | None = None,
    ) -> None:
        self._frames.clear()
        self._sources = frozenset()
        scratch = scratch or [np.empty(grid.shape, np.float32) for _ in range(2)]
        self._open = _OpenSeries(self._nodes, self.layers, self._frames, name, grid, provenance, window, scratch, given)

    def _hovered(self, voxel: Voxel | None) -> None:
        if voxel is None or len(self._frames.times_s) < _FEWEST:
            self.chart.hide_hover()
            return
        k, j, i = (slice(index, index + 1) for index in voxel)
        region = Region("voxel", self._opened.grid.shape, (k, j, i), np.ones((1, 1, 1), bool), (1.0, 1.0, 1.0))
        result = self.curve(region, "mean")
        self.chart.show_hover(result.times_s, result.enhancement)

    def _forget(self) -> None:
        """Lets go of everything in the scene, before the scene does."""
        self.follow_mouse(False)
        self.layers.forget()
        self._nodes.forget()
        self._frames.clear()
        self.caption.text = ""
        self._open = None

    def _tell_closed(self) -> None:
        if self._on_scene_closed is not None:
            self._on_scene_closed()


class _OpenSeries:
    """What exists while a series is open."""

    def __init__(
        self,
        nodes: OwnedNodes,
        layers: SliceLayers,
        frames: FrameStore,
        name: str,
        grid: Volume,
        provenance: Provenance | None,
        window: Window,
        scratch: Sequence[np.ndarray],
        given: TimeSeries | None,
    ) -> None:
        self.name = name
        self.given = given
        self.from_injection = given is None or bool(given.zero_source)
        self.grid = grid
        self.provenance = provenance
        self.output = OutputVolume(nodes, name, grid, provenance, window, layers.renew_background)
        self.view = SeriesView(frames, self.output, grid.voxels, provenance is not None, scratch)
        self.chart = CurveChart(nodes, name, provenance, self.from_injection)
        self.overlay = Overlay(nodes, layers, grid, provenance)


def _fingerprint(volume: Volume) -> str:
    """Tells a volume from another patient's of the same name, by its geometry and its middle slice."""
    geometry = repr((volume.shape, volume.spacing, volume.origin, volume.direction))
    middle = volume.voxels[len(volume.voxels) // 2]
    return f"{zlib.crc32(middle.tobytes(), zlib.crc32(geometry.encode())):08x}"
