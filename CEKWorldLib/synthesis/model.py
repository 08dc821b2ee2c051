"""What the engine asks of a model. ``models.world.WorldModel`` is one; a folder of a user's own may be another."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from CEKWorldLib.models.condition import Condition


class SynthesisModel(Protocol):
    """A pre-contrast slice in, latents at any time, enhancement out. N counts slices, T times.

    The latent of one time depends on that time alone, so times can be sampled in any grouping; latents up to the
    bolus arrival are zero, and a zero latent decodes to zero enhancement.

    Attributes:
        name: the name users choose it by.
        sha256: of its weights; part of every cache key.
        time_range_s: first and last second after injection start it was trained on.
        sample_steps: sampler steps of samples that are compared: its default ones, and 1 at least, for without any a
            seed changes nothing.
    """

    name: str
    sha256: str
    time_range_s: tuple[float, float]
    sample_steps: int

    def encode(self, stack: Tensor, condition: Condition) -> Any:
        """Features of slices given as (N, 3, H, W): the slice before, the slice, the slice after, scaled."""
        ...

    def sample(self, features: Any, times_s: Tensor, noise: Tensor, steps: int | None) -> Tensor:
        """Latents (N, T, C, h, w) at times (T,), from one noise field per slice (N, C, h, w)."""
        ...

    def decode(self, latents: Tensor, features: Any) -> Tensor:
        """Enhancement (N, T, H, W) in units of the intensity scale."""
        ...

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(C, h, w) of an image's latent."""
        ...

    def to(self, device: torch.device) -> Any:
        """Moves the weights, as ``torch.nn.Module.to`` does."""
        ...
