"""What a world model is made of; stored as JSON beside its weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, get_args

from CEKWorldLib.errors import CEKWorldError

TimeEncoding = Literal["continuous", "text"]


@dataclass(frozen=True)
class Configuration:
    """Sizes and choices of a compact world model.

    Attributes:
        name: the name users choose it by.
        autoencoder_widths: channels at 1/2 and 1/4 resolution.
        encoder_widths: channels of the image encoder at 1/4 resolution and each halving.
        encoder_blocks: residual blocks per level and direction of the image encoder.
        unet_widths: channels of the U-Net at the latent grid and each halving.
        embedding: width of the time embedding.
        time_encoder: "continuous" seconds, or the paper's "text" HH:MM:SS.
        noise_scale: standard deviation of the noise around the mean at the sampler's start.
        steps: default number of sampler steps; 0 is the regression alone.
        time_range_s: injection times the model was trained on.
    """

    description: ClassVar[str] = (
        "Latent world model: image encoder with zero-convolution injection, regression mean, rectified flow around it, "
        "anchored decoder."
    )

    name: str
    autoencoder_widths: tuple[int, int] = (24, 48)
    encoder_widths: tuple[int, ...] = (64, 96, 128, 160)
    encoder_blocks: int = 1
    unet_widths: tuple[int, ...] = (48, 96, 128)
    embedding: int = 128
    time_encoder: TimeEncoding = "continuous"
    noise_scale: float = 0.3
    steps: int = 2
    time_range_s: tuple[float, float] = (0.0, 600.0)

    def __post_init__(self) -> None:
        if self.time_encoder not in get_args(TimeEncoding):
            known = " or ".join(get_args(TimeEncoding))
            raise CEKWorldError(f"There is no time encoder '{self.time_encoder}'; choose {known}.")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Configuration:
        """Reads what ``as_dict`` wrote.

        Raises:
            CEKWorldError: an entry this version does not know.
        """
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise CEKWorldError(
                f"The model configuration has unknown entries {sorted(unknown)}; it was made by a newer version of "
                "CEKWorld. Update CEKWorld to use this model."
            )
        entries: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**entries)
