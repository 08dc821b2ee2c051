"""An exam made ready for the model: its place on the model grid, intensity scale, body box, condition and noise."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from CEKWorldLib import __version__
from CEKWorldLib.exam.exam import Exam
from CEKWorldLib.exam.grid import ModelGrid
from CEKWorldLib.exam.intensity import body_mask, intensity_scale
from CEKWorldLib.exam.protocol import Injection
from CEKWorldLib.models.condition import Condition
from CEKWorldLib.synthesis.model import SynthesisModel
from CEKWorldLib.synthesis.noise import noise_field

_MARGIN = 4  # voxels around the body mask: skin and its partial volume


@dataclass(frozen=True)
class Prepared:
    """What synthesis needs of an exam.

    Slices are counted along the source array's slice axis, as stored. A "stack" is a source array with that axis
    moved to the front, which for every scanner series it is already.

    Attributes:
        exam, injection: as given.
        grid: source grid to model grid and back.
        scale: intensity scale; the model sees voxels / scale.
        rows, columns: the body's bounding box in the source slices; there is no enhancement outside it.
        condition: what the model is told beside the image.
        images: scaled slices on the model grid, (K, H, W).
        noise: the exam's noise field on the model grid, (K, C, h, w).
    """

    exam: Exam
    injection: Injection
    grid: ModelGrid
    scale: float
    rows: slice
    columns: slice
    condition: Condition
    images: Tensor
    noise: Tensor

    @classmethod
    def of(cls, exam: Exam, injection: Injection, model: SynthesisModel, seed: int) -> Prepared:
        pre = exam.pre
        grid = ModelGrid.of(pre)
        stack = np.moveaxis(pre.voxels, grid.slice_axis, 0)
        body = body_mask(stack)
        scale = intensity_scale(stack, body)
        slices, height, width = grid.shape
        distance_mm = pre.spacing[::-1][grid.slice_axis]
        rows, columns = body_box(body)
        return cls(
            exam=exam,
            injection=injection,
            grid=grid,
            scale=scale,
            rows=rows,
            columns=columns,
            condition=Condition(exam.acquisition, injection, exam.anatomy),
            images=torch.from_numpy(grid.to_model(pre.voxels) / np.float32(scale)),
            noise=noise_field(slices, model.latent_shape(height, width), distance_mm, seed),
        )

    @property
    def slices(self) -> int:
        return self.grid.shape[0]

    @property
    def box_shape(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def to_stack(self, source: np.ndarray) -> np.ndarray:
        """A view of a source array with its slice axis in front."""
        return np.moveaxis(source, self.grid.slice_axis, 0)

    def model_indices(self, slices: Sequence[int]) -> list[int]:
        """Model slices of source slices."""
        return [self.grid.slice_index(k) for k in slices]

    def neighbourhoods(self, slices: Sequence[int]) -> Tensor:
        """Each slice between its two neighbours in the model's order, edge slices repeated; (N, 3, H, W)."""
        last = self.slices - 1
        triples = [[max(m - 1, 0), m, min(m + 1, last)] for m in self.model_indices(slices)]
        return self.images[torch.tensor(triples)]

    def to_box(self, planes: Tensor) -> Tensor:
        """Model planes (N, T, H, W) brought to the source's slices and cropped to the box; (N, T, rows, columns)."""
        result = torch.empty(*planes.shape[:2], *self.box_shape)
        for source, target in zip(planes.flatten(0, 1).numpy(), result.flatten(0, 1), strict=True):
            target.copy_(torch.from_numpy(self.grid.slice_to_source(source)[self.rows, self.columns]))
        return result

    def signal(self, slices: Sequence[int]) -> Tensor:
        """Scaled pre-contrast signal of slices in the box, zero where the source is negative; (N, rows, columns)."""
        box = self.to_stack(self.exam.pre.voxels)[list(slices), self.rows, self.columns]
        return torch.from_numpy(np.maximum(box, 0, dtype=np.float32) / np.float32(self.scale))

    def resting_signal(self, mask: np.ndarray) -> float:
        """Mean pre-contrast signal in a mask of the source's shape."""
        return float(self.exam.pre.voxels[mask].mean(dtype=np.float64))

    def fingerprint(self) -> str:
        """sha256 of everything about the exam that changes the result: voxels, geometry, acquisition, injection."""
        pre = self.exam.pre
        facts = {
            "version": __version__,
            "shape": pre.shape,
            "spacing": pre.spacing,
            "origin": pre.origin,
            "direction": pre.direction,
            "acquisition": asdict(self.exam.acquisition),
            "anatomy": self.exam.anatomy,
            "injection": self.injection.as_dict(),
        }
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        digest.update(np.ascontiguousarray(pre.voxels).data)
        return digest.hexdigest()


def body_box(body: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns that hold body in any slice of a mask, with a margin; everything where there is none."""
    return _extent(np.any(body, axis=(0, 2))), _extent(np.any(body, axis=(0, 1)))


def _extent(occupied: np.ndarray) -> slice:
    where = np.flatnonzero(occupied)
    if not len(where):
        return slice(0, len(occupied))
    return slice(max(int(where[0]) - _MARGIN, 0), min(int(where[-1]) + 1 + _MARGIN, len(occupied)))
