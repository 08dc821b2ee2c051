"""The published training: the noise in a latent of the post-contrast image, with LAL and LDL in the authors' reading.

For the published model (``models/paper.py``) alone; the compact one learns its flow in ``flow_stage``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.world import WorldModel
from CEKWorldLib.training.batches import Batch
from CEKWorldLib.training.consistency import Consistency
from CEKWorldLib.training.difference import virtual_times
from CEKWorldLib.training.stages import Losses

if TYPE_CHECKING:
    from CEKWorldLib.models.paper import PaperWorldModel


class DiffusionStage:
    """Predict the noise at a random step of the diffusion, for several times of the same slice.

    ControlNet and the decoding half of the U-Net learn; its encoding half, autoencoder and text encoder stay as they
    are in Stable Diffusion (``sd_locked = False`` in the authors' code).

    Args:
        consistency: LAL and LDL; none by default.

    Raises:
        CEKWorldError: LDL on clean latents, which wants one noise for all times of a slice; here each has its own.
    """

    def __init__(self, consistency: Consistency | None = None) -> None:
        self.consistency = consistency or Consistency()
        if self.consistency.difference and self.consistency.mode != "official":
            raise CEKWorldError('A diffusion stage takes LDL as the authors compute it; give mode = "official".')

    def trained(self, model: WorldModel) -> list[nn.Module]:
        paper = _published(model)
        return [paper.controlnet, paper.unet.up_blocks, paper.unet.conv_norm_out, paper.unet.conv_out]

    def losses(self, model: WorldModel, batch: Batch, generator: torch.Generator) -> Losses:
        paper = _published(model)
        hint = paper.encode_slices(batch.stack, batch.condition, batch.arrival_s).hint
        post = hint[:, :1] + batch.enhancement
        latents = paper.to_latents(post.flatten(0, 1)[:, None]).unflatten(0, batch.times_s.shape)
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        steps = self._draw_steps(paper, latents, generator)
        kept = paper.scheduler.alphas_cumprod.to(latents)[steps][..., None, None, None]
        noisy = kept.sqrt() * latents + (1 - kept).sqrt() * noise
        predicted = _predict(paper, noisy, steps, batch.times_s, hint)
        clean = (noisy - (1 - kept).sqrt() * predicted) / kept.sqrt()
        terms = {"noise": functional.mse_loss(predicted, noise)} | self.consistency.align(clean, latents)
        if self.consistency.difference and torch.rand((), generator=generator) < self.consistency.difference_share:
            terms |= self._difference(paper, batch, hint, predicted, clean, generator)
        return terms

    def _difference(
        self,
        paper: PaperWorldModel,
        batch: Batch,
        hint: Tensor,
        predicted: Tensor,
        clean: Tensor,
        generator: torch.Generator,
    ) -> Losses:
        """LDL over the dense sequence of the first slices; the input at its virtual times is noise at random steps."""
        count = min(self.consistency.dense_slices, len(hint))
        times_s = batch.times_s[:count]
        virtual_s = virtual_times(times_s, generator, self.consistency.points)
        noise = torch.randn(*virtual_s.shape, *predicted.shape[2:], generator=generator).to(predicted)
        steps = self._draw_steps(paper, noise, generator)
        virtual = _predict(paper, noise, steps, virtual_s, hint[:count])
        dense_s, order = torch.cat([times_s, virtual_s], 1).sort(1)
        rows = torch.arange(count, device=order.device)[:, None]
        output = torch.cat([predicted[:count], virtual], 1)[rows, order]
        return self.consistency.smooth(output, clean[:count], dense_s, batch.arrival_s[:count])

    def _draw_steps(self, paper: PaperWorldModel, latents: Tensor, generator: torch.Generator) -> Tensor:
        """A step of the diffusion (N, T) for each of latents (N, T, 4, h, w)."""
        count = paper.scheduler.config.num_train_timesteps
        return torch.randint(count, latents.shape[:2], generator=generator).to(latents.device)


def _predict(paper: PaperWorldModel, noisy: Tensor, steps: Tensor, times_s: Tensor, hint: Tensor) -> Tensor:
    """The noise in latents (N, T, 4, h, w) at steps and times (N, T), given the slices' hints (N, 3, H, W)."""
    text = paper.time_text(times_s.flatten())
    hints = hint.repeat_interleave(times_s.shape[1], 0)
    return paper.predict_noise(noisy.flatten(0, 1), steps.flatten(), text, hints).unflatten(0, times_s.shape)


def _published(model: WorldModel) -> PaperWorldModel:
    return cast("PaperWorldModel", model)
