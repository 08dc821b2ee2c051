"""What the user has chosen as input, read from its nodes: a pre-contrast volume, or an acquired series."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from slicer.i18n import tr as _

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.grid import slice_axis
from CEKWorldLib.exam.protocol import Acquisition
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.scene.acquired_series import series_of_multivolume, series_of_sequence
from CEKWorldLib.scene.geometry import grid_of, world_to_ijk
from CEKWorldLib.scene.images import array_of
from CEKWorldLib.scene.owned_nodes import role_of

_UIDS = "DICOM.instanceUIDs"  # the instances a volume was loaded from, in one text
_FILES = "MultiVolume.FrameFileList"  # and a sequence, to which Slicer's DICOM import gives no instances
_FRAMES = "MultiVolume.NumberOfFrames"
_COMMAS = 20  # that a path may have


def is_own(node: Any) -> bool:
    """Whether a node is what the panel shows, and not something to start from."""
    return role_of(node) is not None


def first_volume(scene: Any) -> Any | None:
    """The first volume that may be meant as input."""
    nodes = (
        scene.GetNthNodeByClass(n, "vtkMRMLScalarVolumeNode")
        for n in range(scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode"))
    )
    return next((node for node in nodes if _may_be_input(node)), None)


def _may_be_input(node: Any) -> bool:
    return not (is_own(node) or node.GetHideFromEditors() or node.IsA("vtkMRMLLabelMapVolumeNode"))


def is_series(node: Any) -> bool:
    """Whether a node holds several times."""
    if node.IsA("vtkMRMLSequenceNode") or node.IsA("vtkMRMLMultiVolumeNode"):
        return True
    image = node.GetImageData()
    return image is not None and image.GetNumberOfScalarComponents() > 1 and node.GetAttribute(_FRAMES) is not None


def series_of(node: Any, times_s: Sequence[float] | None, injection_s: float | None) -> TimeSeries:
    """An acquired series.

    Args:
        node: sequence or multi-volume.
        times_s: as for ``scene.acquired_series.series_of_sequence``.
        injection_s: likewise.

    Raises:
        CEKWorldError: no series, or its times are not known.
    """
    read = series_of_sequence if node.IsA("vtkMRMLSequenceNode") else series_of_multivolume
    return read(node, times_s, injection_s)


def pre_contrast(node: Any) -> Volume:
    """A volume with the node's own voxels, in the type they are stored in.

    Raises:
        CEKWorldError: no voxels, moved by a transform, or a colour image.
    """
    if node.GetImageData() is not None and node.GetImageData().GetNumberOfScalarComponents() != 1:
        raise CEKWorldError(
            _("The volume '{name}' has several values per voxel; choose a plain MR volume.").format(name=node.GetName())
        )
    return grid_of(node).like(array_of(node.GetImageData()))


def unchanged(node: Any) -> Callable[[], bool]:
    """Tells, whenever it is called, whether a volume's voxels are those of now."""
    image = node.GetImageData()
    stamp = image.GetMTime()
    return lambda: node.GetImageData() is image and image.GetMTime() == stamp


def acquisition_of_node(node: Any, file_of_instance: Callable[[str], str]) -> Acquisition:
    """Sequence settings from the DICOM file a volume was loaded from; nothing known where it was not, or is gone.

    Args:
        node: volume.
        file_of_instance: the DICOM database's answer to a SOPInstanceUID, "" where it has none.
    """
    file = source_file(node, file_of_instance)
    if file is None:
        return Acquisition()
    from CEKWorldLib.exam.dicom_files import parse
    from CEKWorldLib.exam.dicom_protocol import acquisition_of

    return acquisition_of(parse(file, pixels=False))


def source_file(node: Any, file_of_instance: Callable[[str], str]) -> Path | None:
    """A DICOM file of the series a node was loaded from, beside the others; None where it was not DICOM."""
    uids = (node.GetAttribute(_UIDS) or "").split()
    files = [file_of_instance(uids[0])] if uids else _first_of(node.GetAttribute(_FILES) or "")
    return next((Path(file) for file in files if os.path.isfile(file)), None)  # also False of what is too long


def _first_of(files: str) -> Iterable[str]:
    """What may be the first of files that commas part: a folder may be called "Doe, Jane"."""
    return accumulate(files.split(",", _COMMAS + 1)[: _COMMAS + 1], lambda name, rest: f"{name},{rest}")


def shown_slice(scene: Any, volume_node: Any) -> int:
    """Which slice of a volume's acquired plane the slice views show: the one of the view that lies most in that plane.

    Without a view the middle one.
    """
    axis = slice_axis(grid_of(volume_node))
    to_ijk = world_to_ijk(volume_node)
    last = volume_node.GetImageData().GetDimensions()[2 - axis] - 1
    row = to_ijk[2 - axis]
    best, shown = 0.0, last / 2
    for n in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")):
        view = scene.GetNthNodeByClass(n, "vtkMRMLSliceNode").GetSliceToRAS()
        normal, centre = ([view.GetElement(i, column) for i in range(3)] for column in (2, 3))
        along = abs(float(row[:3] @ normal)) / float(np.linalg.norm(row[:3]))
        if along > best:
            best, shown = along, float(row @ [*centre, 1.0])
    return int(np.clip(np.rint(shown), 0, last))
