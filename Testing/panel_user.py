"""What a user does with the panel, for its tests."""

from __future__ import annotations

import fake_qt.desktop  # noqa: F401  (before the panel's own imports of qt)
import numpy as np
from panel_exam import ARRIVAL_S, TIMES, add_exam

from CEKWorldLib.gui.choices import Preset
from CEKWorldLib.scene.images import array_of


def choose_exam(desktop, **choices):
    node = add_exam(desktop.scene)
    parameters = desktop.parameters
    parameters.inputNode = node
    parameters.preset, parameters.times, parameters.arrival = Preset.LIST, TIMES, ARRIVAL_S
    for name, value in choices.items():
        setattr(parameters, name, value)
    return node


def synthesize(desktop, **choices):
    node = choose_exam(desktop, **choices)
    desktop.ui.applyButton.click()
    desktop.wait_until(lambda: not desktop.panel.run.is_running, "the synthesis")
    return node


def shown_voxels(desktop) -> np.ndarray:
    return array_of(desktop.panel.session.output.GetImageData())


def cells(desktop, row: int = 0) -> list[str]:
    table = desktop.ui.curvesTable
    return [table.item(row, column).text() for column in range(table.columnCount)]
