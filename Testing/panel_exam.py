"""An exam for the panel's tests: the closed-form model's phantom, small, as a node of a scene."""

from __future__ import annotations

from typing import Any

import numpy as np
from closed_form_model import phantom

from CEKWorldLib.scene.geometry import set_geometry
from CEKWorldLib.scene.images import image_of

ARRIVAL_S = 20.0
TIMES = "0, 30, 60, 120, 300"
PHASES_S = (30.0, 60.0, 120.0, 300.0)


def add_exam(scene: Any, name: str = "T1") -> Any:
    """A volume node with the phantom: an ellipse of tissue in air, four slices of 64x64."""
    volume = phantom(slices=4, rows=64, columns=64).pre
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetAndObserveImageData(image_of(volume.voxels))
    set_geometry(node, volume)
    return node


def add_sequence(scene: Any, unit: str = "s", times_s=(0.0, 60.0, 90.0, 180.0, 360.0)) -> Any:
    """An acquired series: tissue that rises fast and washes out."""
    import slicer

    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "DCE")
    sequence.SetIndexName("time")
    sequence.SetIndexUnit(unit)
    sequence.SetIndexTypeFromString("numeric")
    texture = np.random.default_rng(2).uniform(90, 110, (4, 24, 24)).astype(np.float32)
    for time_s, rise in zip(times_s, (1.0, 2.1, 2.5, 2.3, 1.9), strict=True):
        phase = slicer.vtkMRMLScalarVolumeNode()
        phase.SetAndObserveImageData(image_of(texture * np.float32(rise)))
        sequence.SetDataNodeAtValue(phase, f"{time_s:g}")
    return sequence


def add_point(scene: Any, node: Any, name: str = "spot") -> Any:
    """A point in the middle of a volume."""
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    points = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    points.CreateDefaultDisplayNodes()
    points.AddControlPoint([(bounds[2 * n] + bounds[2 * n + 1]) / 2 for n in range(3)], name)
    return points
