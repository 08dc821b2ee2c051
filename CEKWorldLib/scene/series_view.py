"""A series in its output volume at any time: frames as they are, previews between them, with or without the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from CEKWorldLib.scene.blending import weighted_sum
from CEKWorldLib.scene.frame_store import FrameStore
from CEKWorldLib.scene.images import array_of, image_of
from CEKWorldLib.scene.output_volume import OutputVolume, Window
from CEKWorldLib.scene.provenance import caption


@dataclass(frozen=True)
class Shown:
    """What is in the output volume.

    Attributes:
        time_s: seconds after injection start.
        exact: a whole frame of that very time, not a preview between its neighbours.
        subtracted: without the pre-contrast volume.
        caption: for the corner of the views.
        partial: a frame of that time in which some slices still show the source.
    """

    time_s: float
    exact: bool
    subtracted: bool
    caption: str
    partial: bool = False


class SeriesView:
    """Puts the volume of a time into the output node.

    Args:
        frames: what is ready to be shown.
        output: where it is shown.
        pre: pre-contrast voxels, float32 (slices, rows, columns), taken off in subtraction.
        synthetic: whether captions say so.
        scratch: two arrays of the same shape and type, for what lies between frames.
    """

    def __init__(
        self, frames: FrameStore, output: OutputVolume, pre: np.ndarray, synthetic: bool, scratch: Sequence[np.ndarray]
    ) -> None:
        self._frames = frames
        self._output = output
        self._pre = pre
        self._synthetic = synthetic
        self._subtracted = False
        self._other_window: Window | None = None  # that of the mode which is not on
        # Two, for a swap of the image that is shown for itself would tell no view to draw.
        self._buffers = [image_of(array) for array in scratch]

    @property
    def subtracted(self) -> bool:
        """Whether the pre-contrast volume is taken off. Each mode keeps the window the user has given it."""
        return self._subtracted

    @subtracted.setter
    def subtracted(self, on: bool) -> None:
        if on == self._subtracted:
            return
        current = self._output.window
        self._output.window = self._other_window or self._window_of_difference()
        self._other_window = current
        self._subtracted = on

    def show(self, time_s: float) -> Shown:
        """Shows a time: the frame itself where there is one, else a linear preview between its neighbours.

        Raises:
            LookupError: there is no frame at all.
        """
        partial = self._frames.is_partial(time_s)
        exact = self._frames.image(time_s) is not None and not partial
        terms = self._frames.around(time_s)
        if len(terms) > 1 or self._subtracted:
            arrays = [(weight, array_of(image)) for weight, image in terms]
            shown = self._blended([*arrays, (-1.0, self._pre)] if self._subtracted else arrays)
        else:
            shown = terms[0][1]
        self._output.show(shown, time_s)
        return Shown(time_s, exact, self._subtracted, caption(time_s, self._synthetic, exact, partial), partial)

    def _blended(self, terms: list[tuple[float, np.ndarray]]) -> Any:
        self._buffers.reverse()
        weighted_sum(terms, array_of(self._buffers[0]))
        self._buffers[0].Modified()
        return self._buffers[0]

    def _window_of_difference(self) -> Window:
        """From no enhancement to the strongest."""
        brightest = Window.of((self._frames.voxels(t) for t in self._frames.times_s), self._pre).high
        return Window(0.0, max(brightest, 1e-6))
