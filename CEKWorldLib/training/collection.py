"""A fixed collection of slices in memory, such as the patients of one small study."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from CEKWorldLib.export.atomic import replacing
from CEKWorldLib.training.batches import Batch, Slab, make_batch
from CEKWorldLib.training.patients import at_some_times


@dataclass(frozen=True)
class Collection:
    """Slabs to draw from, whatever their numbers of times. A ``SlabSource``."""

    slabs: Sequence[Slab]

    def draw(self, slices: int, times: int, size: int, seed: int, step: int, device: torch.device) -> Batch:
        """As `SlabSource.draw`."""
        rng = np.random.default_rng([seed, step])
        chosen = rng.choice(len(self.slabs), slices, replace=slices > len(self.slabs))
        drawn = [self.slabs[index] for index in chosen]
        count = min(times, *(len(slab.times_s) for slab in drawn))
        return make_batch((at_some_times(slab, count, rng) for slab in drawn), size, rng, device)

    def save(self, path: Path) -> None:
        """Writes a safetensors file, whole or not at all."""
        arrays = {
            f"{number}.{field.name}": np.ascontiguousarray(getattr(slab, field.name))
            for number, slab in enumerate(self.slabs)
            for field in fields(slab)
        }
        with replacing(path) as temporary:
            save_file(arrays, temporary)

    @classmethod
    def load(cls, path: Path) -> Collection:
        """Reads what ``save`` wrote."""
        slabs: dict[int, dict[str, Any]] = defaultdict(dict)
        for key, values in load_file(path).items():
            number, name = key.split(".")
            slabs[int(number)][name] = values.item() if name in ("arrival_s", "mirror") else values
        return cls([Slab(**slabs[number]) for number in sorted(slabs)])
