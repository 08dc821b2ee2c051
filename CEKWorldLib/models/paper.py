"""The model as MRI CEKWorld publishes it (arXiv 2602.19285): Stable Diffusion 1.5, ControlNet, time as CLIP text.

It stands beside the compact model for comparison. It denoises the latent of the whole post-contrast image from pure
noise, its ControlNet runs at every step, and nothing holds its anatomy to the source. One thing differs from the
published code on purpose: one intensity scale for all times (the published one scales each phase by itself, which
moves curve classes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import AutoencoderKL, ControlNetModel, DDIMScheduler, UNet2DConditionModel
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.condition import Condition

_BRIGHTEST = 3.0  # in units of the intensity scale; a vessel at first pass comes near it
_LATENT_SCALE = 0.18215
# CLIP's vocabulary begins with the bytes from "!" on, and 256 later the same as ends of a word; digits and colons are
# words by themselves (OpenAI's simple_tokenizer).
_FIRST_BYTE, _END_OF_WORD = ord("!"), 256


@dataclass(frozen=True)
class PaperConfiguration:
    """Widths of the networks; the defaults are those of Stable Diffusion 1.5.

    Attributes:
        name: the name users choose the model by.
        time_range_s: injection times it was trained on.
    """

    description: ClassVar[str] = (
        "MRI CEKWorld as published: Stable Diffusion 1.5, a ControlNet that sees the pre-contrast slice at every step, "
        "time as text."
    )

    unet: tuple[int, ...] = (320, 640, 1280, 1280)
    unet_layers: int = 2
    autoencoder: tuple[int, ...] = (128, 256, 512, 512)
    text: int = 768
    text_layers: int = 12
    heads: int = 8
    groups: int = 32
    name: str = "paper"
    time_range_s: tuple[float, float] = (0.0, 600.0)

    def as_dict(self) -> dict[str, Any]:
        """For the model folder's configuration."""
        return {"architecture": "paper", **asdict(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PaperConfiguration:
        """Reads what ``as_dict`` wrote; TypeError for other entries."""
        entries = values.items()
        known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entries if k != "architecture"}
        return cls(**known)


@dataclass(frozen=True)
class PaperFeatures:
    """The slices as the ControlNet's hint; everything else this model computes at every step."""

    hint: Tensor

    @classmethod
    def of(cls, stack: Tensor) -> PaperFeatures:
        """The middle slice of each stack (N, 3, H, W), three times over, as the published code does."""
        return cls(stack[:, 1:2].expand(-1, 3, -1, -1))

    def __len__(self) -> int:
        return len(self.hint)

    @property
    def nbytes(self) -> int:
        return self.hint.nbytes

    def select(self, indices: Sequence[int] | slice) -> PaperFeatures:
        return PaperFeatures(self.hint[indices])

    @staticmethod
    def concatenate(parts: Sequence[PaperFeatures]) -> PaperFeatures:
        return PaperFeatures(torch.cat([p.hint for p in parts]))


class PaperWorldModel(nn.Module):
    """MRI CEKWorld's networks behind the interface of ``WorldModel``.

    Args:
        configuration: widths and name; tests build it narrow.
        guidance: classifier-free guidance scale (9 in the paper); both branches run as one batch.
    """

    sha256 = ""
    sample_steps = 50

    def __init__(self, configuration: PaperConfiguration | None = None, guidance: float = 9.0) -> None:
        super().__init__()
        self.configuration = sizes = configuration or PaperConfiguration()
        self.name, self.time_range_s = sizes.name, sizes.time_range_s
        self.guidance = guidance
        depth = len(sizes.unet)
        self.autoencoder = AutoencoderKL(
            block_out_channels=sizes.autoencoder,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=sizes.unet_layers,
            latent_channels=4,
            norm_num_groups=sizes.groups,
        )
        self.text_encoder = CLIPTextModel(
            CLIPTextConfig(
                hidden_size=sizes.text,
                intermediate_size=4 * sizes.text,
                num_hidden_layers=sizes.text_layers,
                num_attention_heads=12 if sizes.text % 12 == 0 else 4,
            )
        )
        self.unet = UNet2DConditionModel(
            sample_size=32,
            block_out_channels=sizes.unet,
            layers_per_block=sizes.unet_layers,
            down_block_types=("CrossAttnDownBlock2D",) * (depth - 1) + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (depth - 1),
            cross_attention_dim=sizes.text,
            attention_head_dim=sizes.heads,
            norm_num_groups=sizes.groups,
        )
        self.controlnet = ControlNetModel.from_unet(self.unet, load_weights_from_unet=True)
        self.scheduler = DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
        )

    def load_stable_diffusion(self, folder: Path) -> None:
        """Takes the weights of Stable Diffusion 1.5; the ControlNet begins as a copy of the U-Net's encoder.

        Args:
            folder: local, in diffusers' layout (safetensors).

        Raises:
            CEKWorldError: a part is missing or damaged there, or of other sizes.
        """
        local: dict[str, Any] = {"local_files_only": True, "use_safetensors": True}
        try:
            self.unet.load_state_dict(UNet2DConditionModel.from_pretrained(folder / "unet", **local).state_dict())
            self.autoencoder.load_state_dict(AutoencoderKL.from_pretrained(folder / "vae", **local).state_dict())
            text = CLIPTextModel.from_pretrained(folder / "text_encoder", **local)
            self.text_encoder.load_state_dict(text.state_dict())
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise CEKWorldError(
                f"{folder} is no Stable Diffusion 1.5 in diffusers' layout (unet, vae and text_encoder, as "
                "safetensors). Fetch it again."
            ) from error
        self.controlnet = ControlNetModel.from_unet(self.unet)

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        return 4, height // 8, width // 8

    def encode(self, stack: Tensor, condition: Condition) -> PaperFeatures:
        """The slices alone: acquisition, injection and anatomy are not inputs of the published model."""
        return PaperFeatures.of(stack)

    def encode_slices(self, stack: Tensor, condition: Tensor, arrival_s: Tensor) -> PaperFeatures:
        """As ``encode``, with a condition vector and an arrival per slice; neither is an input."""
        return PaperFeatures.of(stack)

    def sample(self, features: PaperFeatures, times_s: Tensor, noise: Tensor, steps: int | None = None) -> Tensor:
        """DDIM from noise (N, 4, h, w), shared by all times: latents (N, T, 4, h, w) of post-contrast images."""
        count, times = len(features), len(times_s)
        text = self.time_text(times_s).repeat(count, 1, 1)
        text = torch.cat([self.time_text(None).expand_as(text), text])
        hint = features.hint.repeat_interleave(times, 0).repeat(2, 1, 1, 1)
        x = noise.repeat_interleave(times, 0)
        self.scheduler.set_timesteps(self.sample_steps if steps is None else max(steps, 1))
        for step in self.scheduler.timesteps:
            without, with_text = self.predict_noise(x.repeat(2, 1, 1, 1), step, text, hint).chunk(2)
            x = self.scheduler.step(without + self.guidance * (with_text - without), step, x).prev_sample
        return x.unflatten(0, (count, times))

    def decode(self, latents: Tensor, features: PaperFeatures) -> Tensor:
        """Enhancement (N, T, H, W): the decoded post-contrast image less the pre-contrast slice."""
        image = self.autoencoder.decode(latents.flatten(0, 1) / _LATENT_SCALE).sample.mean(1)
        post = (image + 1.0) * (_BRIGHTEST / 2.0)
        return post.unflatten(0, latents.shape[:2]) - features.hint[:, :1]

    @torch.no_grad()
    def to_latents(self, post: Tensor) -> Tensor:
        """Latents (M, 4, H/8, W/8) of post-contrast images (M, 1, H, W) in units of the intensity scale."""
        image = (post * (2.0 / _BRIGHTEST) - 1.0).clamp(-1.0, 1.0).expand(-1, 3, -1, -1)
        return self.autoencoder.encode(image).latent_dist.mean * _LATENT_SCALE

    def predict_noise(self, x: Tensor, step: Tensor, text: Tensor, hint: Tensor) -> Tensor:
        """The noise in noisy latents x (M, 4, h, w) at a step (scalar or (M,)), given text and hint (M, 3, H, W)."""
        scaled = hint * (2.0 / _BRIGHTEST) - 1.0
        down, middle = self.controlnet(x, step, text, controlnet_cond=scaled, return_dict=False)
        return self.unet(
            x,
            step,
            text,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            return_dict=False,
        )[0]

    def time_text(self, times_s: Tensor | None) -> Tensor:
        """CLIP's last hidden states (M, 77, width) of the times as text ("0:01:05"); None gives the empty prompt."""
        texts = [""] if times_s is None else [str(timedelta(seconds=max(0, round(t)))) for t in times_s.tolist()]
        device = next(self.parameters()).device
        return self.text_encoder(self._tokens(texts).to(device)).last_hidden_state

    def _tokens(self, texts: list[str]) -> Tensor:
        """CLIP's tokens; times need no vocabulary, as each of their characters is one of its first tokens."""
        length, begin, end = 77, 49406, 49407
        rows = [[begin, *(ord(c) - _FIRST_BYTE + _END_OF_WORD for c in text)] for text in texts]
        return torch.tensor([row + [end] * (length - len(row)) for row in rows])
