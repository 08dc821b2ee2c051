"""What the user has drawn, as regions; and word of every change to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.export.style import region_colour
from CEKWorldLib.scene.observers import Observers
from CEKWorldLib.scene.region import Region
from CEKWorldLib.scene.regions import from_click, from_closed_curve, from_roi, from_segmentation

_Markups = slicer.vtkMRMLMarkupsNode
_Segmentation = slicer.vtkSegmentation
_MARKUPS_EVENTS = (
    _Markups.PointModifiedEvent,
    _Markups.PointPositionDefinedEvent,
    _Markups.PointRemovedEvent,
    vtk.vtkCommand.ModifiedEvent,  # the size of a box
)
_SEGMENTATION_EVENTS = (
    _Segmentation.SourceRepresentationModified,
    _Segmentation.SegmentAdded,
    _Segmentation.SegmentRemoved,
    _Segmentation.SegmentModified,
)


def regions_of(node: Any, volume: Any, slice_axis: int) -> list[Region]:
    """The regions of a segmentation (one per segment), box, closed curve, or point list (one per point).

    Args:
        node: what the user has drawn.
        volume: whose grid is meant.
        slice_axis: array axis across the acquired plane; a point means 3x3 pixels in it.

    Raises:
        CEKWorldError: nothing is drawn, or outside the volume.
    """
    if node.IsA("vtkMRMLSegmentationNode"):
        regions = from_segmentation(node, volume)
    elif node.IsA("vtkMRMLMarkupsROINode"):
        regions = [from_roi(node, volume)]
    elif node.IsA("vtkMRMLMarkupsClosedCurveNode"):
        regions = [from_closed_curve(node, volume)]
    else:
        # Not the first so many: a point whose place was taken back stays in the list, undefined.
        places = [n for n in range(node.GetNumberOfControlPoints()) if _is_placed(node, n)]
        regions = _points(node, places, volume, slice_axis)
        if places and not regions:
            raise CEKWorldError(
                _("No point of '{name}' lies in the volume; click inside the image.").format(name=node.GetName())
            )
    if not regions:
        raise CEKWorldError(_("'{name}' is still empty; draw a region on the image.").format(name=node.GetName()))
    return regions


class RegionWatch:
    """Reports changes of one region node.

    Args:
        on_change: called without arguments, once for each event.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._observers = Observers()

    def follow(self, node: Any | None) -> None:
        """Follows a node in place of the one before; None follows none."""
        self._observers.clear()
        if node is None:
            return
        is_segmentation = node.IsA("vtkMRMLSegmentationNode")
        subject = node.GetSegmentation() if is_segmentation else node
        for event in _SEGMENTATION_EVENTS if is_segmentation else _MARKUPS_EVENTS:
            self._observers.add(subject, event, self._changed)
        self._observers.add(node, slicer.vtkMRMLTransformableNode.TransformModifiedEvent, self._changed)

    def _changed(self) -> None:
        self._on_change()


def _is_placed(node: Any, n: int) -> bool:
    return node.GetNthControlPointPositionStatus(n) == _Markups.PositionDefined


def _points(node: Any, places: Sequence[int], volume: Any, slice_axis: int) -> list[Region]:
    """Those in the volume: one beside it does not take the curves of the others away."""
    regions = []
    for n in places:
        with suppress(CEKWorldError):
            regions.append(_point(node, n, volume, slice_axis))
    return regions


def _point(node: Any, n: int, volume: Any, slice_axis: int) -> Region:
    position = [0.0, 0.0, 0.0]
    node.GetNthControlPointPositionWorld(n, position)
    colour = region_colour(n)
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return from_click(position, volume, slice_axis, node.GetNthControlPointLabel(n), (red, green, blue))
