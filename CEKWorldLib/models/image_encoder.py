"""The image encoder: what the pre-contrast slice says about where contrast will go, computed once per slice.

The published ControlNet copies the U-Net and sees the noisy latent and the diffusion time, so it runs at every step.
This encoder sees the pre-contrast stack alone, at three scales. The stem finds what is small, on the pixels
themselves. The context half is a U-Net from an eighth of the resolution down: it knows the organ around each pixel,
holds most of the weights, and is trained first, at a quarter of the cost of the latent grid. The fine half puts what
both found onto the latent grid, starting from zero.
"""

from __future__ import annotations

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.downsampling import Downsample2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from CEKWorldLib.models.autoencoder import DOWNSAMPLING, NEIGHBOURS, Block


class Stem(nn.Module):
    """Small structures, by convolutions from half the resolution down to the latent grid.

    Pixels folded into channels are all there, but a vessel two pixels wide looks different at each of the sixteen
    places it may have in a block of four by four; a convolution learns it once for all places.

    Args:
        widths: channels at half and at a quarter of the resolution.
        blocks: residual blocks at a quarter of it.
    """

    def __init__(self, widths: tuple[int, int], blocks: int) -> None:
        super().__init__()
        half, quarter = widths
        self.unshuffle = nn.PixelUnshuffle(2)
        self.enter = nn.Sequential(nn.Conv2d(4 * NEIGHBOURS, half, 3, padding=1), nn.SiLU())
        self.sink = nn.Sequential(Downsample2D(half, True, quarter), *(Block(quarter) for _ in range(blocks)))

    def forward(self, stack: Tensor) -> Tensor:
        """Args: pre-contrast stack (N, 3, H, W). Returns: features (N, quarter, H/4, W/4)."""
        return self.sink(self.enter(self.unshuffle(stack)))


class ContextEncoder(nn.Module):
    """A U-shaped network from the pre-contrast stack to features at half the latent grid's resolution and below.

    Pixels enter folded into channels, so nothing the slice shows is lost on the way to the coarse grid.

    Args:
        widths: channels at 1/8 resolution and each halving, finest first.
        blocks: residual blocks per level and direction.
        stem: channels of the stem.
    """

    def __init__(self, widths: tuple[int, ...], blocks: int, stem: int) -> None:
        super().__init__()
        fold = 2 * DOWNSAMPLING
        self.unshuffle = nn.PixelUnshuffle(fold)
        self.conv_in = nn.Conv2d(NEIGHBOURS * fold**2 + 2, widths[0], 1)
        self.from_stem = zeroed(nn.Conv2d(stem, widths[0], 3, stride=2, padding=1))
        self.down = nn.ModuleList(nn.Sequential(*(Block(w) for _ in range(blocks))) for w in widths)
        self.sink = nn.ModuleList(Downsample2D(a, True, b) for a, b in zip(widths, widths[1:], strict=False))
        self.attention = Attention(
            widths[-1], heads=4, dim_head=widths[-1] // 4, norm_num_groups=8, residual_connection=True, bias=True
        )
        self.rise = nn.ModuleList(
            Upsample2D(b, use_conv=True, out_channels=a) for a, b in zip(widths, widths[1:], strict=False)
        )
        self.up = nn.ModuleList(
            nn.Sequential(Block(2 * w, w), *(Block(w) for _ in range(blocks - 1))) for w in widths[:-1]
        )

    def forward(self, stack: Tensor, small: Tensor) -> list[Tensor]:
        """The features of each level, finest (N, w0, H/8, W/8) first.

        Args:
            stack: pre-contrast stack, (N, 3, H, W).
            small: what the stem found, (N, S, H/4, W/4).
        """
        x = self.unshuffle(stack)
        x = self.conv_in(torch.cat([x, _coordinates(x)], 1)) + self.from_stem(small)
        skips = []
        for level, blocks in enumerate(self.down):
            x = blocks(x)
            skips.append(x)
            if level < len(self.sink):
                x = self.sink[level](x)
        x = self.attention(x)
        pyramid = [x]
        for level in reversed(range(len(self.up))):
            x = self.up[level](torch.cat([self.rise[level](x), skips[level]], 1))
            pyramid.insert(0, x)
        return pyramid


