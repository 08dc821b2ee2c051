"""From the mean or from noise to a latent, along straight paths (rectified flow).

A path runs from x1 (the start) at tau = 1 to x0 (a clean latent) at tau = 0:

    x_tau = (1 - tau) x0 + tau x1,    velocity = x1 - x0

Started from the regression mean plus a little noise, the path is short and one to four Euler steps suffice
(posterior-mean rectified flow, Ohayon 2025); started from pure noise it is the plain conditional flow model (Liu
2023), kept for comparison. The noise is one field per slice for all times, so the samples of a slice move smoothly
with time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor
from torch.nn import functional

Start = Literal["mean", "noise"]


def start_point(mean: Tensor, noise: Tensor, start: Start, noise_scale: float) -> Tensor:
    """The path's start x1.

    Around the mean the noise is in proportion to the enhancement nearby: how much a patient enhances is uncertain by a
    factor, tissue that takes up nothing stays as it is, and the sample has no jump at arrival.

    Args:
        mean: (M, C, h, w).
        noise: (M, C, h, w), standard normal.
        start: "mean" or "noise".
        noise_scale: standard deviation around the mean, relative to the mean's magnitude.
    """
    if start == "noise":
        return noise
    magnitude = functional.avg_pool2d(mean.abs().mean(1, keepdim=True), 3, stride=1, padding=1)
    return mean + noise_scale * magnitude * noise


def integrate(velocity: Callable[[Tensor, float], Tensor], x1: Tensor, steps: int) -> Tensor:
    """Euler steps of equal size from tau = 1 to 0."""
    x = x1
    for step in range(steps):
        x = x - velocity(x, 1.0 - step / steps) / steps
    return x
