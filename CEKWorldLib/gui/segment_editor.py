"""Slicer's segment editor inside the panel, with a parameter node of its own."""

from __future__ import annotations

from typing import Any

_TAG = "CEKWorld"  # the Segment Editor module's own node has another, so that neither disturbs the other
_UNDO_STATES = 10


class SegmentEditor:
    """The editor widget, in a layout of the panel.

    Args:
        layout: where it goes.
        scene: ``vtkMRMLScene``.
    """

    def __init__(self, layout: Any, scene: Any) -> None:
        import qSlicerSegmentationsModuleWidgetsPythonQt as widgets  # there once the Segmentations module is loaded

        self._scene = scene
        self._widget = widgets.qMRMLSegmentEditorWidget()
        self._widget.setMaximumNumberOfUndoStates(_UNDO_STATES)
        self._widget.setSwitchToSegmentationsButtonVisible(False)
        # First, so that what is chosen when the scene is set is kept in it.
        self._widget.setMRMLSegmentEditorNode(self._parameter_node())
        self._widget.setMRMLScene(scene)
        layout.addWidget(self._widget)

    def edit(self, segmentation: Any, volume: Any) -> None:
        """Takes a segmentation, drawn on a volume."""
        self._widget.setMRMLSegmentEditorNode(self._parameter_node())
        self._widget.setSegmentationNode(segmentation)
        self._widget.setSourceVolumeNode(volume)

    def enter(self) -> None:
        self._widget.setupViewObservations()
        # As the editor's own, its keys are at rest while it is folded away; the main window's would always be there.
        self._widget.installKeyboardShortcuts(self._widget)

    def exit(self) -> None:
        """Lets go of the views; an effect that stays active would go on drawing in other modules."""
        self._widget.setActiveEffect(None)
        self._widget.uninstallKeyboardShortcuts()
        self._widget.removeViewObservations()

    def forget(self) -> None:
        """Lets go of a scene that is being closed."""
        self._widget.setActiveEffect(None)
        self._widget.setSegmentationNode(None)
        self._widget.removeViewObservations()

    def _parameter_node(self) -> Any:
        node = self._scene.GetSingletonNode(_TAG, "vtkMRMLSegmentEditorNode")
        if node is None:
            node = self._scene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
            node.UnRegister(None)
            node.SetSingletonTag(_TAG)
            node = self._scene.AddNode(node)
        return node
