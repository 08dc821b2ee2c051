"""Curves of regions over the frames that are ready."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from CEKWorldLib.kinetics.roi import RoiResult, roi_curves
from CEKWorldLib.kinetics.settings import Mode, Settings
from CEKWorldLib.scene.region import Region


class Frames(Protocol):
    """A series that is read by time, as ``frame_store.FrameStore`` is."""

    @property
    def times_s(self) -> tuple[float, ...]: ...

    def voxels(self, time_s: float) -> np.ndarray: ...


def region_curve(
    frames: Frames,
    region: Region,
    settings: Settings | None = None,
    mode: Mode = "mean",
    voxel_mm3: float = float("nan"),
    slice_axis: int = 0,
) -> RoiResult:
    """Measures a region, reading no more than its box of every frame.

    Args:
        frames: at least three, one of them after the injection.
        region: on the frames' grid.
        settings: definitions.
        mode: which voxels the curve is the mean of.
        voxel_mm3: volume of a voxel.
        slice_axis: array axis across the acquired plane.

    Raises:
        CEKWorldError: times that no curve can have, or no voxel that has a curve.
    """
    times = np.array(frames.times_s)
    boxes = np.stack([frames.voxels(t)[region.box] for t in frames.times_s])
    masks = {region.name: region.inside}
    result = roi_curves(boxes, times, masks, settings, mode, voxel_mm3=voxel_mm3, slice_axis=slice_axis)[0]
    return replace(result, positions=result.positions + region.corner)
