"""Time as the networks see it: a continuous encoding of seconds, or the paper's HH:MM:SS text."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from CEKWorldLib.models.condition import CONDITION_SIZE

_FREQUENCIES = 8
_DECAYS_S = (4.0, 10.0, 25.0, 60.0, 150.0, 400.0)
_LONGEST_S = 600.0
TIME_FEATURES = 2 * _FREQUENCIES + len(_DECAYS_S)


def time_features(since_arrival_s: Tensor) -> Tensor:
    """Smooth features of the time since bolus arrival; constant before arrival, so nothing moves before it.

    The exponentials are the shapes tracer kinetics are made of; the Fourier pairs run over log time, which gives
    the first pass as much resolution as the following minutes.

    Args:
        since_arrival_s: seconds, any shape.

    Returns:
        Features of shape (..., TIME_FEATURES).
    """
    since = since_arrival_s.clamp(min=0.0)[..., None].float()
    warped = torch.log1p(since / 8.0) / math.log1p(_LONGEST_S / 8.0)
    phases = warped * torch.arange(1, _FREQUENCIES + 1, device=since.device) * math.pi
    decays = torch.exp(-since / torch.tensor(_DECAYS_S, device=since.device))
    return torch.cat([phases.sin(), phases.cos(), decays], dim=-1)


class ContinuousTimeEncoder(nn.Module):
    """Embeds (time since arrival, condition) into one vector and a few tokens for cross-attention."""

    def __init__(self, width: int, tokens: int = 4, token_width: int = 128) -> None:
        super().__init__()
        self.width, self.tokens, self.token_width = width, tokens, token_width
        self.embed = nn.Sequential(
            nn.Linear(TIME_FEATURES + CONDITION_SIZE, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.to_tokens = nn.Linear(width, tokens * token_width)

    def forward(self, since_arrival_s: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Args: seconds (M,), condition vectors (M, CONDITION_SIZE). Returns: (M, width), (M, tokens, token_width)."""
        vector = self.embed(torch.cat([time_features(since_arrival_s), condition], dim=-1))
        return vector, self.to_tokens(vector).unflatten(-1, (self.tokens, self.token_width))


_ALPHABET = "0123456789:"


class TextTimeEncoder(nn.Module):
    """The paper's variant: time as text "H:MM:SS", here read by a small character transformer.

    Whole seconds only, as in MRI CEKWorld, which fed ``str(timedelta)`` to a frozen CLIP text encoder. A real CLIP
    is used by ``models.paper`` where its weights are at hand.
    """

    def __init__(self, width: int, token_width: int = 128, layers: int = 2) -> None:
        super().__init__()
        self.width, self.token_width = width, token_width
        self.characters = nn.Embedding(len(_ALPHABET), token_width)
        self.position = nn.Parameter(0.02 * torch.randn(8, token_width))
        self.condition = nn.Linear(CONDITION_SIZE, token_width)
        layer = nn.TransformerEncoderLayer(token_width, 4, 2 * token_width, 0.0, "gelu", batch_first=True)
        self.transformer = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.to_vector = nn.Linear(token_width, width)

    def forward(self, since_arrival_s: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """As ``ContinuousTimeEncoder.forward``; tokens are one per character and one for the condition."""
        codes = [[_ALPHABET.index(c) for c in clock_text(s)] for s in since_arrival_s.tolist()]
        text = self.characters(torch.tensor(codes, device=condition.device)) + self.position
        tokens = self.transformer(torch.cat([text, self.condition(condition)[:, None]], dim=1))
        return self.to_vector(tokens.mean(1)), tokens


def clock_text(seconds: float) -> str:
    """Seconds as ``HH:MM:SS``; times before zero read as zero."""
    whole = max(0, round(seconds))
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
