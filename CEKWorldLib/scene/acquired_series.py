"""Acquired series that Slicer has loaded, as the series the rest of the project works on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.image_series import SYNTHETIC_KEY, attribute_times, made_by
from CEKWorldLib.exam.phase_times import PhaseTimes
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.scene.geometry import same_grid, volume_of
from CEKWorldLib.scene.images import array_of

_FEWEST = 2  # phases


def series_of_sequence(
    sequence: Any, times_s: Sequence[float] | None = None, injection_s: float | None = None
) -> TimeSeries:
    """The volumes of a sequence node.

    Times come from the index where it has a unit of time, else from the MultiVolume attributes that Slicer's DICOM
    import leaves: its own index only numbers the phases.

    Args:
        sequence: ``vtkMRMLSequenceNode`` of scalar volumes.
        times_s: seconds after injection start of every phase, where the node's are missing or wrong.
        injection_s: seconds from the first phase to the start of the injection, likewise.

    Raises:
        UnknownTimesError: the node does not tell its times and none are given.
        CEKWorldError: no volumes, of different geometry, or bad times.
    """
    name, count = sequence.GetName(), sequence.GetNumberOfDataNodes()
    nodes = [sequence.GetNthDataNode(n) for n in range(count)]
    if not all(node.IsA("vtkMRMLScalarVolumeNode") for node in nodes):
        raise CEKWorldError(f"The sequence '{name}' does not hold volumes; choose one with the phases of an exam.")
    index = [sequence.GetNthIndexValue(n) for n in range(count)]
    times = attribute_times(sequence.GetIndexUnit() or "", index, _attributes(sequence), count)
    return _stacked(name, [volume_of(node) for node in nodes], times, times_s, injection_s, sequence)


def series_of_multivolume(
    node: Any, times_s: Sequence[float] | None = None, injection_s: float | None = None
) -> TimeSeries:
    """The frames of a MultiVolume node, which is one image with a component for each phase.

    Args:
        node: ``vtkMRMLMultiVolumeNode``, or any volume with its attributes and several components.
        times_s: as for ``series_of_sequence``.
        injection_s: as for ``series_of_sequence``.

    Raises:
        UnknownTimesError: the node does not tell its times and none are given.
        CEKWorldError: a single phase, or bad times.
    """
    whole = volume_of(node)
    voxels = array_of(node.GetImageData())
    if voxels.ndim != 4:
        raise CEKWorldError(f"The volume '{node.GetName()}' holds a single phase; choose a multi-volume.")
    frames = np.ascontiguousarray(np.moveaxis(voxels, -1, 0), np.float32)
    grid = Volume(frames[0], whole.spacing, whole.origin, whole.direction)
    times = attribute_times("", [], _attributes(node), len(frames))
    return _series(node.GetName(), frames, grid, times, times_s, injection_s, node)


def series_of_volumes(nodes: Sequence[Any], times_s: Sequence[float]) -> TimeSeries:
    """Volumes that were loaded one by one, in the order of their times.

    Args:
        nodes: ``vtkMRMLScalarVolumeNode`` of one geometry.
        times_s: seconds after injection start of each.

    Raises:
        CEKWorldError: different geometry, or times that do not rise or are not as many.
    """
    volumes = [volume_of(node) for node in nodes]
    name = nodes[0].GetName() if nodes else "The selection"
    made = next((node for node in nodes if _is_synthetic(node)), None)
    return _stacked(name, volumes, PhaseTimes.unknown(len(nodes), "single volumes"), times_s, None, made)


def _stacked(
    name: str,
    volumes: Sequence[Volume],
    times: PhaseTimes,
    times_s: Sequence[float] | None,
    injection_s: float | None,
    node: Any | None,
) -> TimeSeries:
    if len(volumes) < _FEWEST:
        raise CEKWorldError(f"'{name}' holds {len(volumes)} volume(s); a series needs at least {_FEWEST} phases.")
    for n, volume in enumerate(volumes[1:], 2):
        if not same_grid(volumes[0], volume):
            raise CEKWorldError(
                f"Phase {n} of '{name}' lies on another grid than phase 1; resample the phases to one geometry first."
            )
    frames = np.stack([volume.voxels for volume in volumes])
    return _series(name, frames, volumes[0].like(frames[0]), times, times_s, injection_s, node)


def _series(
    name: str,
    frames: np.ndarray,
    grid: Volume,
    times: PhaseTimes,
    times_s: Sequence[float] | None,
    injection_s: float | None,
    node: Any | None,
) -> TimeSeries:
    """A series; ``node`` is the one that says whether, and by which model, it was made."""
    settled = times.settled(times_s, injection_s, f"'{name}'")
    synthetic = node is not None and _is_synthetic(node)
    return TimeSeries(
        frames=frames,
        times_s=settled.times_s,
        grid=grid,
        synthetic=synthetic,
        time_sources=settled.sources,
        zero_source=settled.zero_source,
        notes=settled.notes,
        made_by=made_by(_attributes(node)) if synthetic else {},
    )


def _attributes(node: Any) -> Mapping[str, str]:
    return {key: node.GetAttribute(key) for key in node.GetAttributeNames()}


def _is_synthetic(node: Any) -> bool:
    return node.GetAttribute(SYNTHETIC_KEY) == "1"
