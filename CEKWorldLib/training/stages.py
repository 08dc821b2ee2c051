"""The stages up to the mean: decoder, context, regression, both together. Each names what it trains and its loss.

A batch holds several sorted times of each slice, as losses over time need. The flow has a file of its own.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from CEKWorldLib.models.autoencoder import DOWNSAMPLING
from CEKWorldLib.models.world import WorldModel
from CEKWorldLib.training.batches import Batch, cut
from CEKWorldLib.training.tissue_balance import TissueBalance

Losses = dict[str, Tensor]
_LEAST_ENHANCEMENT, _LEAST_SQUARE = 0.05, 0.005
_BALANCE = 3.0  # with 1, breast lesions rose from 0.25 to 0.28 in 200 steps, with 3 to 0.31
_LEAST_OF_TISSUE = 0.04  # a fifth of the exam's scale, squared: less is hardly contrast
_LEAST_LATENT_OF_TISSUE = 0.3  # the same in latents


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


def relative_square(prediction: Tensor, truth: Tensor) -> Tensor:
    """Squared error over that of predicting nothing, per slice, then the mean; it does not weigh pixels.

    The absolute error asks for the median: no enhancement at all in a lesion that enhances every third time, nor in a
    vessel that may lie in either of two pixels. The squared error asks for the mean, and minds the brightest.
    """
    error, nothing = (prediction - truth).square().flatten(1).mean(1), truth.square().flatten(1).mean(1)
    return (error / (nothing + _LEAST_SQUARE)).mean()


def tissue_terms(model: WorldModel, features: Tensor, batch: Batch, mean: Tensor, latents: Tensor) -> Losses:
    """What holds a tissue at a time: which it is, and its mean latents.

    Kinetics follow from tissue and protocol, and a label says without noise what the curves of a few protocols say
    only on average. Pixels without a label go without these terms.

    Args:
        features: (N, F, h, w).
        mean, latents: predicted and true, (N, T, 4, h, w).
    """
    balance = TissueBalance(batch.labels, features.shape[-1])
    return {
        "tissue": balance.cross_entropy(model.tissue_head(features)),
        "balance": _BALANCE * balance.square(mean, latents, _LEAST_LATENT_OF_TISSUE),
    }


class ContextStage:
    """Regress the mean latent at half its resolution from the context alone: cheap steps for most of the weights."""

    def trained(self, model: WorldModel) -> list[nn.Module]:
        encoder = model.image_encoder
        return [
            encoder.stem,
            encoder.context,
            encoder.project,
            model.time_encoder,
            model.kinetic_head,
            model.tissue_head,
        ]

    def losses(self, model: WorldModel, batch: Batch, generator: torch.Generator) -> Losses:
        encoder = model.image_encoder
        features = encoder.coarse(batch.stack, encoder.stem(batch.stack))
        mean = model.regress(features, batch.condition, batch.arrival_s, batch.times_s)
        latents, weight = _latents(model, batch, batch.weight, 2)
        return {
            "latent": relative_l1(mean, latents, weight),
            **tissue_terms(model, features, batch, mean, latents),
        }


class RegressionStage:
    """Regress the mean latent at every time."""

    def trained(self, model: WorldModel) -> list[nn.Module]:
        return [model.image_encoder, model.time_encoder, model.kinetic_head, model.tissue_head]

    def losses(self, model: WorldModel, batch: Batch, generator: torch.Generator) -> Losses:
        finest = model.image_encoder(batch.stack)[0]
        mean = model.regress(finest, batch.condition, batch.arrival_s, batch.times_s)
        latents, weight = _latents(model, batch, batch.weight, 1)
        return {
            "latent": relative_l1(mean, latents, weight),
            **tissue_terms(model, finest, batch, mean, latents),
        }


class RefinementStage:
    """Everything up to the decoded image, together: the context on whole slices, what is finer on a window of each.

    A window costs a quarter of its slice and lies half of the time where the slice enhances, so vessels and small
    lesions, a hundredth of a brain's pixels, are met in most steps.
    """

    window, margin = 32, 2  # on the latent grid; convolutions at the rim of a window miss what lies beyond it

    def trained(self, model: WorldModel) -> list[nn.Module]:
        return [model.image_encoder, model.time_encoder, model.kinetic_head, model.tissue_head, model.autoencoder]

    def losses(self, model: WorldModel, batch: Batch, generator: torch.Generator) -> Losses:
        encoder, exam = model.image_encoder, (batch.condition, batch.arrival_s)
        small = encoder.stem(batch.stack)
        coarse = encoder.coarse(batch.stack, small)
        raised = encoder.raised(coarse)
        side = min(self.window, *raised.shape[-2:])
        corners = draw_corners(batch, side, generator)
        part = batch.cut(DOWNSAMPLING * corners, DOWNSAMPLING * side)
        finest = encoder.fine(part.stack, cut(small, corners, side), cut(raised, corners, side))
        mean = model.regress(finest, *exam, batch.times_s)
        picked = torch.randperm(batch.times_s.shape[1], generator=generator)[:1]
        truth, anchor = part.enhancement[:, picked], model.autoencoder.anchor(part.stack)
        decoded = model.autoencoder.decode(mean[:, picked[0]], anchor)
        inside = _inside(part.weight, DOWNSAMPLING * self.margin)
        weight = part.weight * inside
        overview = model.regress(coarse, *exam, batch.times_s)
        pooled, pooled_weight = _latents(model, batch, batch.weight, 2)
        latents, latent_weight = _latents(model, part, weight, 1)
        of_slice = tissue_terms(model, coarse, batch, overview, pooled)
        of_window = tissue_terms(model, finest, part, mean, latents)
        pixels = TissueBalance(part.labels, decoded.shape[-1])
        return {
            "context": relative_l1(overview, pooled, pooled_weight),
            "latent": relative_l1(mean, latents, latent_weight),
            "square": relative_square(overview, pooled) + relative_square(mean, latents),
            "pixel": relative_l1(decoded, truth, weight[:, picked]),
            "edge": relative_l1(_slopes(decoded), _slopes(truth), inside[..., 1:, 1:]),
            "tissue": of_slice["tissue"] + of_window["tissue"],
            "balance": of_slice["balance"]
            + of_window["balance"]
            + _BALANCE * pixels.square(decoded[:, :, None], truth[:, :, None], _LEAST_OF_TISSUE),
        }


def draw_corners(batch: Batch, side: int, generator: torch.Generator) -> Tensor:
    """Where a window of the latent grid begins in each slice, (N, 2); every second window is drawn around contrast."""
    interest = functional.avg_pool2d(batch.weight.amax(1, keepdim=True) - 1.0, DOWNSAMPLING)[:, 0].cpu()
    height, width = interest.shape[-2:]
    pixel = torch.multinomial(interest.flatten(1) + 1e-6, 1, generator=generator)
    centre = torch.cat([pixel // width, pixel % width], 1)
    room = torch.tensor([height - side, width - side]).clamp(min=0)
    anywhere = (torch.rand(len(interest), 2, generator=generator) * (room + 1)).long()
    around = torch.minimum((centre - torch.randint(side, centre.shape, generator=generator)).clamp(min=0), room)
    return torch.where(torch.rand(len(interest), 1, generator=generator) < 0.5, around, anywhere)


def _latents(model: WorldModel, batch: Batch, weight: Tensor, pooling: int) -> tuple[Tensor, Tensor]:
    """A batch's true latents (N, T, 4, h, w), pooled, and the weight of their pixels (N, T, 1, h, w)."""
    latents = encode_truth(model, batch)
    pooled = functional.avg_pool2d(latents.flatten(0, 1), pooling).unflatten(0, latents.shape[:2])
    return pooled, functional.avg_pool2d(weight, DOWNSAMPLING * pooling)[:, :, None]


def _inside(images: Tensor, margin: int) -> Tensor:
    """1 within images (N, T, H, W) and 0 at their rim, for one time."""
    inside = torch.zeros_like(images[:, :1])
    inside[..., margin:-margin, margin:-margin] = 1.0
    return inside


def _slopes(images: Tensor) -> Tensor:
    """Differences (N, 2, H - 1, W - 1) along rows and columns: jagged edges and false ones cost, blur costs twice."""
    here = images[..., 1:, 1:]
    return torch.cat([here - images[..., :-1, 1:], here - images[..., 1:, :-1]], 1)


def encode_truth(model: WorldModel, batch: Batch) -> Tensor:
    """The latents (N, T, 4, h, w) of a batch's truth."""
    latents = model.autoencoder.encode(batch.enhancement.flatten(0, 1)[:, None])
    return latents.unflatten(0, batch.times_s.shape)
