"""What the model makes of a few slices of the bank, beside their truth: a look into a run that goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from CEKWorldLib.export.style import save_png
from CEKWorldLib.models.world import WorldModel
from CEKWorldLib.training.bank import SLICES, TIMES, Bank

_SLABS = 3  # the first ones: one of each anatomy
_TIMES = (TIMES // 4, TIMES // 2, TIMES - 1)  # first pass, about a minute, late


@torch.no_grad()
def write_sample_sheet(model: WorldModel, bank: Bank, path: Path, title: str) -> None:
    """Writes a PNG: a row per slice; pre-contrast, then enhancement at three times, truth and model in turn.

    Args:
        model: in any state of training; its default sampler is used, and it is left in the mode it was in.
        bank: its first slabs are shown.
    """
    slabs = bank.ready()[:_SLABS]
    training = model.training
    model.eval()
    predicted = np.stack([_enhancement(model, bank, slab) for slab in slabs])
    model.train(training)
    figure = Figure(figsize=(2.0 * (1 + 2 * len(_TIMES)), 2.1 * len(slabs)), layout="constrained")
    grid = figure.subplots(len(slabs), 1 + 2 * len(_TIMES), squeeze=False)
    for row, slab, frames in zip(grid, slabs, predicted, strict=True):
        row[0].imshow(bank["pre"][slab, SLICES // 2], cmap="gray", vmin=0, vmax=1.2)
        row[0].set_title("pre-contrast", fontsize=7)
        for column, (moment, frame) in enumerate(zip(_TIMES, frames, strict=True)):
            seconds = bank["times_s"][slab, moment]
            pair = {"truth": bank["enhancement"][slab, moment].astype(np.float32), "model": frame}
            for axes, (name, image) in zip(row[1 + 2 * column :], pair.items(), strict=False):
                axes.imshow(image, cmap="gray", vmin=0, vmax=1.2)
                axes.set_title(f"{name}, {seconds:.0f} s", fontsize=7)
    for axes in grid.flat:
        axes.set_axis_off()
    figure.suptitle(f"{title}: enhancement of simulated training slices", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(figure, path, dpi=110)


def _enhancement(model: WorldModel, bank: Bank, slab: int) -> np.ndarray:
    device = next(model.parameters()).device

    def tensor(name: str) -> Tensor:
        return torch.from_numpy(np.array(bank[name][slab], np.float32)).to(device)

    features = model.encode_slices(tensor("pre")[None], tensor("condition")[None], tensor("arrival_s")[None])
    times = tensor("times_s")[list(_TIMES)]
    noise = torch.zeros(1, *model.latent_shape(*bank["pre"].shape[-2:]), device=device)
    return model.decode(model.sample(features, times, noise), features)[0].cpu().numpy()
