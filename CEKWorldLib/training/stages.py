"""The stages: decoder, regression of the mean, both together, flow. Each names what it trains and gives a loss.

Losses over the times of a slice (Latent Alignment, Latent Difference) add to the regression and flow stages through
``extra_losses``; a batch holds several sorted times of each slice for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from CEKWorldLib.models.sampler import Start, start_point
from CEKWorldLib.models.world import WorldModel
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


class DecoderStage:
    """Decode the enhancement from its latent, also from one that is blurred, as a regressed latent will be."""

    blurred_share = 0.5

    def trained(self, model: WorldModel) -> list[nn.Module]:
        return [model.autoencoder]

    def losses(self, model: WorldModel, batch: Batch, generator: torch.Generator) -> Losses:
        autoencoder = model.autoencoder
        times = batch.times_s.shape[1]
        once = autoencoder.anchor(batch.stack)
        truth = batch.enhancement.flatten(0, 1)[:, None]
        latent = autoencoder.encode(truth)
        blurred = functional.avg_pool2d(functional.pad(latent, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        share = torch.rand(len(latent), 1, 1, 1, generator=generator).to(latent)
        share = torch.where(share < self.blurred_share, share / self.blurred_share, torch.zeros_like(share))
        latent = latent.lerp(blurred, share)
        rest = autoencoder.render(torch.zeros_like(latent[: len(once.half)]), once).repeat_interleave(times, 0)
        decoded = autoencoder.render(latent, once.repeated(times)) - rest
        return {"reconstruction": weighted_l1(decoded, truth, batch.weight.flatten(0, 1)[:, None])}


class RegressionStage:
    """Regress the mean latent at every time."""

    def __init__(self, extra_losses: Mapping[str, ExtraLoss] | None = None) -> None:
        self.extra_losses = dict(extra_losses or {})

    def trained(self, model: WorldModel) -> list[nn.Module]:
        return [model.image_encoder, model.time_encoder, model.kinetic_head]

    def losses(self, model: WorldModel, batch: Batch, generator: torch.Generator) -> Losses:
        finest = model.image_encoder(batch.stack)[0]
        mean = model.regress(finest, batch.condition, batch.arrival_s, batch.times_s)
        weight = functional.avg_pool2d(batch.weight, 4)[:, :, None].expand_as(mean)
        terms = {"latent": weighted_l1(mean, encode_truth(model, batch), weight)}
        return terms | {name: loss(mean, batch) for name, loss in self.extra_losses.items()}


class RefinementStage(RegressionStage):
    """Regression and decoder together, judged by the decoded image at one time of each slice."""

    def trained(self, model: WorldModel) -> list[nn.Module]:
        return [*super().trained(model), model.autoencoder]

    def losses(self, model: WorldModel, batch: Batch, generator: torch.Generator) -> Losses:
        features = model.encode_slices(batch.stack, batch.condition, batch.arrival_s)
        mean = model.regress(features.finest, batch.condition, batch.arrival_s, batch.times_s)
        weight = functional.avg_pool2d(batch.weight, 4)[:, :, None].expand_as(mean)
        picked = torch.randperm(batch.times_s.shape[1], generator=generator)[:1]
        decoded = model.decode(mean[:, picked], features)
        terms = {
            "latent": 0.5 * weighted_l1(mean, encode_truth(model, batch), weight),
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
        start: Start = "noise" if torch.rand((), generator=generator) < self.noise_start_share else "mean"
        features = model.encode_slices(batch.stack, batch.condition, batch.arrival_s)
        target = encode_truth(model, batch)
        with torch.no_grad():
            mean = model.regress(features.finest, batch.condition, batch.arrival_s, batch.times_s)
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


def encode_truth(model: WorldModel, batch: Batch) -> Tensor:
    """The latents (N, T, 4, h, w) of a batch's truth."""
    latents = model.autoencoder.encode(batch.enhancement.flatten(0, 1)[:, None])
    return latents.unflatten(0, batch.times_s.shape)