class FineEncoder(nn.Module):
    """Adds to upsampled context what the pixels say about its boundaries and small structures; zero at first.

    Args:
        width: channels.
        blocks: residual blocks.
        stem: channels of the stem.
    """

    def __init__(self, width: int, blocks: int, stem: int) -> None:
        super().__init__()
        self.unshuffle = nn.PixelUnshuffle(DOWNSAMPLING)
        self.conv_in = nn.Conv2d(NEIGHBOURS * DOWNSAMPLING**2, width, 3, padding=1)
        self.from_stem = zeroed(nn.Conv2d(stem, width, 1))
        self.blocks = nn.Sequential(Block(2 * width, width), *(Block(width) for _ in range(blocks - 1)))
        self.to_residual = zeroed(nn.Conv2d(width, width, 1))

    def forward(self, stack: Tensor, small: Tensor, context: Tensor) -> Tensor:
        """The finest features, (N, F, H/4, W/4).

        Args:
            stack: pre-contrast stack, (N, 3, H, W).
            small: what the stem found, (N, S, H/4, W/4).
            context: features on the latent grid, (N, F, H/4, W/4).
        """
        pixels = self.conv_in(self.unshuffle(stack)) + self.from_stem(small)
        return context + self.to_residual(self.blocks(torch.cat([pixels, context], 1)))


class ImageEncoder(nn.Module):
    """Stem, context and fine encoder together: a pyramid of features from the latent grid down.

    Args:
        widths: channels at the latent grid (1/4) and each halving of it, finest first.
        blocks: residual blocks per level and direction of the context encoder, and of the stem; the fine encoder, whose
            one level goes in and out, has twice as many.
        stem_widths: channels of the stem at half and at a quarter of the resolution.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (64, 128, 192, 256),
        blocks: int = 2,
        stem_widths: tuple[int, int] = (24, 32),
    ) -> None:
        super().__init__()
        self.stem = Stem(stem_widths, blocks)
        self.context = ContextEncoder(widths[1:], blocks, stem_widths[1])
        self.project = nn.Conv2d(widths[1], widths[0], 1)
        self.fine = FineEncoder(widths[0], 2 * blocks, stem_widths[1])

    def coarse(self, stack: Tensor, small: Tensor) -> Tensor:
        """The finest features as stem and context alone know them, at 1/8 resolution: (N, w0, H/8, W/8)."""
        return self.project(self.context(stack, small)[0])

    def raised(self, coarse: Tensor) -> Tensor:
        """What ``coarse`` gives, on the latent grid."""
        return nn.functional.interpolate(coarse, scale_factor=2, mode="bilinear")

    def forward(self, stack: Tensor) -> list[Tensor]:
        """Args: pre-contrast stack (N, 3, H, W). Returns: features per level, finest (N, w0, H/4, W/4) first."""
        small = self.stem(stack)
        pyramid = self.context(stack, small)
        return [self.fine(stack, small, self.raised(self.project(pyramid[0]))), *pyramid]


def zeroed(convolution: nn.Conv2d) -> nn.Conv2d:
    """A convolution that adds nothing until it is trained."""
    for parameter in convolution.parameters():
        nn.init.zeros_(parameter)
    return convolution


def _coordinates(x: Tensor) -> Tensor:
    """Position in the field of view from -1 to 1: the liver is on the left of an axial image, wherever it is cut."""
    rows = torch.linspace(-1, 1, x.shape[-2], device=x.device, dtype=x.dtype)
    columns = torch.linspace(-1, 1, x.shape[-1], device=x.device, dtype=x.dtype)
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
    return grid.expand(x.shape[0], -1, -1, -1)


class ZeroInjection(nn.Module):
    """Zero-initialised 1x1 convolutions from pyramid features to every skip connection of the U-Net and its middle.

    Args:
        widths: channels of the pyramid, finest first.
        targets: (pyramid level, channels) of each U-Net residual in diffusers' order; the last is the middle block.
    """

    def __init__(self, widths: tuple[int, ...], targets: list[tuple[int, int]]) -> None:
        super().__init__()
        self.levels = [level for level, _ in targets]
        self.convolutions = nn.ModuleList(zeroed(nn.Conv2d(widths[level], channels, 1)) for level, channels in targets)

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        return [conv(pyramid[level]) for level, conv in zip(self.levels, self.convolutions, strict=True)]
