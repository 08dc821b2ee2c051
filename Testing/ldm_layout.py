"""Names and shapes of a latent-diffusion checkpoint, from how that code builds its networks block after block."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from CEKWorldLib.models.paper import PaperConfiguration

Named = Iterator[tuple[str, tuple[int, ...]]]
HINT = (3, 16, 16, 32, 32, 96, 96, 256)


def ldm_checkpoint(sizes: PaperConfiguration, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights under every name, and a few entries that are no weights."""
    generator = torch.Generator().manual_seed(seed)
    names = [
        *(("model.diffusion_model." + name, shape) for name, shape in _unet(sizes, control=False)),
        *(("control_model." + name, shape) for name, shape in _unet(sizes, control=True)),
        *(("first_stage_model." + name, shape) for name, shape in _autoencoder(sizes)),
        *(("cond_stage_model.transformer.text_model." + name, shape) for name, shape in _text(sizes)),
    ]
    weights = {name: 0.1 * torch.randn(shape, generator=generator) for name, shape in names}
    extra = {"betas": torch.linspace(0, 1, 5), "sqrt_alphas_cumprod": torch.ones(5), "logvar": torch.zeros(5)}
    positions = {"cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77)[None]}
    return weights | extra | positions


def _layer(name: str, *shape: int, bias: bool = True) -> Named:
    yield f"{name}.weight", shape
    if bias:
        yield f"{name}.bias", shape[:1]


def _unet(sizes: PaperConfiguration, control: bool) -> Named:
    widths, layers, last = sizes.unet, sizes.unet_layers, len(sizes.unet) - 1
    embedding = 4 * widths[0]
    yield from _layer("time_embed.0", embedding, widths[0])
    yield from _layer("time_embed.2", embedding, embedding)
    yield from _layer("input_blocks.0.0", widths[0], 4, 3, 3)
    block, channels, skips = 1, widths[0], [widths[0]]
    for level, width in enumerate(widths):
        for _ in range(layers):
            yield from _residual(f"input_blocks.{block}.0", channels, width, embedding)
            if level != last:
                yield from _transformer(f"input_blocks.{block}.1", width, sizes.text)
            channels, block = width, block + 1
            skips.append(channels)
        if level != last:
            yield from _layer(f"input_blocks.{block}.0.op", channels, channels, 3, 3)
            block += 1
            skips.append(channels)
    yield from _residual("middle_block.0", channels, channels, embedding)
    yield from _transformer("middle_block.1", channels, sizes.text)
    yield from _residual("middle_block.2", channels, channels, embedding)
    if control:
        for number, width in enumerate(skips):
            yield from _layer(f"zero_convs.{number}.0", width, width, 1, 1)
        yield from _layer("middle_block_out.0", channels, channels, 1, 1)
        for number, (before, after) in enumerate(zip(HINT, (*HINT[1:], widths[0]), strict=True)):
            yield from _layer(f"input_hint_block.{2 * number}", after, before, 3, 3)
        return
    block = 0
    for level in reversed(range(last + 1)):
        for layer in range(layers + 1):
            yield from _residual(f"output_blocks.{block}.0", channels + skips.pop(), widths[level], embedding)
            channels, parts = widths[level], 1
            if level != last:
                yield from _transformer(f"output_blocks.{block}.1", channels, sizes.text)
                parts = 2
            if level and layer == layers:
                yield from _layer(f"output_blocks.{block}.{parts}.conv", channels, channels, 3, 3)
            block += 1
    yield from _layer("out.0", channels)
    yield from _layer("out.2", 4, channels, 3, 3)


def _residual(name: str, before: int, after: int, embedding: int) -> Named:
    yield from _layer(f"{name}.in_layers.0", before)
    yield from _layer(f"{name}.in_layers.2", after, before, 3, 3)
    yield from _layer(f"{name}.emb_layers.1", after, embedding)
    yield from _layer(f"{name}.out_layers.0", after)
    yield from _layer(f"{name}.out_layers.3", after, after, 3, 3)
    if before != after:
        yield from _layer(f"{name}.skip_connection", after, before, 1, 1)


def _transformer(name: str, width: int, context: int) -> Named:
    yield from _layer(f"{name}.norm", width)
    for side in ("proj_in", "proj_out"):
        yield from _layer(f"{name}.{side}", width, width, 1, 1)
    block = f"{name}.transformer_blocks.0"
    for attention, source in (("attn1", width), ("attn2", context)):
        yield from _layer(f"{block}.{attention}.to_q", width, width, bias=False)
        for part in ("to_k", "to_v"):
            yield from _layer(f"{block}.{attention}.{part}", width, source, bias=False)
        yield from _layer(f"{block}.{attention}.to_out.0", width, width)
    yield from _layer(f"{block}.ff.net.0.proj", 8 * width, width)
    yield from _layer(f"{block}.ff.net.2", width, 4 * width)
    for number in (1, 2, 3):
        yield from _layer(f"{block}.norm{number}", width)


def _autoencoder(sizes: PaperConfiguration) -> Named:
    widths, layers = sizes.autoencoder, sizes.unet_layers
    yield from _layer("encoder.conv_in", widths[0], 3, 3, 3)
    channels = widths[0]
    for level, width in enumerate(widths):
        for layer in range(layers):
            yield from _plain_residual(f"encoder.down.{level}.block.{layer}", channels, width)
            channels = width
        if level < len(widths) - 1:
            yield from _layer(f"encoder.down.{level}.downsample.conv", width, width, 3, 3)
    yield from _middle("encoder", channels)
    yield from _layer("encoder.norm_out", channels)
    yield from _layer("encoder.conv_out", 8, channels, 3, 3)
    yield from _layer("decoder.conv_in", channels, 4, 3, 3)
    yield from _middle("decoder", channels)
    for level in reversed(range(len(widths))):
        for layer in range(layers + 1):
            yield from _plain_residual(f"decoder.up.{level}.block.{layer}", channels, widths[level])
            channels = widths[level]
        if level:
            yield from _layer(f"decoder.up.{level}.upsample.conv", channels, channels, 3, 3)
    yield from _layer("decoder.norm_out", channels)
    yield from _layer("decoder.conv_out", 3, channels, 3, 3)
    yield from _layer("quant_conv", 8, 8, 1, 1)
    yield from _layer("post_quant_conv", 4, 4, 1, 1)


def _plain_residual(name: str, before: int, after: int) -> Named:
    yield from _layer(f"{name}.norm1", before)
    yield from _layer(f"{name}.conv1", after, before, 3, 3)
    yield from _layer(f"{name}.norm2", after)
    yield from _layer(f"{name}.conv2", after, after, 3, 3)
    if before != after:
        yield from _layer(f"{name}.nin_shortcut", after, before, 1, 1)


def _middle(side: str, channels: int) -> Named:
    for number in (1, 2):
        yield from _plain_residual(f"{side}.mid.block_{number}", channels, channels)
    yield from _layer(f"{side}.mid.attn_1.norm", channels)
    for part in ("q", "k", "v", "proj_out"):
        yield from _layer(f"{side}.mid.attn_1.{part}", channels, channels, 1, 1)


def _text(sizes: PaperConfiguration) -> Named:
    width = sizes.text
    yield "embeddings.token_embedding.weight", (49408, width)
    yield "embeddings.position_embedding.weight", (77, width)
    for number in range(sizes.text_layers):
        layer = f"encoder.layers.{number}"
        for part in ("q", "k", "v", "out"):
            yield from _layer(f"{layer}.self_attn.{part}_proj", width, width)
        for norm in ("layer_norm1", "layer_norm2"):
            yield from _layer(f"{layer}.{norm}", width)
        yield from _layer(f"{layer}.mlp.fc1", 4 * width, width)
        yield from _layer(f"{layer}.mlp.fc2", width, 4 * width)
    yield from _layer("final_layer_norm", width)
