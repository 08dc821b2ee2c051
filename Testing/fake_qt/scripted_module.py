"""``slicer.ScriptedLoadableModule``: what Slicer's base classes do that the module relies on."""

from __future__ import annotations

import unittest
from pathlib import Path
from typing import Any

import slicer

from .widgets import QLayout


class ScriptedLoadableModule:
    def __init__(self, parent: Any) -> None:
        self.parent = parent


class ScriptedLoadableModuleWidget:
    """``path`` is set by the desktop that loads the module."""

    path: Path

    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.parent = parent
        self.layout = QLayout()

    def setup(self) -> None: ...

    def resourcePath(self, name: str) -> str:
        return str(self.path / "Resources" / name)

    def onReload(self) -> None:
        slicer.util.reloadScriptedModule("CEKWorld")


class ScriptedLoadableModuleLogic:
    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> Any:
        scene = slicer.mrmlScene
        node = scene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag(self.moduleName)
            node.SetAttribute("ModuleName", self.moduleName)
            node = scene.AddNode(node)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    def delayDisplay(self, message: str) -> None:
        slicer.app.processEvents()
