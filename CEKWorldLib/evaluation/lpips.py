"""LPIPS (Zhang et al. 2018, "The unreasonable effectiveness of deep features as a perceptual metric"; AlexNet, v0.1).

Its weights are published by others and not part of this project: two files, read from a folder where they are.
torchvision, which other implementations build on, cannot be imported beside PyTorch's CPU build from the package index;
of it this needs five convolutions.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from CEKWorldLib.errors import CEKWorldError

FOLDER_VARIABLE = "CEKWORLD_LPIPS"
ALEXNET = "alexnet-owt-7be5be79.pth"  # torchvision's, trained on ImageNet
LINEAR = "alex.pth"  # of the package lpips, weights/v0.1

_CHANNELS = (64, 192, 384, 256, 256)
_ENDS = (1, 4, 7, 9, 11)  # the layers whose features are compared
_MEAN, _SD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of colours between -1 and 1


class Lpips(nn.Module):
    """The distance of two grey images, 0 for the same one; as untrained as it is made."""

    mean: Tensor
    sd: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.linear = nn.ParameterList(nn.Parameter(torch.rand(channels)) for channels in _CHANNELS)
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("sd", torch.tensor(_SD)[:, None, None], persistent=False)

    @classmethod
    def read(cls, folder: Path) -> Lpips:
        """Takes the published weights from a folder.

        Raises:
            CEKWorldError: a file is not there, damaged, or another one.
        """
        model = cls()
        backbone, linear = (_read(folder / name) for name in (ALEXNET, LINEAR))
        own = {name: value for name, value in backbone.items() if name.startswith("features.")}
        own |= {f"linear.{n}": linear.get(f"lin{n}.model.1.weight", torch.empty(0)).flatten() for n in range(5)}
        try:
            model.load_state_dict(own)
        except RuntimeError as error:
            raise CEKWorldError(f"{folder}: {ALEXNET} or {LINEAR} does not hold LPIPS's AlexNet, v0.1.") from error
        return model.eval()

    @torch.no_grad()
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances of images between 0 and 1.

        Args:
            a, b: (N, H, W), at least 32 pixels wide and high.

        Returns:
            (N,)
        """
        distance = torch.zeros(len(a), device=a.device)
        x, y = (((2 * image - 1)[:, None] - self.mean) / self.sd for image in (a, b))
        for index, layer in enumerate(self.features):
            x, y = layer(x), layer(y)
            if index in _ENDS:
                weight = self.linear[_ENDS.index(index)]
                square = (functional.normalize(x, eps=1e-10) - functional.normalize(y, eps=1e-10)).square()
                distance = distance + torch.einsum("nchw,c->nhw", square, weight).mean((1, 2))
        return distance

    def of_series(self, predicted: np.ndarray, truth: np.ndarray, data_range: float) -> float:
        """Mean over the frames of two series, (T, rows, columns), with one data range for both."""
        a, b = (torch.from_numpy(series / data_range).float().clamp(0, 1) for series in (predicted, truth))
        return float(self(a, b).mean())


def lpips_on_disk() -> Lpips | None:
    """LPIPS with its weights: from the folder that the variable names, else from torch's cache of downloads.

    Returns:
        None where they are in neither.

    Raises:
        CEKWorldError: the variable names a folder without them, or they cannot be read.
    """
    if named := os.environ.get(FOLDER_VARIABLE):
        return Lpips.read(Path(named))
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    return Lpips.read(cache) if all((cache / name).is_file() for name in (ALEXNET, LINEAR)) else None


def _read(path: Path) -> dict[str, Any]:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CEKWorldError(
            f"{path} is not there; LPIPS needs {ALEXNET} (torchvision) and {LINEAR} (package lpips) in one folder."
        ) from None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CEKWorldError(f"{path} cannot be read as weights: {error}") from error
