"""The three stages: autoencoder, regression of the mean, flow. Each names what it trains and gives a loss.

Losses over the times of a slice (Latent Alignment, Latent Difference) add to the regression and flow stages through
``extra_losses``; a batch holds several sorted times of each slice for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from CEKWorldLib.models.autoencoder import Anchor
from CEKWorldLib.models.sampler import start_point
from CEKWorldLib.models.world import SliceFeatures, WorldModel
from CEKWorldLib.training.batches import Batch

Losses = dict[str, Tensor]
ExtraLoss = Callable[[Tensor, Batch], Tensor]
"""Takes clean latents (N, T, 4, h, w) as the model predicts them and the batch; gives a scalar."""


class Stage(Protocol):
    """One stage of training."""

    def trained(self, model: WorldModel) -> list[nn.Module]:
        """The modules whose weights change; all others are frozen."""

    def losses(self, model: WorldModel, batch: Batch, generator: torch.Generator) -> Losses:
        """Named terms; their sum is minimised."""


def weighted_l1(prediction: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    return ((prediction - truth).abs() * weight).sum() / weight.sum()


class AutoencoderStage:
    """Reconstruct the enhancement from its latent, with a KL term too weak to cost detail (1e-5)."""

    kl_weight = 1e-5

    def trained(self, model: WorldModel) -> list[nn.Module]:
        return [model.autoencoder]

    def losses(self, model: WorldModel, batch: Batch, generator: torch.Generator) -> Losses:
        autoencoder = model.autoencoder
        times = batch.times_s.shape[1]
        once = autoencoder.anchor(batch.stack)
        anchor = once.repeated(times)
        truth = batch.enhancement.flatten(0, 1)[:, None]
        mean, log_variance = autoencoder.moments(truth, anchor)
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        latent = mean + torch.exp(0.5 * log_variance) * noise
        rest = autoencoder.render(torch.zeros_like(latent[: len(once.half)]), once).repeat_interleave(times, 0)
        decoded = autoencoder.render(latent, anchor) - rest
        kl = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()
        weight = batch.weight.flatten(0, 1)[:, None]
        return {"reconstruction": weighted_l1(decoded, truth, weight), "kl": self.kl_weight * kl}


class RegressionStage:
    """Regress the mean latent at every time; one of them is decoded, so that errors count where they show."""

    decoded_times = 1
    latent_weight = 0.2

    def __init__(self, extra_losses: Mapping[str, ExtraLoss] | None = None) -> None:
        self.extra_losses = dict(extra_losses or {})

    def trained(self, model: WorldModel) -> list[nn.Module]:
        return [model.image_encoder, model.time_encoder, model.kinetic_head]

    def losses(self, model: WorldModel, batch: Batch, generator: torch.Generator) -> Losses:
        features, target = encode_batch(model, batch)
        mean = model.regress(features, batch.times_s)
        weight = functional.avg_pool2d(batch.weight, 4)[:, :, None]
        picked = torch.randperm(batch.times_s.shape[1], generator=generator)[: self.decoded_times]
        decoded = model.decode(mean[:, picked], features)
        terms = {
            "latent": self.latent_weight * weighted_l1(mean, target, weight.expand_as(mean)),
            "pixel": weighted_l1(decoded, batch.enhancement[:, picked], batch.weight[:, picked]),
        }
        return terms | {name: loss(mean, batch) for name, loss in self.extra_losses.items()}


class FlowStage:
    """Learn the velocity from the start point to the latent; one in four batches starts from pure noise."""

    noise_start_share = 0.25

    def __init__(self, extra_losses: Mapping[str, ExtraLoss] | None = None) -> None:
        self.extra_losses = dict(extra_losses or {})

    def trained(self, model: WorldModel) -> list[nn.Module]:
        tokens = [model.time_encoder.to_tokens] if hasattr(model.time_encoder, "to_tokens") else []
        return [model.unet, model.injection, *tokens]

    def losses(self, model: WorldModel, batch: Batch, generator: torch.Generator) -> Losses:
        start = "noise" if torch.rand((), generator=generator) < self.noise_start_share else "mean"
        features, target = encode_batch(model, batch)
        with torch.no_grad():
            mean = model.regress(features, batch.times_s)
        count, times = batch.times_s.shape
        shared = torch.randn(count, 1, *mean.shape[2:], generator=generator).to(mean).expand_as(mean)
        since = (batch.times_s - batch.arrival_s[:, None]).flatten()
        scale = model.configuration.noise_scale
        x1 = start_point(mean.flatten(0, 1), shared.flatten(0, 1), since, start, scale).unflatten(0, (count, times))
        # Logit-normal, with a quarter at tau = 1 exactly, where few-step sampling spends most of its steps.
        tau = torch.sigmoid(torch.randn(count, 1, generator=generator))
        tau = torch.where(torch.rand(count, 1, generator=generator) < 0.25, torch.ones_like(tau), tau).to(mean)
        tau = tau.expand(count, times)
        wide = tau[..., None, None, None]
        x = (1 - wide) * target + wide * x1
        velocity = model.velocity(features, x, mean, tau, batch.times_s, start)
        weight = functional.avg_pool2d(batch.weight, 4)[:, :, None]
        error = ((velocity - (x1 - target)).square() * weight).sum() / (weight.sum() * velocity.shape[2])
        clean = x - wide * velocity
        return {"velocity": error} | {name: loss(clean, batch) for name, loss in self.extra_losses.items()}


def encode_batch(model: WorldModel, batch: Batch) -> tuple[SliceFeatures, Tensor]:
    """Features of the batch's slices and the latents of its truth (N, T, 4, h, w)."""
    features = model.encode_slices(batch.stack, batch.condition, batch.arrival_s)
    times = batch.times_s.shape[1]
    with torch.no_grad():
        anchor = Anchor(features.anchor_half, features.anchor_quarter).repeated(times)
        target = model.autoencoder.encode(batch.enhancement.flatten(0, 1)[:, None], anchor)
    return features, target.unflatten(0, (-1, times))
