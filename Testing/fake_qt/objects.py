"""``QObject`` as PythonQt shows it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar


class QObject:
    """Base of all.

    Attributes:
        PROPERTIES: names and first values, those of base classes included.
        SIGNALS: signatures, likewise.
        TELLS: property to the signal that reports its changes.
    """

    PROPERTIES: ClassVar[dict[str, Any]] = {"objectName": "", "name": ""}
    SIGNALS: ClassVar[tuple[str, ...]] = ("destroyed()",)
    TELLS: ClassVar[dict[str, str]] = {}

    def __init__(self, parent: Any = None) -> None:
        values: dict[str, Any] = {}
        for base in reversed(type(self).__mro__):
            values.update(vars(base).get("PROPERTIES", {}))
        vars(self).update(_values=values, _dynamic={}, _slots={}, _blocked=False, _parent=parent, _children=[])
        if isinstance(parent, QObject):
            parent._children.append(self)

    def __getattr__(self, name: str) -> Any:
        values = vars(self)["_values"]
        if name in values:
            return values[name]
        if name.startswith("set") and (written := name[3:4].lower() + name[4:]) in values:
            return lambda value: setattr(self, written, value)
        raise AttributeError(f"{self.className()} has no attribute {name}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            vars(self)[name] = value
            return
        if name not in self._values:
            raise AttributeError(f"{self.className()} has no property {name}")
        value = self._checked(name, value)
        if self._values[name] != value:
            self._values[name] = value
            for base in type(self).__mro__:
                if name in vars(base).get("TELLS", {}):
                    self.emit(vars(base)["TELLS"][name], value)

    def _checked(self, name: str, value: Any) -> Any:
        """What a property becomes when a value is written to it; classes with ranges cut it off."""
        return value

    def className(self) -> str:
        return type(self).__name__

    def parent(self) -> Any:
        return self._parent

    def blockSignals(self, block: bool) -> bool:
        before, self._blocked = self._blocked, block
        return before

    def property(self, name: str) -> Any:
        return self._dynamic.get(name, self._values.get(name))

    def setProperty(self, name: str, value: Any) -> None:
        if name in self._values:
            setattr(self, name, value)
        else:
            self._dynamic[name] = value

    def deleteLater(self) -> None:
        """Gone with the next round of the event loop; here at once, so that nobody counts on what is left of it."""
        self._slots.clear()
        vars(self)["_values"] = _Destroyed()

    def connect(self, signature: str, slot: Callable) -> bool:
        if not any(signature in vars(base).get("SIGNALS", ()) for base in type(self).__mro__):
            return False
        self._slots.setdefault(signature, []).append(slot)
        return True

    def disconnect(self, signature: str, slot: Callable) -> bool:
        slots = self._slots.get(signature, [])
        if slot not in slots:
            return False
        slots.remove(slot)
        return True

    def emit(self, signature: str, *values: Any) -> None:
        """Calls the slots of a signal, as C++ would."""
        if not self._blocked:
            for slot in list(self._slots.get(signature, [])):
                slot(*values[: _positional(slot)])


class _Destroyed(dict):
    """The properties of an object that C++ has deleted."""

    def __contains__(self, name: object) -> bool:
        raise ValueError(f"Trying to read {name} of a destroyed object")


def _positional(slot: Callable) -> int:
    """How many values a slot takes, defaults included: PythonQt's rule."""
    try:
        parameters = inspect.signature(slot).parameters.values()
    except (TypeError, ValueError):
        return 0
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 99
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
