"""The nodes a session owns: each made once, found again after a reload, made anew after the user has deleted it."""

from __future__ import annotations

from typing import Any

_ROLE = "CEKWorld.Role"
_ITSELF = "CEKWorld.Itself"


def role_of(node: Any) -> str | None:
    """What a session owns the node for; None for all others.

    A clone that the user makes has the role's attribute too. So an owned node refers to itself as well: a clone's copy
    of that reference leads to the original, and the scene keeps it right when nodes are numbered anew.
    """
    return node.GetAttribute(_ROLE) if node.GetNodeReferenceID(_ITSELF) == node.GetID() else None


class OwnedNodes:
    """Nodes of a scene by what they are for.

    A role is written into the node, so that a module that is loaded again, or a scene that was saved and opened, goes
    on with the nodes that are there instead of adding a second set.

    Args:
        scene: ``vtkMRMLScene``; ``slicer.mrmlScene`` in Slicer.
    """

    def __init__(self, scene: Any) -> None:
        self.scene = scene
        self._nodes: dict[str, Any] = {}

    def find(self, role: str) -> Any | None:
        """The node of a role as long as it is in the scene, else None."""
        node = self._nodes.get(role)
        if node is not None and self.scene.GetNodeByID(node.GetID() or "") is node:
            return node
        self._nodes.pop(role, None)
        return None

    def get(self, role: str, class_name: str, name: str) -> tuple[Any, bool]:
        """The node of a role, made if need be.

        Args:
            role: what the node is for.
            class_name: MRML class.
            name: of a new node; a node that is there keeps its own.

        Returns:
            The node, and whether it needs to be set up: it is new to this object.
        """
        node = self.find(role)
        if node is not None:
            return node, False
        node = self._in_scene(role, class_name)
        if node is None:
            node = self.scene.AddNewNodeByClass(class_name, name)
            node.SetAttribute(_ROLE, role)
            node.SetNodeReferenceID(_ITSELF, node.GetID())
        self._nodes[role] = node
        return node, True

    def remove(self, role: str) -> None:
        """Takes a role's node, with its display and storage nodes, out of the scene."""
        node = self.find(role)
        if node is None:
            return
        for helper in _helpers(node):
            self.scene.RemoveNode(helper)
        self.scene.RemoveNode(node)
        del self._nodes[role]

    def remove_all(self) -> None:
        for role in list(self._nodes):
            self.remove(role)

    def forget(self) -> None:
        """Lets go of all nodes and leaves them to the scene."""
        self._nodes.clear()

    def _in_scene(self, role: str, class_name: str) -> Any | None:
        for n in range(self.scene.GetNumberOfNodesByClass(class_name)):
            node = self.scene.GetNthNodeByClass(n, class_name)
            if role_of(node) == role:
                return node
        return None


def _helpers(node: Any) -> list[Any]:
    helpers = []
    if node.IsA("vtkMRMLDisplayableNode"):
        helpers += [node.GetNthDisplayNode(n) for n in range(node.GetNumberOfDisplayNodes())]
    if node.IsA("vtkMRMLStorableNode"):
        helpers += [node.GetNthStorageNode(n) for n in range(node.GetNumberOfStorageNodes())]
    return [helper for helper in helpers if helper is not None]
