"""The panel's Designer file, checked without Designer: names, classes, properties, bindings, translations."""

from __future__ import annotations

from pathlib import Path

import pytest
from slicer_static.parameter_class import parameters_of
from slicer_static.ui_file import UiFile

ROOT = Path(__file__).resolve().parents[1]
UI = ROOT / "CEKWorld" / "Resources" / "UI" / "CEKWorld.ui"
PARAMETERS = ROOT / "CEKWorldLib" / "gui" / "parameters.py"

PLANTED = """
<ui version="4.0"><class>Planted</class>
 <widget class="{top}" name="Planted"><layout class="QVBoxLayout" name="layout">
  <item><widget class="{kind}" name="{name}">
   <property name="{what}"><string{notr}>Words</string></property>
   <property name="SlicerParameterName" stdset="0"><string notr="true">{parameter}</string></property>
  </widget></item>
  <item><widget class="qMRMLNodeComboBox" name="selector"/></item>
 </layout></widget>
 <connections><connection>
  <sender>Planted</sender><signal>{signal}</signal><receiver>selector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot>
 </connection></connections>
</ui>"""
SOUND = {
    "top": "qMRMLWidget", "kind": "QLineEdit", "name": "edit", "what": "toolTip", "notr": "", "parameter": "times",
    "signal": "mrmlSceneChanged(vtkMRMLScene*)",
}  # fmt: skip


def planted(**mistake: str) -> UiFile:
    return UiFile(PLANTED.format(**SOUND | mistake))


def test_the_panel_is_sound():
    assert list(UiFile(UI.read_text()).problems()) == []


def test_every_binding_of_the_panel_has_a_parameter_that_its_widget_can_hold():
    ui, parameters = UiFile(UI.read_text()), parameters_of(PARAMETERS.read_text())
    assert len(ui.bound()) > 15 and list(ui.binding_problems(parameters)) == []


@pytest.mark.parametrize(
    ("mistake", "found"),
    [
        ({}, None),
        ({"name": "layout"}, "2 objects are called layout"),
        ({"kind": "QLineEditor"}, "which is not on the list"),
        ({"what": "tooltip"}, "QLineEdit has no property tooltip"),
        ({"what": "maximum"}, "QLineEdit has no property maximum"),
        ({"notr": ' notr="true"'}, "toolTip is not translated"),
        ({"what": "inputMask"}, "inputMask is no text for users"),
        ({"top": "QWidget"}, "not a qMRMLWidget"),
        ({"signal": "sceneChanged(vtkMRMLScene*)"}, "has no signal sceneChanged"),
        ({"kind": "qMRMLCheckableNodeComboBox"}, "edit is not given the scene"),
    ],
)
def test_a_planted_mistake_is_found(mistake, found):
    problems = list(planted(**mistake).problems())
    assert any(found in problem for problem in problems) if found else problems == []


@pytest.mark.parametrize(
    ("mistake", "kind", "found"),
    [
        ({}, "str", None),
        ({"parameter": "tims"}, "str", "which the parameter node does not have"),
        ({}, "float", "QLineEdit cannot be bound to a parameter of kind float"),
        ({"kind": "QDoubleSpinBox"}, "float+", None),
        ({"kind": "ctkDoubleSlider"}, "float", "a slider needs a parameter WithinRange"),
        ({"kind": "qMRMLCheckableNodeComboBox"}, "node", "cannot be bound"),  # a subclass is not of that exact type
    ],
)
def test_a_planted_binding_is_judged_as_slicer_would(mistake, kind, found):
    problems = list(planted(**mistake).binding_problems({"times": kind}))
    assert any(found in problem for problem in problems) if found else problems == []


def test_kinds_of_parameters_are_read_from_their_annotations():
    source = """
@parameterNodeWrapper
class Parameters:
    volume: vtkMRMLScalarVolumeNode | vtkMRMLSequenceNode | None
    seed: Annotated[int, WithinRange(0, 9)] = 0
    note: Annotated[str, Default("")]
    preset: Preset = Preset.BREAST
"""
    assert parameters_of(source) == {"volume": "node", "seed": "int+", "note": "str", "preset": "enum"}
