"""A scene outside Slicer, as the tests and the benchmark need it."""

from __future__ import annotations

import slicer

_LOGICS = (
    slicer.vtkSlicerSequencesLogic,
    slicer.vtkSlicerSegmentationsModuleLogic,
    slicer.vtkSlicerMarkupsLogic,
    slicer.vtkSlicerPlotsLogic,
    slicer.vtkSlicerTablesLogic,
    slicer.vtkSlicerVolumesLogic,
)


class StandaloneScene:
    """A scene with the modules' logics, which make their node classes known to it; in Slicer the application does.

    Attributes:
        scene: ``vtkMRMLScene``.
    """

    def __init__(self) -> None:
        self.scene = slicer.vtkMRMLScene()
        # Markups logic reports an error whenever it meets a scene without one.
        self.scene.AddNode(slicer.vtkMRMLSelectionNode())
        self.scene.AddNode(slicer.vtkMRMLCrosshairNode())
        self._logics = [logic() for logic in _LOGICS]
        for logic in self._logics:
            logic.SetMRMLScene(self.scene)
