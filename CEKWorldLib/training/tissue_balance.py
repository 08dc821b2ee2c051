"""Errors in which every tissue counts the same, however few its pixels, and a lesion more.

In a mean over pixels a lesion of fifty has no say beside a breast of ten thousand. Trained by such means alone the
model painted breast lesions as the gland around them, 0.3 where the truth had 0.8.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from CEKWorldLib.simulation.labels import Label
from CEKWorldLib.training.batches import UNKNOWN_TISSUE

_LEAST_PIXELS = 8.0  # what has fewer counts less
_LESION_VOTES = 8.0
_CODES = Label.LESION + 1


class TissueBalance:
    """The tissues of N slices on a grid.

    Args:
        labels: (N, H, W) of the pixels or finer ones; of a block of them the middle counts.
        width: of the grid.
    """

    def __init__(self, labels: Tensor, width: int) -> None:
        step = labels.shape[-1] // width
        labels = labels[:, step // 2 :: step, step // 2 :: step]
        self.labels = labels
        self._known = labels != UNKNOWN_TISSUE
        slices = torch.arange(len(labels), device=labels.device)[:, None, None]
        self._segment = (slices * _CODES + labels)[self._known]
        self._pixels = self._sums(torch.ones_like(labels, dtype=torch.float32))
        self._votes = (self._pixels / _LEAST_PIXELS).clamp(max=1.0)
        self._votes[:, Label.LESION] *= _LESION_VOTES

    def square(self, prediction: Tensor, truth: Tensor, least: float) -> Tensor:
        """Squared error over that of predicting nothing, of each tissue of each slice; then the mean.

        Args:
            prediction, truth: (N, T, C, h, w).
            least: mean square below which a tissue does not count as enhancing, so that its noise is no error.

        Returns:
            A scalar; zero where no pixel has a label.
        """
        error, nothing = (a.square().mean((1, 2)) for a in (prediction - truth, truth))
        return self._mean(self._sums(error) / (self._sums(nothing) + least * self._pixels.clamp(min=1.0)))

    def cross_entropy(self, scores: Tensor) -> Tensor:
        """Of telling the tissues apart by scores (N, codes, h, w): its mean over each tissue, then over tissues."""
        error = functional.cross_entropy(scores, self.labels, reduction="none", ignore_index=UNKNOWN_TISSUE)
        return self._mean(self._sums(error) / self._pixels.clamp(min=1.0))

    def _sums(self, values: Tensor) -> Tensor:
        """Sums (N, codes) of values (N, h, w) by tissue."""
        flat = values.new_zeros(len(values) * _CODES)
        return flat.index_add(0, self._segment, values[self._known]).view(-1, _CODES)

    def _mean(self, tissues: Tensor) -> Tensor:
        return (tissues * self._votes).sum() / self._votes.sum().clamp(min=1.0)
