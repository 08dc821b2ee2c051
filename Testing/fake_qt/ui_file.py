"""A widget tree from a ``.ui`` file: the classes, names, properties and connections that are written there."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from . import widgets
from .widgets import QLayout, QWidget


def load_ui(path: Path | str) -> QWidget:
    """The top widget. A class, property or signal that the fake does not know raises."""
    root = ET.parse(path).getroot()
    top = root.find("widget")
    by_name: dict[str, Any] = {}
    widget = _widget(top, None, by_name)
    for connection in root.iterfind("connections/connection"):
        sender, receiver = (by_name[connection.findtext(end)] for end in ("sender", "receiver"))
        slot = connection.findtext("slot").partition("(")[0]
        assert sender.connect(connection.findtext("signal"), getattr(receiver, slot))
    vars(widget)["_tree"] = by_name
    return widget


def named_widgets(top: QWidget) -> Any:
    """As ``slicer.util.childWidgetVariables``."""
    return type("", (), dict.fromkeys(()))() if not top else _with(type("Ui", (), {})(), vars(top)["_tree"])


def _with(ui: Any, tree: dict[str, Any]) -> Any:
    for name, widget in tree.items():
        setattr(ui, name, widget)
    return ui


def _widget(element: ET.Element, parent: Any, by_name: dict[str, Any]) -> QWidget:
    widget = getattr(widgets, element.get("class"))(parent)
    widget.objectName = widget.name = element.get("name")
    by_name[element.get("name")] = widget
    for entry in element.iterfind("property"):
        _set(widget, entry)
    layout = element.find("layout")
    if layout is not None:
        widget._layout = QLayout(widget)
        _fill(layout, widget, by_name)
    return widget


def _fill(layout: ET.Element, parent: QWidget, by_name: dict[str, Any]) -> None:
    for item in layout.iterfind("item"):
        for child in item:
            if child.tag == "widget":
                _widget(child, parent, by_name)
            elif child.tag == "layout":
                _fill(child, parent, by_name)


def _set(widget: QWidget, entry: ET.Element) -> None:
    (value,) = entry
    text = value.text or ""
    readers = {
        "string": lambda: text,
        "bool": lambda: text == "true",
        "number": lambda: int(text),
        "double": lambda: float(text),
        "stringlist": lambda: tuple(item.text for item in value),
    }
    read = readers.get(value.tag, lambda: text)
    if entry.get("stdset") == "0":
        widget.setProperty(entry.get("name"), read())
    else:
        setattr(widget, entry.get("name"), read())
