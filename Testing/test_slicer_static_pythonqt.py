"""The module's Python code against what PythonQt does with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from slicer_static import qt_classes
from slicer_static.pythonqt_rules import problems
from slicer_static.read_headers import classes_of
from slicer_static.ui_file import UiFile

ROOT = Path(__file__).resolve().parents[1]
UI = UiFile((ROOT / "CEKWorld" / "Resources" / "UI" / "CEKWorld.ui").read_text())
FILES = sorted([*(ROOT / "CEKWorld").rglob("*.py"), *(ROOT / "CEKWorldLib" / "gui").glob("*.py")])
WIDGETS = {"edit": "QLineEdit", "box": "QDoubleSpinBox", "selector": "qMRMLNodeComboBox", "button": "QPushButton"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_module_keeps_the_rules(path):
    assert problems(path.read_text(), UI.classes) == []


def test_every_widget_that_users_act_on_is_bound_or_spoken_of_in_the_code():
    named = {name for path in FILES for name in re.findall(r"\b_?ui\.(\w+)", path.read_text())}
    passive = ("QLabel", "QWidget", "qMRMLWidget", "ctkCollapsibleButton", "ctkCollapsibleGroupBox")
    active = {name for name, kind in UI.classes.items() if kind not in passive}
    assert len(active) > 40 and active - named - set(UI.bound().values()) == set()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("self.ui.edit.setText('a')", None),
        ("self.ui.edits.setText('a')", "there is no widget edits"),
        ("a = self._ui.edit.text", None),
        ("a = self._ui.edit.text()", "QLineEdit.text is a property; do not call it"),
        ("a = ui.box.value()", "QDoubleSpinBox.value is a property"),
        ("a = ui.selector.currentNode()", None),
        ("ui.selector.setCurrentText('a')", "qMRMLNodeComboBox has no setCurrentText"),
        ("ui.box.suffix = ' s'", None),
        ("ui.box.cache = 1", "QDoubleSpinBox has no property cache to set"),
        ("a = ui.button.isChecked()", None),
        ("timer = qt.QTimer()\ntimer.setSingleShot(True)", None),
        ("timer = qt.QTimer()\ntimer.beginn()", "QTimer has no beginn"),
        ("self._p = qt.QProcess(slicer.app)\nself._p.processState()", "QProcess has no processState"),
        ("self._p = qt.QProcess(slicer.app)\nself._p.kill()", None),
        ("self._p = qt.QProcess()", "give it a parent"),
        ("files = slicer.dicomDatabase.fileForInstance(uid)", "use getattr"),
        ("database = getattr(slicer, 'dicomDatabase', None)", None),
        ("ui.box.connect('valueChanged(double)', f)", None),
        ("ui.box.connect('valueChanged(float)', f)", "QDoubleSpinBox has no signal valueChanged(float)"),
        ("add(ui.button, 'clicked()', f)", None),
        ("add(ui.button, 'click()', f)", "QPushButton has no signal click()"),
        ("thing.connect('madeUp(int)', f)", "no class on the list has a signal madeUp(int)"),
        ("add(box, 'currentIndexChanged(QString)', f)", "use currentIndexChanged(int)"),
        ("add(ui.button, 'clicked(bool)', lambda n=node: f(n))", "functools.partial"),
        ("slicer.app.connect('startupCompleted()', f)", None),
        ("dialog.exec()", "call exec_()"),
        ("dialog.exec_()", None),
        ("qt.QTimer.singleShot(0, f)", "never deleted"),
        ("changed = qt.Signal(int)", "custom signals crash"),
        ("slider.setOrientation(qt.Qt.Orientation.Horizontal)", "enums are flat"),
        ("a = isinstance(widget, qt.QWidget)", "use className()"),
        ("a = widget.findChildren('x')", "unreliable"),
        ("from threading import Thread", "threads starve"),
        ("import imp", "gone in Python 3.12"),
        ("from slicer.i18n import tr as _\na = _(f'{n} frames')", "only a literal can be translated"),
        ("from slicer.i18n import tr as _\na, _ = b", "do not assign to it"),
        ("from slicer.i18n import tr as _\na = _('{n} frames').format(n=n)", None),
    ],
)
def test_a_planted_line_is_judged_as_pythonqt_would(line, found):
    messages = [message for _, message in problems(line, WIDGETS)]
    assert any(found in message for message in messages) if found else messages == []


# The list of names, and how it is read from headers


def test_names_are_inherited():
    assert qt_classes.has_property("QPushButton", "enabled") and qt_classes.has_signal("QPushButton", "clicked(bool)")
    assert qt_classes.has_function("qMRMLCheckableNodeComboBox", "currentNode")
    assert not qt_classes.has_property("QLabel", "checked")


def test_a_header_gives_properties_slots_and_signals_as_qt_spells_them():
    header = """
    class QT_EXPORT qThing : public QWidget
    {
      Q_OBJECT
      Q_PROPERTY(double value READ value WRITE setValue) // Q_PROPERTY(int old READ old)
    public:
      double value() const { return v; }
      Q_INVOKABLE vtkMRMLNode* node() const;
    public Q_SLOTS:
      void setValue(double value);
    Q_SIGNALS:
      void valueChanged(double value, const QString& why = QString());
      void nodeChanged(vtkMRMLNode* node);
    private:
      void hidden();
    };"""
    assert classes_of(header) == {
        "qThing": {
            "base": "QWidget",
            "properties": ["value"],
            "signals": ["nodeChanged(vtkMRMLNode*)", "valueChanged(double)", "valueChanged(double,QString)"],
            "functions": ["node", "nodeChanged", "setValue", "valueChanged"],
        }
    }
