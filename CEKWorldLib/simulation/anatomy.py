"""The contract between an anatomy and the case that renders it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from CEKWorldLib.exam.protocol import Anatomy
from CEKWorldLib.simulation.canvas import Canvas
from CEKWorldLib.simulation.lesion import Lesion


class Subject(Protocol):
    """One simulated patient: all random choices made, ready to be painted on any set of points.

    Attributes:
        anatomy: body region.
        centre_mm: centre of the usual field of view, LPS.
        extent_mm: size of the usual field of view along (x, y, z).
        lesions: the lesions, in label order.
    """

    @property
    def anatomy(self) -> Anatomy: ...

    @property
    def centre_mm(self) -> tuple[float, float, float]: ...

    @property
    def extent_mm(self) -> tuple[float, float, float]: ...

    @property
    def lesions(self) -> Sequence[Lesion]: ...

    def paint(self, canvas: Canvas) -> None:
        """Paints the anatomy and its lesions. Depends on the canvas's points alone, not on their grid."""
