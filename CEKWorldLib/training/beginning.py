"""What a run starts from: fresh weights, those of a trained model, or Stable Diffusion's for the published one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.architectures import build
from CEKWorldLib.models.bundle import load_model
from CEKWorldLib.models.configuration import Configuration
from CEKWorldLib.models.world import WorldModel, channels_last
from CEKWorldLib.training.card import is_stable_diffusion
from CEKWorldLib.training.packing import load_start
from CEKWorldLib.training.source import SlabSource

if TYPE_CHECKING:
    from CEKWorldLib.models.paper import PaperConfiguration, PaperWorldModel


def begin(
    configuration: Configuration | PaperConfiguration,
    source: SlabSource,
    device: torch.device,
    seed: int,
    init: str | None = None,
    run: Path | None = None,
) -> WorldModel:
    """The model before its first step.

    Args:
        configuration: its networks.
        source: slabs to measure latents on.
        seed: of fresh weights.
        init: name or folder of a model, or a folder of Stable Diffusion 1.5; fresh weights when None.
        run: folder of a run that goes on, from the weights it started from; its data may have grown since, and stages
            that are done were trained with the latent scale of before.

    Raises:
        CEKWorldError: ``init`` or ``run`` cannot be read or has networks of other sizes, or ``init`` is missing where
            it is needed.
    """
    torch.manual_seed(seed)
    model = channels_last(build(configuration)).to(device)
    if run is not None:
        load_start(run, model)
    elif init is not None:
        _take_over(model, init)
    elif isinstance(configuration, Configuration):
        standardise_latents(model, source, seed)
    else:
        raise CEKWorldError(
            "The published model keeps the autoencoder and the text encoder it starts with; name a folder of Stable "
            "Diffusion 1.5, or of a model that was imported, with --init."
        )
    return model


@torch.no_grad()
def standardise_latents(model: WorldModel, source: SlabSource, seed: int, batches: int = 24, size: int = 256) -> None:
    """Sets the autoencoder's latent scale so that training latents have unit standard deviation per channel."""
    device = next(model.parameters()).device
    squares = []
    for step in range(batches):
        batch = source.draw(4, 4, size, seed + 1, step, device)
        latents = model.autoencoder.encode(batch.enhancement.flatten(0, 1)[:, None])
        squares.append(latents.square().mean((0, 2, 3)))
    model.autoencoder.latent_std.copy_(torch.stack(squares).mean(0).sqrt())


def _take_over(model: WorldModel, init: str) -> None:
    """Gives a model the weights of a trained one, and the scale of its latents."""
    try:
        if is_stable_diffusion(init) and not isinstance(model.configuration, Configuration):
            cast("PaperWorldModel", model).load_stable_diffusion(Path(init))
        else:
            model.load_state_dict(load_model(init).state_dict())
    except RuntimeError as error:
        raise CEKWorldError(
            f"The model '{init}' does not fit the configuration '{model.name}': their networks differ in size. Train "
            "with the configuration that the model was made with, or without --init."
        ) from error
