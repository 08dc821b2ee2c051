"""CEKWorld in 3D Slicer: contrast enhancement over continuous time, synthesized from a pre-contrast MR volume.

The panel itself is in ``CEKWorldLib/gui``; here is what Slicer expects of a module.
"""

import gc
import sys
from pathlib import Path

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

# In an installation the library lies beside this file; in the source tree one folder up, for pip.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from CEKWorldLib.gui.input_nodes import first_volume
from CEKWorldLib.gui.panel import Panel
from CEKWorldLib.gui.parameters import Parameters
from CEKWorldLib.gui.qprocess_transport import QProcessTransport
from CEKWorldLib.gui.qt_timer import QtTimer
from CEKWorldLib.gui.reloading import forget_library
from CEKWorldLib.gui.sample_data import register_sample_data
from CEKWorldLib.gui.self_tests import SelfTests
from CEKWorldLib.gui.slicer_application import SlicerApplication


class CEKWorld(ScriptedLoadableModule):
    """Name, place and words of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "CEKWorld"  # no_tr
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Quantification")]
        self.parent.dependencies = ["Markups", "Plots", "Segmentations", "Sequences", "Tables", "Volumes"]
        self.parent.contributors = ["CEKWorld contributors"]
        self.parent.helpText = _(
            "Synthesizes contrast enhancement over continuous time from a pre-contrast MR volume, and measures the "
            "curves of synthesized and of acquired contrast series. Synthesized images are not acquired from the "
            "patient: research use only, not for diagnosis."
        )
        self.parent.acknowledgementText = _(
            "Built on MRI CEKWorld, PyTorch, diffusers, highdicom and 3D Slicer. Code and shipped weights: Apache-2.0."
        )
        slicer.app.connect("startupCompleted()", register_sample_data)


class CEKWorldWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Brings the panel to life and tells it what happens to module and scene."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.panel = None
        self.parameters = None
        self._guiTag = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/CEKWorld.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = CEKWorldLogic()
        self.panel = Panel(self.ui, SlicerApplication(), QProcessTransport, QtTimer)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        self.initializeParameterNode()
        # Going through the 180 000 objects that Slicer has loaded, the collector of cycles blocks it for 40 to 60 ms.
        gc.freeze()

    def cleanup(self):
        """Slicer quits, or loads the module anew."""
        gc.unfreeze()
        self.setParameterNode(None)
        self.removeObservers()
        if self.panel is not None:
            self.panel.close()
            self.panel = None

    def enter(self):
        self.initializeParameterNode()
        self.panel.enter()

    def exit(self):
        self.panel.exit()

    def onReload(self):
        """Reloads the library with the module; Slicer alone would reload this file only."""
        forget_library()
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller, event):
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event):
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneEndImport(self, caller, event):
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        """Takes the scene's choices, made if need be; for the input the first volume, where there is one."""
        self.setParameterNode(self.logic.getParameterNode())
        if self.parameters.inputNode is None:
            self.parameters.inputNode = first_volume(slicer.mrmlScene)

    def setParameterNode(self, parameters):
        if parameters is self.parameters:
            return
        if self.parameters is not None:
            self.parameters.disconnectGui(self._guiTag)
            self.removeObserver(self.parameters, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)
        self.parameters = parameters
        if parameters is not None:
            self._guiTag = parameters.connectGui(self.ui)
            self.addObserver(parameters, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)
        if self.panel is not None:
            self.panel.set_parameters(parameters)

    def onParametersModified(self, caller=None, event=None):
        self.panel.update()


class CEKWorldLogic(ScriptedLoadableModuleLogic):
    """The module's parameter node. What needs no window is in CEKWorldLib, for scripts as for the panel."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self._parameters = None

    def getParameterNode(self):
        node = super().getParameterNode()
        if self._parameters is None or self._parameters.parameterNode is not node:
            self._parameters = Parameters(node)
        return self._parameters


class CEKWorldTest(SelfTests, ScriptedLoadableModuleTest):
    """Runs in Slicer: ``ctest``, or Reload and Test in developer mode."""
