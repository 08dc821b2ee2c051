"""Rules for Python code that PythonQt runs, whose breaking would show in Slicer alone.

Each rule follows from PythonQt's source (``src/PythonQtInstanceWrapper.cpp``, ``PythonQtSignal.cpp``), from
``Base/Python/slicerqt.py``, or from Qt 6. Widgets are known by their names in the ``.ui`` file, other objects by the
class they are made from in the same file.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from slicer_static import qt_classes

Problem = tuple[int, str]

_SIGNATURE = re.compile(r"^\w+\([\w:*&, <>]*\)$")
# Overloads that Qt 6 no longer has, and what Slicer's Qt 5 has in their place.
_GONE = {
    "currentIndexChanged(QString)": "currentIndexChanged(int)",
    "activated(QString)": "activated(int)",
    "buttonClicked(int)": "idClicked(int)",
    "finished(int)": "finished(int,QProcess::ExitStatus)",
    "stateChanged(int)": "toggled(bool)",
    "error(QProcess::ProcessError)": "errorOccurred(QProcess::ProcessError)",
}
_NOT_IN_PYTHONQT = {
    "Signal": "custom signals crash; use gui.signals.Signal",
    "Slot": "there are no slots in PythonQt",
    "pyqtSignal": "custom signals crash; use gui.signals.Signal",
    "QTextCodec": "it is gone in Qt 6; decode bytes",
}
_MODULES = {
    "imp": "it is gone in Python 3.12",
    "threading": "threads starve in Slicer, which holds the GIL while it idles",
}


def problems(source: str, ui_classes: Mapping[str, str]) -> list[Problem]:
    """Lines that break a rule, with what they do.

    Args:
        source: of a Python file.
        ui_classes: classes of the widgets by name, as ``UiFile.classes``.
    """
    tree = ast.parse(source)
    known = _Known(tree, ui_classes)
    rules = (_names, _members, _connections, _calls, _imports, _translations)
    return sorted({problem for rule in rules for problem in rule(tree, known)})


class _Known:
    """Classes of the objects a file talks about."""

    def __init__(self, tree: ast.Module, ui_classes: Mapping[str, str]) -> None:
        self.ui_classes = ui_classes
        self._made: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                made = node.value.func
                if isinstance(made, ast.Attribute) and qt_classes.is_known(made.attr):
                    self._made.update({ast.unparse(target): made.attr for target in node.targets})

    def class_of(self, node: ast.expr) -> str | None:
        text = ast.unparse(node)
        if (name := self.widget(node)) is not None:
            return self.ui_classes.get(name)
        return "qSlicerApplication" if text == "slicer.app" else self._made.get(text)

    def widget(self, node: ast.expr) -> str | None:
        """The object name in ``ui.NAME``, ``self.ui.NAME`` or ``self._ui.NAME``."""
        is_ui = isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("ui", "self.ui", "self._ui")
        return node.attr if isinstance(node, ast.Attribute) and is_ui else None


def _names(tree: ast.Module, known: _Known) -> Iterator[Problem]:
    """Every ``ui.NAME`` is in the ``.ui`` file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (name := known.widget(node)) and name not in known.ui_classes:
            yield node.lineno, f"there is no widget {name}"


def _members(tree: ast.Module, known: _Known) -> Iterator[Problem]:
    """Properties are values and are not called; functions are called; nothing else is there to be set."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or (kind := known.class_of(node.value)) is None:
            continue
        is_property = qt_classes.has_property(kind, node.attr)
        if isinstance(node.ctx, ast.Store):
            if not is_property:
                yield node.lineno, f"{kind} has no property {node.attr} to set"
        elif id(node) in called and is_property:
            yield node.lineno, f"{kind}.{node.attr} is a property; do not call it"
        elif not is_property and not qt_classes.has_function(kind, node.attr):
            yield node.lineno, f"{kind} has no {node.attr}"


def _connections(tree: ast.Module, known: _Known) -> Iterator[Problem]:
    """Signals are named by a signature that the sender has; slots take no defaults, which would swallow arguments."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or len(node.args) < 2:
            continue
        *senders, signature, slot = node.args
        if not isinstance(signature, ast.Constant) or not _SIGNATURE.match(str(signature.value)):
            continue
        text = str(signature.value)
        sender = senders[0] if senders else node.func.value if isinstance(node.func, ast.Attribute) else None
        kind = known.class_of(sender) if sender is not None else None
        if kind is not None and not qt_classes.has_signal(kind, text):
            yield node.lineno, f"{kind} has no signal {text}"
        elif kind is None and not qt_classes.is_signal_of_any(text):
            yield node.lineno, f"no class on the list has a signal {text}"
        if text in _GONE:
            yield node.lineno, f"{text} is gone in Qt 6; use {_GONE[text]}"
        if isinstance(slot, ast.Lambda) and slot.args.defaults:
            yield node.lineno, "PythonQt fills a lambda's defaults with the signal's values; use functools.partial"


def _calls(tree: ast.Module, known: _Known) -> Iterator[Problem]:
    """Calls that do in Slicer something else than they seem to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            text = ast.unparse(node)
            if text.startswith("qt.") and node.attr in _NOT_IN_PYTHONQT:
                yield node.lineno, f"{text}: {_NOT_IN_PYTHONQT[node.attr]}"
            if re.fullmatch(r"(?:qt|ctk)\.[A-Z]\w*\.[A-Z]\w*\.[A-Z]\w*", text):
                yield node.lineno, f"{text}: enums are flat in PythonQt"
            if text == "slicer.dicomDatabase":
                yield node.lineno, "slicer has no dicomDatabase before the module DICOM is set up; use getattr"
        if not isinstance(node, ast.Call):
            continue
        if ast.unparse(node.func) == "qt.QProcess" and not node.args:
            yield node.lineno, "goes with its last reference, maybe inside its own signal; give it a parent"
        if isinstance(node.func, ast.Attribute):
            if node.func.attr == "exec":
                yield node.lineno, "exec() is a keyword's name to PythonQt; call exec_()"
            if node.func.attr == "singleShot":
                yield node.lineno, "Slicer's singleShot makes a timer that is never deleted; keep one of your own"
            if node.func.attr == "findChildren":
                yield node.lineno, "findChildren is unreliable in PythonQt; use slicer.util.childWidgetVariables"
        if ast.unparse(node.func) == "isinstance" and re.search(
            r"\b(?:qt|ctk)\.|\bslicer\.q", ast.unparse(node.args[1])
        ):
            yield node.lineno, "isinstance may be False for Slicer's subclasses of Qt classes; use className()"


def _imports(tree: ast.Module, known: _Known) -> Iterator[Problem]:
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        yield from ((node.lineno, f"{name}: {_MODULES[name]}") for name in names if name in _MODULES)


def _translations(tree: ast.Module, known: _Known) -> Iterator[Problem]:
    """``_`` is the translation's name, and what it is given is found by a tool that reads literals alone."""
    imported = [
        a for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module == "slicer.i18n" for a in n.names
    ]
    if not any(a.asname == "_" for a in imported):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "_" and isinstance(node.ctx, ast.Store):
            yield node.lineno, "_ is the translation here; do not assign to it"
        if isinstance(node, ast.arg) and node.arg == "_":
            yield node.lineno, "_ is the translation here; do not call an argument so"
        is_translated = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_"
        if is_translated and not isinstance(node.args[0], ast.Constant):
            yield node.lineno, "only a literal can be translated; format what _() returns"
