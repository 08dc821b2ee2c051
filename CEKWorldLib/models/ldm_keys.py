"""What Stable Diffusion's first code (CompVis latent-diffusion, and ControlNet on it) calls the weights of diffusers.

Both name the same networks. There blocks are counted through (``input_blocks.4.1``), here by level and layer
(``down_blocks.1.attentions.0``). With L layers a level, level i's layer j is block 1 + i (L + 1) + j on the way down,
after ``conv_in``, each level ending with its downsampler; and block i (L + 1) + j on the way up, where a level has one
layer more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

_UNET, _CONTROL, _AUTOENCODER, _TEXT = (
    "model.diffusion_model",
    "control_model",
    "first_stage_model",
    "cond_stage_model.transformer.text_model",
)
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "controlnet_mid_block": "middle_block_out.0",
}
_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
# Buffers of the noise schedule, the training loss, and averages beside the weights: nothing a model needs.
_NO_WEIGHT = re.compile(
    r"model_ema\..*|first_stage_model\.loss\..*|.*\.position_ids|logvar|scale_factor|lvlb_weights|(?:alphas|betas|sqrt"
    r"|log_one_minus|posterior)\w*"
)


def ldm_name(name: str, layers: int, levels: int) -> str:
    """The name of a parameter of ``PaperWorldModel`` in a latent-diffusion checkpoint.

    Args:
        name: such as ``unet.down_blocks.0.resnets.1.conv1.weight``.
        layers: residual blocks per level.
        levels: of U-Net and autoencoder alike.

    Raises:
        KeyError: the part of the model it begins with is unknown.
    """
    part, rest = name.split(".", 1)
    body, _, kind = rest.rpartition(".")  # weight or bias
    if part == "text_encoder":
        return f"{_TEXT}.{rest.removeprefix('text_model.')}"
    if part == "autoencoder":
        return f"{_AUTOENCODER}.{_autoencoder(body, levels)}.{kind}"
    prefix = {"unet": _UNET, "controlnet": _CONTROL}[part]
    return f"{prefix}.{_unet(body, layers)}.{kind}"


def is_no_weight(name: str) -> bool:
    """Whether an entry of a checkpoint is none of a network in use."""
    return _NO_WEIGHT.fullmatch(name) is not None


def _unet(body: str, layers: int) -> str:
    return _ENDS.get(body) or _first_match(
        body,
        (
            (r"down_blocks\.(\d+)\.resnets\.(\d+)\.(.+)",
             lambda i, j, rest: f"input_blocks.{1 + int(i) * (layers + 1) + int(j)}.0.{_RESNET[rest]}"),
            (r"down_blocks\.(\d+)\.attentions\.(\d+)\.(.+)",
             lambda i, j, rest: f"input_blocks.{1 + int(i) * (layers + 1) + int(j)}.1.{rest}"),
            (r"down_blocks\.(\d+)\.downsamplers\.0\.conv",
             lambda i: f"input_blocks.{(int(i) + 1) * (layers + 1)}.0.op"),
            (r"mid_block\.resnets\.(\d)\.(.+)", lambda j, rest: f"middle_block.{2 * int(j)}.{_RESNET[rest]}"),
            (r"mid_block\.attentions\.0\.(.+)", lambda rest: f"middle_block.1.{rest}"),
            (r"up_blocks\.(\d+)\.resnets\.(\d+)\.(.+)",
             lambda i, j, rest: f"output_blocks.{int(i) * (layers + 1) + int(j)}.0.{_RESNET[rest]}"),
            (r"up_blocks\.(\d+)\.attentions\.(\d+)\.(.+)",
             lambda i, j, rest: f"output_blocks.{int(i) * (layers + 1) + int(j)}.1.{rest}"),
            # The first level up has no attention, so its upsampler comes second.
            (r"up_blocks\.(\d+)\.upsamplers\.0\.conv",
             lambda i: f"output_blocks.{int(i) * (layers + 1) + layers}.{1 if i == '0' else 2}.conv"),
            (r"controlnet_down_blocks\.(\d+)", lambda k: f"zero_convs.{k}.0"),
            # The hint's eight convolutions have an activation between each two.
            (r"controlnet_cond_embedding\.conv_in", lambda: "input_hint_block.0"),
            (r"controlnet_cond_embedding\.blocks\.(\d+)", lambda k: f"input_hint_block.{2 * (int(k) + 1)}"),
            (r"controlnet_cond_embedding\.conv_out", lambda: "input_hint_block.14"),
        ),
    )  # fmt: skip


def _autoencoder(body: str, levels: int) -> str:
    return _first_match(
        body,
        (
            (r"(encoder|decoder)\.mid_block\.resnets\.(\d)\.(.+)",
             lambda way, j, rest: f"{way}.mid.block_{int(j) + 1}.{rest}"),
            (r"(encoder|decoder)\.mid_block\.attentions\.0\.(.+)",
             lambda way, rest: f"{way}.mid.attn_1.{_ATTENTION[rest]}"),
            (r"encoder\.down_blocks\.(\d+)\.resnets\.(\d+)\.(.+)",
             lambda i, j, rest: f"encoder.down.{i}.block.{j}.{rest.replace('conv_shortcut', 'nin_shortcut')}"),
            (r"encoder\.down_blocks\.(\d+)\.downsamplers\.0\.conv", lambda i: f"encoder.down.{i}.downsample.conv"),
            # There the decoder's levels are counted from the finest.
            (r"decoder\.up_blocks\.(\d+)\.resnets\.(\d+)\.(.+)",
             lambda i, j, rest:
             f"decoder.up.{levels - 1 - int(i)}.block.{j}.{rest.replace('conv_shortcut', 'nin_shortcut')}"),
            (r"decoder\.up_blocks\.(\d+)\.upsamplers\.0\.conv",
             lambda i: f"decoder.up.{levels - 1 - int(i)}.upsample.conv"),
            (r"(encoder|decoder)\.conv_norm_out", lambda way: f"{way}.norm_out"),
            (r"(.+)", lambda rest: rest),
        ),
    )  # fmt: skip


def _first_match(body: str, rules: Iterable[tuple[str, Callable[..., str]]]) -> str:
    for pattern, rewrite in rules:
        if match := re.fullmatch(pattern, body):
            return rewrite(*match.groups())
    raise KeyError(body)
