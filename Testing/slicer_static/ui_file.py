"""A Designer file, and what is wrong with it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping

from slicer_static import qt_classes

# What users read. Anything else that is a string names something, and must not be translated.
_READ_BY_USERS = {
    "text",
    "toolTip",
    "title",
    "suffix",
    "prefix",
    "placeholderText",
    "specialValueText",
    "windowTitle",
    "whatsThis",
}
# Base/Python/slicer/parameterNodeWrapper/guiConnectors.py of Slicer v5.8.1 and v5.12.3 (what both take): exact types,
# by the kind of parameter. Of these, sliders need one that is bounded.
_CONNECTORS = {
    "bool": {"QCheckBox", "ctkCheckBox", "QPushButton"},
    "int": {"QSlider", "QSpinBox"},
    "float": {
        "QDoubleSpinBox",
        "ctkSliderWidget",
        "ctkDoubleSpinBox",
        "ctkDoubleSlider",
        "qMRMLSliderWidget",
        "qMRMLSpinBox",
    },
    "str": {"QLineEdit", "QTextEdit", "QLabel", "QComboBox", "ctkComboBox"},
    "enum": {"QComboBox", "ctkComboBox"},
    "node": {"qMRMLNodeComboBox"},
}


class UiFile:
    """The widgets of a Designer file.

    Args:
        text: its XML.

    Attributes:
        classes: of widgets and actions, by object name.
    """

    def __init__(self, text: str) -> None:
        self._root = ET.fromstring(text)
        self._named = [e for kind in ("widget", "layout", "action", "spacer") for e in self._root.iter(kind)]
        self.classes = {e.get("name", ""): e.get("class", "") for e in self._root.iter("widget")}

    def problems(self) -> Iterator[str]:
        """All that is wrong with the file by itself."""
        for name, count in Counter(e.get("name") for e in self._named).items():
            if count > 1:
                yield f"{count} objects are called {name}"
        for widget in self._root.iter("widget"):
            yield from self._widget_problems(widget)
        yield from self._scene_problems()

    def _widget_problems(self, widget: ET.Element) -> Iterator[str]:  # a label's buddy is Designer's own
        name, kind = widget.get("name"), widget.get("class", "")
        if not qt_classes.is_known(kind):
            yield f"{name} is a {kind}, which is not on the list of classes"
        for entry in widget.findall("property"):
            what = entry.get("name", "")
            if entry.get("stdset") != "0" and what != "buddy" and not qt_classes.has_property(kind, what):
                yield f"{name}: {kind} has no property {what}"
            yield from _string_problems(name, entry)
        for item in widget.iterfind("item/property"):
            yield from _string_problems(name, item)

    def _scene_problems(self) -> Iterator[str]:
        top = self._root.find("widget")
        assert top is not None
        if top.get("class") != "qMRMLWidget":
            yield f"the top widget is a {top.get('class')}, not a qMRMLWidget"
        fed = set()
        for connection in self._root.iter("connection"):
            sender, signal, receiver, slot = (
                connection.findtext(k, "") for k in ("sender", "signal", "receiver", "slot")
            )
            if not qt_classes.has_signal(self.classes.get(sender, ""), signal):
                yield f"{sender} has no signal {signal}"
            if not qt_classes.has_function(self.classes.get(receiver, ""), slot.partition("(")[0]):
                yield f"{receiver} has no slot {slot}"
            if slot.startswith("setMRMLScene("):
                fed.add(receiver)
        for name, kind in self.classes.items():
            if kind.startswith("qMRML") and name != top.get("name") and name not in fed:
                yield f"{name} is not given the scene"

    def bound(self) -> dict[str, str]:
        """Object names by the parameter they are bound to."""
        return {
            entry.findtext("string", ""): widget.get("name", "")
            for widget in self._root.iter("widget")
            for entry in widget.findall("property")
            if entry.get("name") == "SlicerParameterName"
        }

    def binding_problems(self, parameters: Mapping[str, str]) -> Iterator[str]:
        """What is bound to no parameter, or to one that its widget cannot hold.

        Args:
            parameters: kinds, as in ``_CONNECTORS``, by name; a ``+`` behind a kind says that it is bounded.
        """
        for parameter, name in self.bound().items():
            kind = parameters.get(parameter)
            if kind is None:
                yield f"{name} is bound to {parameter}, which the parameter node does not have"
            elif self.classes[name] not in _CONNECTORS[kind.removesuffix("+")]:
                yield f"{name}: a {self.classes[name]} cannot be bound to a parameter of kind {kind.removesuffix('+')}"
            elif "lider" in self.classes[name] and not kind.endswith("+"):
                yield f"{name}: a slider needs a parameter WithinRange"


def _string_problems(name: str | None, entry: ET.Element) -> Iterator[str]:
    what, string = entry.get("name", ""), entry.find("string")
    if string is None or not any(c.isalpha() for c in string.text or ""):
        return
    is_translated = string.get("notr") != "true"
    if what in _READ_BY_USERS and not is_translated:
        yield f"{name}: {what} is not translated"
    if what not in _READ_BY_USERS and is_translated:
        yield f"{name}: {what} is no text for users, and is translated; mark it notr"
