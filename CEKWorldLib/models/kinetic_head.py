"""The regression: each latent pixel's features hold its kinetics, and a small network reads them at time t."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class KineticHead(nn.Module):
    """The mean latent at a time, from the image features of its pixel and the time embedding.

    Pointwise on purpose: all that is spatial was done once per slice by the image encoder, so a further time point
    costs 0.2 GFLOP at 256x256, and the result is as smooth in t as the embedding.

    Args:
        features: channels of the finest image features.
        embedding: width of the time embedding.
        latent: latent channels.
        width: hidden channels.
    """

    def __init__(self, features: int, embedding: int, latent: int, width: int = 128) -> None:
        super().__init__()
        self.first = nn.Conv2d(features, width, 1)
        self.second = nn.Conv2d(width, width, 1)
        self.last = nn.Conv2d(width, latent, 1)
        self.modulation = nn.Linear(embedding, 4 * width)

    def forward(self, features: Tensor, embeddings: Tensor, embedding_before: Tensor) -> Tensor:
        """Mean latents, exactly zero where the embedding is that of a time before arrival.

        Args:
            features: (N, F, h, w).
            embeddings: (N, T, E).
            embedding_before: (N, E), the embedding of any time before arrival.

        Returns:
            (N, T, latent, h, w).
        """
        count, times = embeddings.shape[:2]
        every = torch.cat([embedding_before[:, None], embeddings], 1)
        scale1, shift1, scale2, shift2 = self.modulation(every)[..., None, None].chunk(4, 2)
        first = self.first(features)[:, None]
        hidden = nn.functional.silu(first * (1 + scale1) + shift1)
        hidden = self.second(hidden.flatten(0, 1)).unflatten(0, (count, times + 1))
        hidden = nn.functional.silu(hidden * (1 + scale2) + shift2)
        latents = self.last(hidden.flatten(0, 1)).unflatten(0, (count, times + 1))
        return latents[:, 1:] - latents[:, :1]
