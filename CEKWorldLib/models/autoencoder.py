"""The anchored autoencoder: latents hold the enhancement alone, anatomy comes from the pre-contrast slice.

The latent is the enhancement itself at half resolution, folded into four channels at a quarter: linear, so that it can
be regressed, averaged and interpolated in time without leaving what the decoder knows. (A learned encoder of the same
size was tried first; after the same training its codes were regressed with 1.5 to 3 times the error.) The decoder is
learned: it sees the pre-contrast slice and puts the enhancement where the anatomy's edges are. A zero latent decodes to
exactly zero enhancement, by subtraction of what the decoder makes of zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from torch.nn import functional

LATENT_CHANNELS = 4
DOWNSAMPLING = 4
NEIGHBOURS = 3


class Block(nn.Module):
    """diffusers' residual block without a time embedding."""

    def __init__(self, channels: int, out_channels: int | None = None) -> None:
        super().__init__()
        self.block = ResnetBlock2D(
            in_channels=channels, out_channels=out_channels or channels, temb_channels=None, groups=8, eps=1e-5
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x, None)


@dataclass(frozen=True)
class Anchor:
    """Features of the pre-contrast slice for the decoder, at half and at a quarter of the resolution."""

    half: Tensor
    quarter: Tensor

    def repeated(self, times: int) -> Anchor:
        """Each slice's features ``times`` times in a row, to decode several time points of it."""
        return Anchor(self.half.repeat_interleave(times, 0), self.quarter.repeat_interleave(times, 0))


class AnchoredAutoencoder(nn.Module):
    """Encodes an enhancement image (1, H, W) to a latent (4, H/4, W/4), and decodes it given the pre-contrast slice.

    Full resolution is carried in channels by pixel (un)shuffling: convolutions at 256x256 with few channels would
    take most of the time on a CPU.

    Args:
        widths: channels at half and at a quarter of the resolution.
    """

    def __init__(self, widths: tuple[int, int] = (24, 48)) -> None:
        super().__init__()
        half, quarter = widths
        self.unshuffle, self.shuffle = nn.PixelUnshuffle(2), nn.PixelShuffle(2)
        self.anchor_half = nn.Sequential(nn.Conv2d(4 * NEIGHBOURS, half, 3, padding=1), Block(half))
        self.anchor_quarter = nn.Sequential(Downsample2D(half, True, quarter), Block(quarter))
        self.from_latent = nn.Conv2d(LATENT_CHANNELS, quarter, 3, padding=1)
        self.mix_quarter = nn.Conv2d(2 * quarter, quarter, 1)
        self.decode_quarter = Block(quarter)
        self.up = Upsample2D(quarter, use_conv=True, out_channels=half)
        self.mix_half = nn.Conv2d(2 * half + 1, half, 1)
        self.decode_half = nn.Sequential(Block(half), nn.SiLU(), nn.Conv2d(half, 4, 3, padding=1, bias=False))
        self.latent_std: Tensor
        self.register_buffer("latent_std", torch.ones(LATENT_CHANNELS))

    def anchor(self, stack: Tensor) -> Anchor:
        """Features of the pre-contrast stack (N, 3, H, W): once per slice."""
        half = self.anchor_half(self.unshuffle(stack))
        return Anchor(half, self.anchor_quarter(half))

    def encode(self, enhancement: Tensor) -> Tensor:
        """The latent of an enhancement image (N, 1, H, W), with unit standard deviation per channel over training."""
        return self.unshuffle(functional.avg_pool2d(enhancement, 2)) / self.latent_std[:, None, None]

    def decode(self, latent: Tensor, anchor: Anchor, rest: Tensor | None = None) -> Tensor:
        """The enhancement image (N, 1, H, W) of a standardised latent.

        Args:
            rest: ``render`` of the zero latent for these anchors, when the caller keeps it; it depends on the slice
                alone.
        """
        if rest is None:
            rest = self.render(torch.zeros_like(latent), anchor)
        return self.render(latent, anchor) - rest

    def render(self, latent: Tensor, anchor: Anchor) -> Tensor:
        """The decoder's raw output, detail on top of the latent's own image; only differences of it mean anything."""
        coarse = self.shuffle(latent * self.latent_std[:, None, None])
        quarter = self.mix_quarter(torch.cat([self.from_latent(latent), anchor.quarter], 1))
        half = self.mix_half(torch.cat([self.up(self.decode_quarter(quarter)), anchor.half, coarse], 1))
        return self.shuffle(self.decode_half(half) + coarse)
