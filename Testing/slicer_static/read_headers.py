"""Reads the names of widget classes from C++ headers, as of which ``qt_names.json`` was made.

``python -m slicer_static.read_headers SLICER CTK QT_INCLUDE >qt_names.json`` in ``Testing/``, where SLICER and CTK are
git repositories with the versions below, and QT_INCLUDE holds ``QtWidgets/`` and its like (Debian: ``qtbase5-dev``).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

# CTK at the versions that these Slicer releases are built with (their SuperBuild/External_CTK.cmake).
RELEASES = {
    "v5.8.1": "82cae5781621845486bad2697aed095f04cfbe76",
    "v5.12.3": "5056664a20a3d0a393bb6d91f040525581e0dcdf",
}
HEADERS = {
    "slicer": """
        Libs/MRML/Widgets/qMRMLWidget.h Libs/MRML/Widgets/qMRMLNodeComboBox.h
        Libs/MRML/Widgets/qMRMLCheckableNodeComboBox.h Libs/MRML/Widgets/qMRMLLayoutManager.h
        Libs/MRML/Widgets/qMRMLSliceWidget.h Libs/MRML/Widgets/qMRMLSliceView.h Libs/MRML/Widgets/qMRMLPlotWidget.h
        Libs/MRML/Widgets/qMRMLPlotView.h Base/QTCore/qSlicerCoreApplication.h Base/QTGUI/qSlicerApplication.h
        Base/QTGUI/qSlicerLayoutManager.h Modules/Loadable/Segmentations/Widgets/qMRMLSegmentEditorWidget.h""",
    "ctk": """
        Libs/Widgets/ctkCollapsibleButton.h Libs/Widgets/ctkCollapsibleGroupBox.h Libs/Widgets/ctkDoubleSlider.h
        Libs/Widgets/ctkLayoutManager.h Libs/Visualization/VTK/Widgets/ctkVTKSliceView.h
        Libs/Visualization/VTK/Widgets/ctkVTKAbstractView.h Libs/DICOM/Core/ctkDICOMDatabase.h""",
    "qt": """
        QtCore/qobject.h QtCore/qiodevice.h QtCore/qprocess.h QtCore/qtimer.h QtCore/qsettings.h
        QtCore/qcoreapplication.h QtGui/qguiapplication.h QtGui/qpixmap.h QtGui/qpainter.h
        QtWidgets/qwidget.h QtWidgets/qapplication.h
        QtWidgets/qabstractbutton.h QtWidgets/qabstractitemview.h QtWidgets/qabstractscrollarea.h
        QtWidgets/qabstractslider.h QtWidgets/qabstractspinbox.h QtWidgets/qcheckbox.h QtWidgets/qcombobox.h
        QtWidgets/qdialog.h QtWidgets/qfiledialog.h QtWidgets/qframe.h QtWidgets/qgroupbox.h QtWidgets/qlabel.h
        QtWidgets/qlineedit.h QtWidgets/qprogressbar.h QtWidgets/qprogressdialog.h QtWidgets/qpushbutton.h
        QtWidgets/qshortcut.h QtWidgets/qspinbox.h QtWidgets/qtableview.h QtWidgets/qtablewidget.h
        QtWidgets/qtoolbutton.h""",
}
_BESIDE = {"qdoublespinbox", "qtablewidgetitem"}  # declared in the header of another class
_SECTION = re.compile(r"^\s*(public|protected|private|Q_SIGNALS|signals)\s*(slots|Q_SLOTS)?\s*:", re.MULTILINE)
_CLASS = re.compile(r"\bclass\s+(?:\w+_EXPORT\s+)?(\w+)(?:\s+final)?\s*(?::\s*([^{;]*))?\{")
_FUNCTION = re.compile(r"\b(\w+)\s*\(")
_TYPES = re.compile(r"\s*([*&])\s*")


def classes_of(text: str) -> dict[str, dict]:
    """Classes of a header with their base, properties, signals (with arguments) and public functions."""
    text = re.sub(r"//.*?$|/\*.*?\*/", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^\s*#.*?(?<!\\)$|\bQT_DEPRECATED\w*\([^\"]*\"[^\"]*\"\s*\)", "", text, flags=re.MULTILINE)
    found = {}
    for match in _CLASS.finditer(text):
        body = _body(text, match.end())
        bases = re.findall(r"public\s+(\w+)", match[2] or "")
        properties = re.findall(
            r"Q_(?:PRIVATE_)?PROPERTY\((?:[^()]*,)?\s*[\w:*&<>, ]+?[\s*]+(\w+)\s+(?:READ|MEMBER)", body
        )
        signals, functions = set(), set()
        for kind, section in _sections(body):
            for name, arguments in _declared(section):
                # PythonQt wraps all of Qt; of other classes it sees what Qt's meta-object system knows.
                if kind != "public" or match[1].startswith("Q"):
                    functions.add(name)
                if kind == "signals":
                    signals |= _signatures(name, arguments)
        invokable = re.findall(r"Q_INVOKABLE[\w\s:*&<>,]*?\b(\w+)\s*\(", body)
        found[match[1]] = {
            "base": next((b for b in bases if b.startswith(("Q", "q", "ctk"))), None),
            "properties": sorted(set(properties)),
            "signals": sorted(signals),
            "functions": sorted(functions | set(invokable) - {match[1]}),
        }
    return found


def _body(text: str, start: int) -> str:
    depth = 1
    for end in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            return text[start:end]
    return text[start:]


def _sections(body: str):
    marks = [*_SECTION.finditer(body)]
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        section = body[mark.end() : following.start() if following else len(body)]
        if mark[1] in ("Q_SIGNALS", "signals"):
            yield "signals", section
        elif mark[1] == "public":
            yield "slots" if mark[2] else "public", section


def _declared(section: str):
    """Functions of a section, with their arguments."""
    section = re.sub(r"\{[^{}]*\}", ";", re.sub(r"\{[^{}]*\}", ";", section))
    section = re.sub(r"Q_\w*PROPERTY\([^\n]*|\bQT_\w+\([^)]*\)|\bQPrivateSignal\b", "", section)
    for statement in section.split(";"):
        function = _FUNCTION.search(statement)
        if function and not function[1].startswith(("Q_", "vtk", "SIGNAL")):
            inner = statement[function.end() : statement.rfind(")")]
            yield function[1], [a.strip() for a in re.split(r",(?![^<]*>)", inner) if a.strip()]


def _signatures(name: str, arguments: list[str]) -> set[str]:
    """A signal as Qt knows it: without names, constness and references; once without each default argument."""
    types = [_type(a.split("=")[0]) for a in arguments]
    defaults = sum("=" in a for a in arguments)
    return {f"{name}({','.join(types[: len(types) - n])})" for n in range(defaults + 1)}


def _type(argument: str) -> str:
    argument = _TYPES.sub(r"\1", argument.strip())
    argument = re.sub(r"^const\s+([\w:<>]+)&", r"\1 ", argument)
    argument = re.sub(r"^const\s+(?=[\w:<>]+\s)", "", argument) if "*" not in argument else argument
    words = re.match(r"((?:const |unsigned )?[\w:<>, ]+?[*&]*)(?:\s+\w+|(?<=[*&])\w+)?$", argument)
    return (words[1] if words else argument).strip()


def _both(a: dict[str, dict], b: dict[str, dict]) -> dict[str, dict]:
    """What two versions share."""
    return {
        name: {
            key: sorted(set(a[name][key]) & set(b[name][key])) if isinstance(a[name][key], list) else a[name][key]
            for key in a[name]
        }
        for name in a.keys() & b.keys()
    }


def main(slicer: str, ctk: str, qt_include: str) -> None:
    versions = []
    for tag, ctk_commit in RELEASES.items():
        found: dict[str, dict] = {}
        for repository, commit, kind in ((slicer, tag, "slicer"), (ctk, ctk_commit, "ctk")):
            for path in HEADERS[kind].split():
                command = ["git", "-C", repository, "show", f"{commit}:{path}"]
                found |= classes_of(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        versions.append(found)
    names = _both(*versions)
    for path in HEADERS["qt"].split():
        names |= classes_of((Path(qt_include) / path).read_text())
    source = f"Slicer {' and '.join(RELEASES)} with their CTK (names in both), Qt 5.15"
    wanted = {Path(p).stem.lower() for paths in HEADERS.values() for p in paths.split()} | _BESIDE
    lines = [f"  {json.dumps(n)}: {json.dumps(names[n])}" for n in sorted(names) if n.lower() in wanted]
    print(f'{{\n "source": {json.dumps(source)},\n "classes": {{\n' + ",\n".join(lines) + "\n }\n}")


if __name__ == "__main__":
    main(*sys.argv[1:])
