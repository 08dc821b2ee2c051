"""The table of curves in a ``QTableWidget``, with class chips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qt

from CEKWorldLib.gui.curve_table import Cell, header, rows
from CEKWorldLib.kinetics.roi import RoiResult


def fill_table(table: Any, results: Sequence[RoiResult]) -> None:
    """Shows results in place of those before."""
    names, content = header(), rows(results)
    table.setColumnCount(len(names))
    table.setRowCount(len(content))
    table.setHorizontalHeaderLabels(names)
    for n, row in enumerate(content):
        for column, cell in enumerate(row):
            table.setItem(n, column, _item(cell))
    table.resizeColumnsToContents()


def _item(cell: Cell) -> Any:
    item = qt.QTableWidgetItem(cell.text)
    item.setToolTip(cell.hint)
    if cell.colour is not None:
        item.setBackground(qt.QBrush(qt.QColor(*cell.colour)))
        item.setForeground(qt.QBrush(qt.QColor("white" if cell.is_dark else "black")))
    return item
