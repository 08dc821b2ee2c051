"""What the model makes of a few training slices, beside their truth: a look into a run that goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from CEKWorldLib.export.style import save_png
from CEKWorldLib.models.world import WorldModel
from CEKWorldLib.training.batches import Batch
from CEKWorldLib.training.source import SlabSource

_SLICES, _TIMES, _SIZE = 3, 3, 256
_SEED = 2026  # the same slices on every sheet of a run


@torch.no_grad()
def write_sample_sheet(model: WorldModel, source: SlabSource, path: Path, title: str) -> None:
    """Writes a PNG: a row per slice; pre-contrast, then enhancement at three times, truth and model in turn.

    Args:
        model: in any state of training; its default sampler is used, and it is left in the mode it was in.
        source: a batch of it is shown, the same every time.
    """
    batch = source.draw(_SLICES, _TIMES, _SIZE, _SEED, 0, next(model.parameters()).device)
    training = model.training
    model.eval()
    predicted = np.stack([_enhancement(model, batch, row) for row in range(_SLICES)])
    model.train(training)
    times = batch.times_s.shape[1]
    figure = Figure(figsize=(2.0 * (1 + 2 * times), 2.1 * _SLICES), layout="constrained")
    grid = figure.subplots(_SLICES, 1 + 2 * times, squeeze=False)
    truth, stack = batch.enhancement.cpu().numpy(), batch.stack.cpu().numpy()
    for row, axes_row in enumerate(grid):
        axes_row[0].imshow(stack[row, stack.shape[1] // 2], cmap="gray", vmin=0, vmax=1.2)
        axes_row[0].set_title("pre-contrast", fontsize=7)
        for moment in range(times):
            pair = {"truth": truth[row, moment], "model": predicted[row, moment]}
            for axes, (name, image) in zip(axes_row[1 + 2 * moment :], pair.items(), strict=False):
                axes.imshow(image, cmap="gray", vmin=0, vmax=1.2)
                axes.set_title(f"{name}, {batch.times_s[row, moment]:.0f} s", fontsize=7)
    for axes in grid.flat:
        axes.set_axis_off()
    figure.suptitle(f"{title}: enhancement of training slices", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(figure, path, dpi=110)


def _enhancement(model: WorldModel, batch: Batch, row: int) -> np.ndarray:
    """The model's enhancement of one slice, (T, H, W)."""
    one = slice(row, row + 1)
    features = model.encode_slices(batch.stack[one], batch.condition[one], batch.arrival_s[one])
    shape = (1, *model.latent_shape(*batch.stack.shape[-2:]))
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(_SEED)).to(batch.stack)
    return model.decode(model.sample(features, batch.times_s[row], noise), features)[0].cpu().numpy()
