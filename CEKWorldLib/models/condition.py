"""What the model is told beside the image: the acquisition, the (virtual) injection, and the body region."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log

import torch
from torch import Tensor

from CEKWorldLib.exam.protocol import ANATOMIES, Acquisition, Anatomy, Injection


@dataclass(frozen=True)
class Condition:
    """Everything but the image and the time. Unknown acquisition settings and anatomy are allowed."""

    acquisition: Acquisition = field(default_factory=Acquisition)
    injection: Injection = field(default_factory=Injection)
    anatomy: Anatomy | None = None


_SETTINGS = 5
_INJECTION = 2
CONDITION_SIZE = 2 * _SETTINGS + _INJECTION + len(ANATOMIES)


def condition_vector(condition: Condition) -> Tensor:
    """Standardised settings, one flag per setting that is known, injection, one-hot anatomy; shape (CONDITION_SIZE,).

    Settings and anatomy that are not known are zero with their flag at zero, which training shows the model by
    ``hide``, so an exam without a header is no novelty to it.
    """
    acquisition, injection = condition.acquisition, condition.injection
    settings = (
        _standardised(acquisition.repetition_time_ms, lambda ms: 2.0 * log(ms / 5.0)),
        _standardised(acquisition.echo_time_ms, lambda ms: ms - 2.0),
        _standardised(acquisition.flip_angle_deg, lambda deg: (deg - 14.0) / 4.0),
        _standardised(acquisition.field_strength_t, lambda tesla: (tesla - 2.25) / 0.75),
        _standardised(acquisition.fat_saturated, lambda saturated: 1.0 if saturated else -1.0),
    )
    doses = (
        3.0 * log(injection.dose_mmol_per_kg * injection.relaxivity / 0.45),
        3.0 * log(injection.cardiac_output),
    )
    region = [1.0 if condition.anatomy == name else 0.0 for name in ANATOMIES]
    return torch.tensor([*(s[0] for s in settings), *(s[1] for s in settings), *doses, *region])


def hide(vectors: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Forgets each exam's acquisition, and apart from that its anatomy, with a probability; shape (N, SIZE)."""
    keep = torch.rand(len(vectors), 2, generator=generator) >= probability
    mask = torch.ones_like(vectors)
    mask[:, : 2 * _SETTINGS] = keep[:, :1].float()
    mask[:, 2 * _SETTINGS + _INJECTION :] = keep[:, 1:].float()
    return vectors * mask


def _standardised(value, scale) -> tuple[float, float]:
    return (0.0, 0.0) if value is None else (max(-3.0, min(3.0, scale(value))), 1.0)
