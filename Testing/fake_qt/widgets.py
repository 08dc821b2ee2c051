"""The widgets of the panel."""

from __future__ import annotations

from typing import Any

from .objects import QObject


class QWidget(QObject):
    PROPERTIES = {
        "enabled": True,
        "visible": True,
        "toolTip": "",
        "focusPolicy": None,
        "minimumSize": None,
        "maximumSize": None,
        "sizePolicy": None,
        "geometry": None,
        "palette": None,
        "windowTitle": "",
        "windowModality": None,
        "font": None,
    }

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._layout: QLayout | None = None
        self._values["palette"] = QPalette()

    def layout(self) -> Any:
        return self._layout

    def show(self) -> None:
        self.visible = True

    def hide(self) -> None:
        self.visible = False

    def close(self) -> None:
        self.visible = False

    def children(self) -> list[Any]:
        return list(self._children)


class QLayout(QObject):
    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._widgets: list[Any] = []

    def addWidget(self, widget: Any) -> None:
        self._widgets.append(widget)

    def setContentsMargins(self, *margins: int) -> None: ...


class QPalette:
    WindowText = 0

    def color(self, role: int) -> QColor:
        return QColor("black")


class QColor:
    def __init__(self, *channels: Any) -> None:
        self.channels = channels


class QBrush:
    def __init__(self, colour: QColor) -> None:
        self.colour = colour


class QPixmap:
    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self.marks: list[int] = []

    def fill(self, colour: QColor) -> None:
        self.marks.clear()


class QPainter:
    def begin(self, pixmap: QPixmap) -> bool:
        self._pixmap = pixmap
        return True

    def fillRect(self, x: int, y: int, width: int, height: int, colour: QColor) -> None:
        self._pixmap.marks.append(x)

    def end(self) -> bool:
        return True


class QLabel(QWidget):
    PROPERTIES = {"text": "", "wordWrap": False, "scaledContents": False, "pixmap": None, "buddy": None}


class QLineEdit(QWidget):
    PROPERTIES = {"text": "", "placeholderText": ""}
    SIGNALS = ("textChanged(QString)", "editingFinished()")
    TELLS = {"text": "textChanged(QString)"}


class _Button(QWidget):
    PROPERTIES = {"text": "", "checkable": False, "checked": False}
    SIGNALS = ("clicked()", "clicked(bool)", "toggled(bool)")
    TELLS = {"checked": "toggled(bool)"}

    def click(self) -> None:
        """A user's click: nothing while the button is not enabled."""
        if not self.enabled:
            return
        if self.checkable:
            self.checked = not self.checked
        self.emit("clicked()")
        self.emit("clicked(bool)", self.checked)

    def isChecked(self) -> bool:
        return self.checked


class QPushButton(_Button): ...


class QToolButton(_Button): ...


class QCheckBox(_Button):
    PROPERTIES = {"checkable": True}
    SIGNALS = ("stateChanged(int)",)


class QComboBox(QWidget):
    PROPERTIES = {"currentIndex": -1, "currentText": "", "count": 0}
    SIGNALS = ("currentIndexChanged(int)",)
    TELLS = {"currentIndex": "currentIndexChanged(int)"}

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._items: list[str] = []

    def addItem(self, text: str) -> None:
        self._items.append(text)
        self._values["count"] = len(self._items)
        if self.currentIndex < 0:
            self.currentIndex = 0

    def clear(self) -> None:
        self._items.clear()
        self._values["count"] = 0
        self.currentIndex = -1

    def itemText(self, index: int) -> str:
        return self._items[index]

    def _checked(self, name: str, value: Any) -> Any:
        if name == "currentIndex":
            self._values["currentText"] = self._items[value] if 0 <= value < len(self._items) else ""
        return value


class _Ranged(QWidget):
    PROPERTIES = {"value": 0, "minimum": 0, "maximum": 99, "singleStep": 1, "pageStep": 10}

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in ("minimum", "maximum"):
            self.value = self.value  # cut off

    def _checked(self, name: str, value: Any) -> Any:
        return (
            min(max(value, self.minimum), self.maximum) if name == "value" and self.maximum >= self.minimum else value
        )


class QSpinBox(_Ranged):
    PROPERTIES = {"suffix": "", "prefix": "", "specialValueText": ""}
    SIGNALS = ("valueChanged(int)",)
    TELLS = {"value": "valueChanged(int)"}


class QDoubleSpinBox(_Ranged):
    PROPERTIES = {"suffix": "", "prefix": "", "specialValueText": "", "decimals": 2}
    SIGNALS = ("valueChanged(double)",)
    TELLS = {"value": "valueChanged(double)"}


class QProgressBar(_Ranged):
    PROPERTIES = {"textVisible": True, "maximum": 100}

    def setRange(self, low: int, high: int) -> None:  # a slot here, but none of CTK's sliders
        self.minimum, self.maximum = low, high


