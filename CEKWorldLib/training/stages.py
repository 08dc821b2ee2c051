"""The stages up to the mean: decoder, context, regression, both together. Each names what it trains and its loss.

A batch holds several sorted times of each slice, as losses over time need. The flow has a file of its own.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from CEKWorldLib.models.world import WorldModel
from CEKWorldLib.training.batches import UNKNOWN_TISSUE, Batch

Losses = dict[str, Tensor]
_LEAST_ENHANCEMENT = 0.2
_TISSUE_SHARE = 0.1


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


def relative_l1(prediction: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Weighted error over the error of predicting nothing, per slice, then the mean.

    A brain takes up a tenth of what a liver does; a plain mean would train the liver alone. The floor keeps a slice
    with next to no enhancement from outweighing all others.
    """
    error = ((prediction - truth).abs() * weight).flatten(1).mean(1)
    nothing = (truth.abs() * weight).flatten(1).mean(1)
    return (error / (nothing + _LEAST_ENHANCEMENT)).mean()


def tissue_loss(model: WorldModel, features: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of the tissue at each feature pixel, weighted as the enhancement is.

    Kinetics follow from tissue and protocol, and a label says without noise what the curves of a few protocols say
    only on average. Pixels without a label go without this term.
    """
    step = batch.labels.shape[-1] // features.shape[-1]
    labels = batch.labels[:, step // 2 :: step, step // 2 :: step]
    weight = functional.avg_pool2d(batch.weight.amax(1, keepdim=True), step)[:, 0]
    weight = weight * (labels != UNKNOWN_TISSUE)
    scores = model.tissue_head(features)
    error = functional.cross_entropy(scores, labels, reduction="none", ignore_index=UNKNOWN_TISSUE)
    return _TISSUE_SHARE * (error * weight).sum() / weight.sum().clamp(min=1.0)


class ContextStage:
    """Regress the mean latent at half its resolution from the context alone: cheap steps for most of the weights."""

    def trained(self, model: WorldModel) -> list[nn.Module]:
        encoder = model.image_encoder
        return [encoder.context, encoder.project, model.time_encoder, model.kinetic_head, model.tissue_head]

    def losses(self, model: WorldModel, batch: Batch, generator: torch.Generator) -> Losses:
        features = model.image_encoder.coarse(batch.stack)
        mean = model.regress(features, batch.condition, batch.arrival_s, batch.times_s)
        with torch.no_grad():
            truth = functional.avg_pool2d(encode_truth(model, batch).flatten(0, 1), 2).unflatten(0, mean.shape[:2])
            weight = functional.avg_pool2d(batch.weight, 8)[:, :, None]
        return {"latent": relative_l1(mean, truth, weight), "tissue": tissue_loss(model, features, batch)}


class RegressionStage:
    """Regress the mean latent at every time."""

    def trained(self, model: WorldModel) -> list[nn.Module]:
        return [model.image_encoder, model.time_encoder, model.kinetic_head, model.tissue_head]

    def losses(self, model: WorldModel, batch: Batch, generator: torch.Generator) -> Losses:
        finest = model.image_encoder(batch.stack)[0]
        mean = model.regress(finest, batch.condition, batch.arrival_s, batch.times_s)
        weight = functional.avg_pool2d(batch.weight, 4)[:, :, None]
        return {
            "latent": relative_l1(mean, encode_truth(model, batch), weight),
            "tissue": tissue_loss(model, finest, batch),
        }


class RefinementStage(RegressionStage):
    """Regression and decoder together, judged by the decoded image at one time of each slice."""

    def trained(self, model: WorldModel) -> list[nn.Module]:
        return [*super().trained(model), model.autoencoder]

    def losses(self, model: WorldModel, batch: Batch, generator: torch.Generator) -> Losses:
        features = model.encode_slices(batch.stack, batch.condition, batch.arrival_s)
        mean = model.regress(features.finest, batch.condition, batch.arrival_s, batch.times_s)
        weight = functional.avg_pool2d(batch.weight, 4)[:, :, None]
        picked = torch.randperm(batch.times_s.shape[1], generator=generator)[:1]
        decoded = model.decode(mean[:, picked], features)
        return {
            "latent": relative_l1(mean, encode_truth(model, batch), weight),
            "pixel": relative_l1(decoded, batch.enhancement[:, picked], batch.weight[:, picked]),
            "tissue": tissue_loss(model, features.finest, batch),
        }


def encode_truth(model: WorldModel, batch: Batch) -> Tensor:
    """The latents (N, T, 4, h, w) of a batch's truth."""
    latents = model.autoencoder.encode(batch.enhancement.flatten(0, 1)[:, None])
    return latents.unflatten(0, batch.times_s.shape)
