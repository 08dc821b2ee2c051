"""``slicer.parameterNodeWrapper``: typed values in a real ``vtkMRMLScriptedModuleNode``, bound to widgets by name."""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass
from enum import Enum
from typing import Any

import slicer

from . import widgets

_MODIFIED = 33  # vtkCommand.ModifiedEvent


@dataclass
class WithinRange:
    minimum: float
    maximum: float


def parameterNodeWrapper(described: type) -> type:
    """Makes the class that Slicer's decorator would make: its own constructor, a property for each annotation."""
    kinds = typing.get_type_hints(described, include_extras=True)
    for name, annotation in kinds.items():
        first = getattr(described, name, None)
        setattr(described, name, _property(name, annotation, first))
    for name, method in vars(_Wrapper).items():
        if not name.startswith("__") or name == "__init__":
            setattr(described, name, method)
    described.kinds = kinds
    return described


class _Wrapper:
    def __init__(self, parameterNode: Any) -> None:
        self.parameterNode = parameterNode
        self._guis: dict[int, tuple[list, int]] = {}
        self._following = False

    def connectGui(self, ui: Any) -> int:
        bound = []
        for widget in vars(ui).values():
            name = widget.property("SlicerParameterName")
            if name:
                if name not in self.kinds:
                    raise ValueError(f"Cannot find a param with the given name: {name}")
                bound.append(_bind(self, name, widget))
        observer = self.parameterNode.AddObserver(_MODIFIED, lambda *_: self._follow(bound))
        tag = len(self._guis)
        self._guis[tag] = (bound, observer)
        self._follow(bound)
        return tag

    def disconnectGui(self, tag: int) -> None:
        bound, observer = self._guis.pop(tag)
        self.parameterNode.RemoveObserver(observer)
        for _write, widget, signature, slot in bound:
            widget.disconnect(signature, slot)

    def AddObserver(self, event: int, callback: Any, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def _follow(self, bound: list) -> None:
        if not self._following:
            self._following = True
            try:
                for write, *_ in bound:
                    write()
            finally:
                self._following = False


def _property(name: str, annotation: Any, first: Any) -> property:
    kind = _bare(annotation)

    def read(self: Any) -> Any:
        node = self.parameterNode
        if _is_node(kind):
            return node.GetNodeReference(name)
        if not node.HasParameter(name):
            return first
        text = node.GetParameter(name)
        if issubclass(kind, Enum):
            return kind[text]
        return text == "True" if kind is bool else kind(text)

    def write(self: Any, value: Any) -> None:
        node = self.parameterNode
        if _is_node(kind):
            node.SetNodeReferenceID(name, value.GetID() if value is not None else None)
            return
        if not isinstance(value, kind) and not (kind is float and isinstance(value, int)):
            raise TypeError(f"{name} is {kind.__name__}, not {type(value).__name__}")
        for limit in getattr(annotation, "__metadata__", ()):
            if not limit.minimum <= value <= limit.maximum:
                raise ValueError(f"{name} = {value} is out of range")
        node.SetParameter(name, value.name if isinstance(value, Enum) else str(value))

    return property(read, write)


def _bind(parameters: Any, name: str, widget: Any) -> tuple:
    """One connector; as in Slicer, the widget's class must be the very one that goes with the type."""
    annotation = parameters.kinds[name]
    kind = _bare(annotation)
    connectors = {
        widgets.QCheckBox: (bool, "checked", "stateChanged(int)"),
        widgets.QSpinBox: (int, "value", "valueChanged(int)"),
        widgets.QDoubleSpinBox: (float, "value", "valueChanged(double)"),
        widgets.QLineEdit: (str, "text", "textChanged(QString)"),
    }
    if type(widget) is widgets.QComboBox and issubclass(kind, Enum):
        return _bind_enum(parameters, name, widget, kind)
    if type(widget) is widgets.qMRMLNodeComboBox and _is_node(kind):
        signature = "currentNodeChanged(vtkMRMLNode*)"

        def read_node() -> Any:
            return widget.currentNode()

        write = lambda: widget.setCurrentNode(getattr(parameters, name))  # noqa: E731
        return write, widget, signature, _connect(parameters, name, widget, signature, read_node)
    wanted, shown, signature = connectors[type(widget)]
    if wanted is not kind:
        raise RuntimeError(f"Unable to create GUI connector from {kind} to {type(widget)}")
    if kind is bool:
        signature = "toggled(bool)"
    for limit in getattr(annotation, "__metadata__", ()):
        widget.minimum, widget.maximum = limit.minimum, limit.maximum
    slot = _connect(parameters, name, widget, signature, lambda: getattr(widget, shown))
    return lambda: setattr(widget, shown, getattr(parameters, name)), widget, signature, slot


def _bind_enum(parameters: Any, name: str, widget: Any, kind: type[Enum]) -> tuple:
    members = list(kind)
    before = widget.blockSignals(True)
    widget.clear()
    for member in members:
        widget.addItem(member.label())
    widget.blockSignals(before)
    signature = "currentIndexChanged(int)"
    slot = _connect(parameters, name, widget, signature, lambda: members[widget.currentIndex])
    write = lambda: setattr(widget, "currentIndex", members.index(getattr(parameters, name)))  # noqa: E731
    return write, widget, signature, slot


def _connect(parameters: Any, name: str, widget: Any, signature: str, read: Any) -> Any:
    def changed() -> None:
        if not parameters._following:
            setattr(parameters, name, read())

    assert widget.connect(signature, changed)
    return changed


def _bare(annotation: Any) -> Any:
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is typing.Annotated else annotation


def _is_node(kind: Any) -> bool:
    """As Slicer's ``isNodeOrUnionOfNodes``; an abstract class cannot be bound, for Slicer makes one to ask its name."""
    assert not isinstance(kind, types.UnionType), "before Slicer 5.10 the wrapper knows no types joined by a bar"
    members = typing.get_args(kind) if typing.get_origin(kind) is typing.Union else (kind,)
    if not all(member is type(None) or issubclass(member, slicer.vtkMRMLNode) for member in members):
        return False
    return all(member is type(None) or member().GetClassName() for member in members)