class ctkDoubleSlider(_Ranged):
    PROPERTIES = {"orientation": None, "tracking": True, "tickInterval": 0.0}
    SIGNALS = ("valueChanged(double)", "sliderMoved(double)", "sliderPressed()", "sliderReleased()")
    TELLS = {"value": "valueChanged(double)"}


class QTableWidgetItem:
    def __init__(self, text: str) -> None:
        self._text, self._tip, self._background = text, "", None

    def text(self) -> str:  # no QObject, so no property
        return self._text

    def setToolTip(self, tip: str) -> None:
        self._tip = tip

    def toolTip(self) -> str:
        return self._tip

    def setBackground(self, brush: QBrush) -> None:
        self._background = brush

    def background(self) -> QBrush | None:
        return self._background

    def setForeground(self, brush: QBrush) -> None: ...


class QTableWidget(QWidget):
    PROPERTIES = {
        "rowCount": 0,
        "columnCount": 0,
        "editTriggers": None,
        "alternatingRowColors": False,
        "selectionBehavior": None,
    }

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._items: dict[tuple[int, int], QTableWidgetItem] = {}
        self._header: list[str] = []

    def setItem(self, row: int, column: int, item: QTableWidgetItem) -> None:
        assert row < self.rowCount and column < self.columnCount
        self._items[row, column] = item

    def item(self, row: int, column: int) -> QTableWidgetItem | None:
        return self._items.get((row, column))

    def setHorizontalHeaderLabels(self, labels: list[str]) -> None:
        self._header = labels

    def resizeColumnsToContents(self) -> None: ...


class ctkCollapsibleButton(QWidget):
    PROPERTIES = {"text": "", "collapsed": False, "checked": True}
    SIGNALS = ("contentsCollapsed(bool)", "toggled(bool)")
    TELLS = {"collapsed": "contentsCollapsed(bool)"}


class ctkCollapsibleGroupBox(QWidget):
    PROPERTIES = {"title": "", "collapsed": False, "checked": True}
    SIGNALS = ("toggled(bool)",)


class QShortcut(QObject):
    SIGNALS = ("activated()",)

    def __init__(self, keys: Any, parent: Any) -> None:
        super().__init__(parent)
        self._keys = keys

    def setContext(self, context: int) -> None: ...


class qMRMLWidget(QWidget):
    SIGNALS = ("mrmlSceneChanged(vtkMRMLScene*)",)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        self.emit("mrmlSceneChanged(vtkMRMLScene*)", scene)

    def mrmlScene(self) -> Any:
        return self._scene


class qMRMLNodeComboBox(qMRMLWidget):
    PROPERTIES = {
        "nodeTypes": (),
        "noneEnabled": False,
        "addEnabled": True,
        "removeEnabled": True,
        "renameEnabled": False,
        "showHidden": False,
    }
    SIGNALS = ("currentNodeChanged(vtkMRMLNode*)", "currentNodeChanged(bool)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._node: Any = None

    def currentNode(self) -> Any:
        return self._node

    def setCurrentNode(self, node: Any) -> None:
        """Takes a node of its scene and types, as the widget does; others leave it empty."""
        fits = node is not None and any(node.IsA(kind) for kind in self.nodeTypes) and self._scene is not None
        node = node if fits and self._scene.IsNodePresent(node) else None
        if node is not self._node:
            self._node = node
            self.emit("currentNodeChanged(vtkMRMLNode*)", node)


class qMRMLCheckableNodeComboBox(qMRMLNodeComboBox):
    SIGNALS = ("checkedNodesChanged()",)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._ticked: list[Any] = []

    def checkState(self, node: Any) -> int:
        return 2 if any(other is node for other in self._ticked) else 0

    def setCheckState(self, node: Any, state: int) -> None:
        self._ticked = [other for other in self._ticked if other is not node] + ([node] if state else [])


class qMRMLSegmentEditorWidget(qMRMLWidget):
    """What the panel asks of the segment editor, noted down."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._segmentation: Any = None
        self._source: Any = None
        self._parameter_node: Any = None
        self._observes = False

    def setMaximumNumberOfUndoStates(self, count: int) -> None: ...
    def setSwitchToSegmentationsButtonVisible(self, visible: bool) -> None: ...
    def setActiveEffect(self, effect: Any) -> None: ...
    def installKeyboardShortcuts(self, parent: QWidget) -> None: ...
    def uninstallKeyboardShortcuts(self) -> None: ...

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        self._parameter_node = node

    def setSegmentationNode(self, node: Any) -> None:
        self._segmentation = node

    def segmentationNode(self) -> Any:
        return self._segmentation

    def setSourceVolumeNode(self, node: Any) -> None:
        self._source = node

    def setupViewObservations(self) -> None:
        self._observes = True

    def removeViewObservations(self) -> None:
        self._observes = False
