"""Where training takes its slices from: simulated ones, real exams, or a mix, behind one method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from CEKWorldLib.training.batches import Batch


class SlabSource(Protocol):
    """Gives the batch of any step."""

    def draw(self, slices: int, times: int, size: int, seed: int, step: int, device: torch.device) -> Batch:
        """The batch of a step: a function of these arguments alone, so an interrupted run resumes to the same batches.

        Args:
            slices: N.
            times: T; a source with fewer times of a slice gives a batch with fewer, the same for all its slices.
            size: image side; below that of the slices a window is cut out of each.
            seed: of the run.
            step: of the run; several processes count theirs through.
            device: where the batch goes.
        """


@dataclass(frozen=True)
class MixedSource:
    """Every batch from one of several sources, drawn by their shares.

    Attributes:
        sources: at least one.
        shares: of batches, one for each source, in sum 1.
    """

    sources: Sequence[SlabSource]
    shares: Sequence[float]

    def draw(self, slices: int, times: int, size: int, seed: int, step: int, device: torch.device) -> Batch:
        """As `SlabSource.draw`."""
        chosen = np.random.default_rng([seed, step, 31]).choice(len(self.sources), p=self.shares)
        return self.sources[chosen].draw(slices, times, size, seed, step, device)
