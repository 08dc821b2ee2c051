"""The compact world model: image encoder, time encoder, regression of the mean, U-Net, anchored autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from CEKWorldLib.models.autoencoder import DOWNSAMPLING, LATENT_CHANNELS, Anchor, AnchoredAutoencoder
from CEKWorldLib.models.condition import Condition, condition_vector
from CEKWorldLib.models.configuration import Configuration
from CEKWorldLib.models.image_encoder import ImageEncoder, ZeroInjection
from CEKWorldLib.models.kinetic_head import KineticHead
from CEKWorldLib.models.sampler import Start, integrate, start_point
from CEKWorldLib.models.time_encoder import ContinuousTimeEncoder, TextTimeEncoder

TISSUES = 101
"""Codes the tissue head tells apart: ``simulation.labels.Label``, all lesions as one."""
_TOKEN_WIDTH = 128


@dataclass(frozen=True)
class SliceFeatures:
    """All that depends on the slices and the exam but not on time; computed once per slice.

    Attributes:
        anchor_half, anchor_quarter: the decoder's view of the pre-contrast slice.
        rest: what the decoder makes of a zero latent, (N, 1, H, W).
        finest: image features at the latent grid, (N, F, h, w).
        injected: residuals for each U-Net level.
        condition: (N, CONDITION_SIZE).
        arrival_s: (N,) bolus arrival.
    """

    anchor_half: Tensor
    anchor_quarter: Tensor
    rest: Tensor
    finest: Tensor
    injected: tuple[Tensor, ...]
    condition: Tensor
    arrival_s: Tensor

    def __len__(self) -> int:
        return len(self.arrival_s)

    def _tensors(self) -> tuple[Tensor, ...]:
        own = (self.anchor_half, self.anchor_quarter, self.rest, self.finest, self.condition, self.arrival_s)
        return (*own, *self.injected)

    @staticmethod
    def _from(tensors: Sequence[Tensor]) -> SliceFeatures:
        half, quarter, rest, finest, condition, arrival, *injected = tensors
        return SliceFeatures(half, quarter, rest, finest, tuple(injected), condition, arrival)

    @property
    def nbytes(self) -> int:
        return sum(t.nbytes for t in self._tensors())

    def select(self, indices: Sequence[int] | slice) -> SliceFeatures:
        return self._from([t[indices] for t in self._tensors()])

    @staticmethod
    def concatenate(parts: Sequence[SliceFeatures]) -> SliceFeatures:
        return SliceFeatures._from([torch.cat(ts) for ts in zip(*(p._tensors() for p in parts), strict=True)])


class WorldModel(nn.Module):
    """Synthesizes the enhancement of a pre-contrast slice at any time after injection.

    All images are in units of the exam's intensity scale, one scale for every time. N counts slices, T times.
    """

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        self.configuration = configuration
        self.name = configuration.name
        self.sha256 = ""
        self.time_range_s = configuration.time_range_s
        self.sample_steps = max(configuration.steps, 1)
        widths, encoder_widths = configuration.unet_widths, configuration.encoder_widths
        self.autoencoder = AnchoredAutoencoder(configuration.autoencoder_widths)
        self.image_encoder = ImageEncoder(encoder_widths, configuration.encoder_blocks)
        self.time_encoder = time_encoder(configuration)
        self.kinetic_head = KineticHead(encoder_widths[0], configuration.embedding, LATENT_CHANNELS)
        self.tissue_head = nn.Conv2d(encoder_widths[0], TISSUES, 1)
        self.injection = ZeroInjection(encoder_widths, injection_targets(widths))
        self.unet = UNet2DConditionModel(
            in_channels=2 * LATENT_CHANNELS,
            out_channels=LATENT_CHANNELS,
            block_out_channels=widths,
            layers_per_block=1,
            down_block_types=("DownBlock2D",) * len(widths),
            up_block_types=("UpBlock2D",) * len(widths),
            cross_attention_dim=_TOKEN_WIDTH,
            attention_head_dim=4,
            norm_num_groups=8,
            resnet_time_scale_shift="scale_shift",
            class_embed_type="projection",
            projection_class_embeddings_input_dim=configuration.embedding + 1,
        )

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Shape of one latent of an image whose sides are multiples of 32."""
        return LATENT_CHANNELS, height // DOWNSAMPLING, width // DOWNSAMPLING

    def encode(self, stack: Tensor, condition: Condition) -> SliceFeatures:
        """Everything about the slices, once.

        Args:
            stack: pre-contrast slices with their two neighbours, (N, 3, H, W); sides are multiples of 32.
            condition: one for the exam.
        """
        vector = condition_vector(condition).to(stack).expand(len(stack), -1)
        arrival = torch.full((len(stack),), condition.injection.arrival_s, device=stack.device)
        return self.encode_slices(stack, vector, arrival)

    def encode_slices(self, stack: Tensor, condition: Tensor, arrival_s: Tensor) -> SliceFeatures:
        """As ``encode``, with a condition vector and an arrival per slice."""
        anchor = self.autoencoder.anchor(stack)
        pyramid = self.image_encoder(stack)
        zero = torch.zeros(len(stack), *self.latent_shape(*stack.shape[-2:]), device=stack.device, dtype=stack.dtype)
        return SliceFeatures(
            anchor_half=anchor.half,
            anchor_quarter=anchor.quarter,
            rest=self.autoencoder.render(zero, anchor),
            finest=pyramid[0],
            injected=tuple(self.injection(pyramid)),
            condition=condition,
            arrival_s=arrival_s,
        )

    def regress(self, finest: Tensor, condition: Tensor, arrival_s: Tensor, times_s: Tensor) -> Tensor:
        """The mean latents (N, T, 4, h, w) at times (N, T) in seconds after injection start."""
        embeddings, _ = self._embed(condition, arrival_s, torch.cat([arrival_s[:, None], times_s], 1))
        return self.kinetic_head(finest, embeddings[:, 1:], embeddings[:, 0])

    def velocity(
        self,
        injected: tuple[Tensor, ...],
        condition: Tensor,
        arrival_s: Tensor,
        x: Tensor,
        mean: Tensor,
        tau: Tensor,
        times_s: Tensor,
        start: Start,
    ) -> Tensor:
        """The U-Net's velocity at x_tau; x and mean are (N, T, 4, h, w), tau and times (N, T), the rest as features."""
        count, times = times_s.shape
        embedding, tokens = self._embed(condition, arrival_s, times_s)
        flag = torch.full_like(times_s, 1.0 if start == "mean" else -1.0)[..., None]
        hint = mean if start == "mean" else torch.zeros_like(mean)
        *residuals, middle = (r.repeat_interleave(times, 0) for r in injected)
        velocity = self.unet(
            torch.cat([x, hint], 2).flatten(0, 1),
            1000.0 * tau.flatten(),
            encoder_hidden_states=tokens.flatten(0, 1),
            class_labels=torch.cat([embedding, flag], -1).flatten(0, 1),
            down_block_additional_residuals=residuals,
            mid_block_additional_residual=middle,
            return_dict=False,
        )[0]
        return velocity.unflatten(0, (count, times))

    def sample(
        self, features: SliceFeatures, times_s: Tensor, noise: Tensor, steps: int | None = None, start: Start = "mean"
    ) -> Tensor:
        """Latents (N, T, 4, h, w) at times (T,), exactly zero up to arrival.

        Args:
            noise: (N, 4, h, w), one field per slice, shared by all its times.
            steps: Euler steps; 0 returns the regression mean. None takes the model's default.
            start: begin at the mean, or at pure noise as the published diffusion does.
        """
        steps = self.configuration.steps if steps is None else steps
        count, times = len(features), len(times_s)
        every = times_s.to(features.arrival_s).expand(count, times)
        mean = self.regress(features.finest, features.condition, features.arrival_s, every)
        if steps == 0 and start == "mean":
            return mean
        shared = noise[:, None].expand_as(mean).flatten(0, 1)
        x1 = start_point(mean.flatten(0, 1), shared, start, self.configuration.noise_scale)

        def velocity(x: Tensor, tau: float) -> Tensor:
            x = x.unflatten(0, (count, times))
            where = (features.injected, features.condition, features.arrival_s)
            return self.velocity(*where, x, mean, torch.full_like(every, tau), every, start).flatten(0, 1)

        latents = integrate(velocity, x1, max(steps, 1)).unflatten(0, (count, times))
        return latents * (every > features.arrival_s[:, None])[..., None, None, None]

    def decode(self, latents: Tensor, features: SliceFeatures) -> Tensor:
        """Enhancement (N, T, H, W) of latents (N, T, 4, h, w), in units of the intensity scale."""
        count, times = latents.shape[:2]
        anchor = Anchor(features.anchor_half, features.anchor_quarter).repeated(times)
        rest = features.rest.repeat_interleave(times, 0)
        return self.autoencoder.decode(latents.flatten(0, 1), anchor, rest).unflatten(0, (count, times))[:, :, 0]

    def _embed(self, condition: Tensor, arrival_s: Tensor, times_s: Tensor) -> tuple[Tensor, Tensor]:
        count, times = times_s.shape
        since = (times_s - arrival_s[:, None]).clamp(min=0.0)
        every = condition[:, None].expand(-1, times, -1)
        vector, tokens = self.time_encoder(since.flatten(), every.flatten(0, 1))
        return vector.unflatten(0, (count, times)), tokens.unflatten(0, (count, times))


def channels_last(model: WorldModel) -> WorldModel:
    """The model with its convolution weights laid out channels last, which both CPUs and GPUs compute faster."""
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return model


def time_encoder(configuration: Configuration) -> ContinuousTimeEncoder | TextTimeEncoder:
    """The configured time encoder."""
    if configuration.time_encoder == "text":
        return TextTimeEncoder(configuration.embedding, _TOKEN_WIDTH)
    return ContinuousTimeEncoder(configuration.embedding, token_width=_TOKEN_WIDTH)


def injection_targets(widths: tuple[int, ...]) -> list[tuple[int, int]]:
    """(level, channels) of each residual a diffusers U-Net with one layer per block adds, and of its middle."""
    targets = [(0, widths[0])]
    for level, width in enumerate(widths):
        targets.append((level, width))
        if level < len(widths) - 1:
            targets.append((level + 1, width))
    return [*targets, (len(widths) - 1, widths[-1])]
