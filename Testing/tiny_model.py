"""A world model small enough for tests, with weights drawn from a seed."""

from __future__ import annotations

from dataclasses import replace

import torch

from CEKWorldLib.models.configuration import Configuration
from CEKWorldLib.models.world import WorldModel

TINY = Configuration(
    name="tiny",
    autoencoder_widths=(8, 16),
    encoder_widths=(16, 16, 16),
    encoder_blocks=1,
    unet_widths=(16, 16, 16),
    embedding=16,
)


def tiny_model(seed: int = 0, **changes) -> WorldModel:
    """The tiny model with every weight random, zero-initialised ones too, so that no path is silent."""
    torch.manual_seed(seed)
    model = WorldModel(replace(TINY, **changes))
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(0.0, 0.05)
    return model.eval().requires_grad_(False)
