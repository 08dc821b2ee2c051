"""The flow stage: the diffusion part of the world model, with spatiotemporal consistency learning where asked for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.sampler import Start, start_point
from CEKWorldLib.models.world import WorldModel
from CEKWorldLib.training.batches import Batch
from CEKWorldLib.training.consistency import Consistency
from CEKWorldLib.training.difference import interpolated, virtual_times
from CEKWorldLib.training.stages import Losses, encode_truth

Window = tuple[slice, slice]


@dataclass(frozen=True)
class Exams:
    """Slices of a batch, cut to a window of the latent grid, without gradient.

    Attributes:
        pyramid: image features per level.
        injected: residuals for the U-Net, with gradient.
        condition, arrival_s: (N, CONDITION_SIZE), (N,).
        noise: (N, 1, 4, h, w), one field per slice for all its times.
    """

    pyramid: list[Tensor]
    injected: tuple[Tensor, ...]
    condition: Tensor
    arrival_s: Tensor
    noise: Tensor

    def first(self, count: int) -> Exams:
        return Exams(
            [level[:count] for level in self.pyramid],
            tuple(r[:count] for r in self.injected),
            self.condition[:count],
            self.arrival_s[:count],
            self.noise[:count],
        )


class FlowStage:
    """Learn the velocity from the start point to the latent; one in four batches starts from pure noise.

    The U-Net is convolutional and sees the whole slice through the injected features, so it is trained on windows of
    the latent grid, which cost a quarter.

    Args:
        consistency: LAL and LDL; none by default.
        noise_start_share: share of batches that start from noise; 1 trains the published diffusion alone.
        weighted: whether pixels weigh as in the other stages. A weight that follows the truth makes samples too bright:
            what minimises the error is then the mean of the outcomes by weight (docs/ablation.md has figures).
    """

    window = 32

    def __init__(
        self, consistency: Consistency | None = None, noise_start_share: float = 0.25, weighted: bool = False
    ) -> None:
        if not 0 <= noise_start_share <= 1:
            raise CEKWorldError(f"noise_start_share = {noise_start_share} is no share; give a number from 0 to 1.")
        self.consistency = consistency or Consistency()
        self.noise_start_share = noise_start_share
        self.weighted = weighted

    def trained(self, model: WorldModel) -> list[nn.Module]:
        tokens = [model.time_encoder.to_tokens] if hasattr(model.time_encoder, "to_tokens") else []
        return [model.unet, model.injection, *tokens]

    def losses(self, model: WorldModel, batch: Batch, generator: torch.Generator) -> Losses:
        start: Start = "noise" if torch.rand((), generator=generator) < self.noise_start_share else "mean"
        with torch.no_grad():
            pyramid = model.image_encoder(batch.stack)
            target = encode_truth(model, batch)
            weight = functional.avg_pool2d(batch.weight if self.weighted else torch.ones_like(batch.weight), 4)
        noise = torch.randn(len(target), 1, *target.shape[2:], generator=generator).to(target)
        window = self._window(target, len(pyramid), generator)
        pyramid = [_cut(level, window, 2**n) for n, level in enumerate(pyramid)]
        target, weight, noise = (_cut(x, window) for x in (target, weight[:, :, None], noise))
        exams = Exams(pyramid, tuple(model.injection(pyramid)), batch.condition, batch.arrival_s, noise)
        tau = _draw_tau(len(target), generator).to(target).expand(target.shape[:2])
        velocity, clean, truth = _flow(model, exams, target, batch.times_s, tau, start)
        error = ((velocity - truth).square() * weight).sum() / (weight.sum() * velocity.shape[2])
        terms = {"velocity": error} | self.consistency.align(clean, target)
        if self.consistency.difference and torch.rand((), generator=generator) < self.consistency.difference_share:
            terms |= self._difference(model, exams, target, batch.times_s, tau, start, (velocity, clean), generator)
        return terms

    def _difference(
        self,
        model: WorldModel,
        exams: Exams,
        target: Tensor,
        times_s: Tensor,
        tau: Tensor,
        start: Start,
        acquired: tuple[Tensor, Tensor],
        generator: torch.Generator,
    ) -> Losses:
        """LDL over the dense sequence of the first slices; of its times only the virtual ones are computed.

        The acquired ones are those of the batch, as in the authors' code. Ours keeps their noise and diffusion time for
        the virtual ones; the authors' virtual frames are noise at diffusion times of their own.

        Args:
            acquired: velocity and clean latents of the batch at ``times_s``, both (N, T, 4, h, w).
        """
        count = min(self.consistency.dense_slices, len(target))
        exams, target, times_s, tau = exams.first(count), target[:count], times_s[:count], tau[:count]
        virtual_s = virtual_times(times_s, generator, self.consistency.points)
        tau = tau[:, :1].expand(virtual_s.shape)
        if self.consistency.mode == "official":
            latents = torch.randn(*virtual_s.shape, *target.shape[2:], generator=generator).to(target)
            tau = torch.rand(virtual_s.shape, generator=generator).to(tau)
        else:
            latents = interpolated(target, times_s, virtual_s)
        virtual = _flow(model, exams, latents, virtual_s, tau, start)[:2]
        dense_s, order = torch.cat([times_s, virtual_s], 1).sort(1)
        rows = torch.arange(count, device=order.device)[:, None]
        velocity, clean = (torch.cat([a[:count], v], 1)[rows, order] for a, v in zip(acquired, virtual, strict=True))
        return self.consistency.smooth(velocity, clean, dense_s, exams.arrival_s)

    def _window(self, latents: Tensor, levels: int, generator: torch.Generator) -> Window:
        step = 2 ** (levels - 1)  # the coarsest level is cut at whole pixels
        sides = []
        for side in latents.shape[-2:]:
            room = max(side - self.window, 0) // step
            corner = step * int(torch.randint(room + 1, (), generator=generator))
            sides.append(slice(corner, corner + min(self.window, side)))
        return sides[0], sides[1]


def _flow(
    model: WorldModel, exams: Exams, latents: Tensor, times_s: Tensor, tau: Tensor, start: Start
) -> tuple[Tensor, Tensor, Tensor]:
    """Predicted velocity, the clean latents that follow, and the true velocity, at tau on the way to ``latents``."""
    with torch.no_grad():
        mean = model.regress(exams.pyramid[0], exams.condition, exams.arrival_s, times_s)
        flat = exams.noise.expand_as(mean).flatten(0, 1)
        x1 = start_point(mean.flatten(0, 1), flat, start, model.configuration.noise_scale).view_as(mean)
        wide = tau[..., None, None, None]
        x = (1 - wide) * latents + wide * x1
    exam = (exams.injected, exams.condition, exams.arrival_s)
    velocity = model.velocity(*exam, x, mean, tau, times_s, start)
    return velocity, x - wide * velocity, x1 - latents


def _draw_tau(count: int, generator: torch.Generator) -> Tensor:
    """(count, 1): logit-normal, a quarter at tau = 1 exactly, where few-step sampling spends most of its steps."""
    tau = torch.sigmoid(torch.randn(count, 1, generator=generator))
    return torch.where(torch.rand(count, 1, generator=generator) < 0.25, torch.ones_like(tau), tau)


def _cut(x: Tensor, window: Window, factor: int = 1) -> Tensor:
    """A window of the latent grid out of maps at ``1 / factor`` of its resolution."""
    rows, columns = (slice(s.start // factor, s.stop // factor) for s in window)
    return x[..., rows, columns]
