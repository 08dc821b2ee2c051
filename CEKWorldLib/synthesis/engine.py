"""Runs the model on slices of a prepared exam, on the device at hand, within the memory at hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from CEKWorldLib.errors import OutOfMemory
from CEKWorldLib.synthesis.batching import BatchSize, choose_device, is_out_of_memory, requested_bytes
from CEKWorldLib.synthesis.model import SynthesisModel
from CEKWorldLib.synthesis.prepared import Prepared


class Engine:
    """The model on its device. Latents are handed out as float16 on the CPU, frames on the source grid.

    A viewer may ask for an exact slice while a synthesis runs in another thread; it waits for the batch to end.

    Args:
        model: moved to the device and used under ``torch.inference_mode``.
        device: ``auto``, ``cpu``, ``cuda`` or another PyTorch device.
        steps: sampler steps; None takes the model's default.
        notify: receives a sentence whenever memory ran out and something was changed.

    Attributes:
        device: where the model is now; falls back to the CPU when the device's memory runs out.
        batch: how much is computed at once; shrinks when memory runs out.
    """

    def __init__(self, model: SynthesisModel, device: str, steps: int | None, notify: Callable[[str], None]) -> None:
        self.model = model
        self.steps = steps
        self.device = choose_device(device)
        self.batch = BatchSize.of(self.device)
        self._notify = notify
        self._requested_bytes: int | None = None
        self._recent: tuple[Prepared, tuple[int, ...], Any] | None = None
        self._lock = threading.RLock()
        model.to(self.device)

    def latents(self, prepared: Prepared, slices: Sequence[int], times_s: Sequence[float]) -> Tensor:
        """Samples latents of slices at times; (N, T, C, h, w) float16 on the CPU."""

        def run(part: list[int], times: Sequence[float]) -> Tensor:
            noise = prepared.noise[prepared.model_indices(part)].to(self.device)
            seconds = torch.tensor(times, dtype=torch.float32, device=self.device)
            return self.model.sample(self._features(prepared, part), seconds, noise, self.steps).half().cpu()

        return self._in_batches(run, slices, times_s)

    def enhancement(self, prepared: Prepared, slices: Sequence[int], latents: Tensor) -> Tensor:
        """Decodes latents (N, T, C, h, w) to enhancement in the source grid's body box; (N, T, rows, columns).

        A voxel loses no more than the signal it has.
        """
        position = {k: n for n, k in enumerate(slices)}

        def run(part: list[int], steps: Sequence[int]) -> Tensor:
            chosen = latents[[position[k] for k in part]][:, list(steps)].to(self.device).float()
            planes = self.model.decode(chosen, self._features(prepared, part)).float().cpu()
            return torch.maximum(prepared.to_box(planes), -prepared.signal(part)[:, None])

        return self._in_batches(run, slices, range(latents.shape[1]))

    def _features(self, prepared: Prepared, slices: list[int]) -> Any:
        """Features of a batch. The latest are kept: decoding follows sampling, and a viewer stays on its slice."""
        if self._recent is not None and self._recent[0] is prepared and self._recent[1] == tuple(slices):
            return self._recent[2]
        self._recent = None
        features = self.model.encode(prepared.neighbourhoods(slices).to(self.device), prepared.condition)
        self._recent = (prepared, tuple(slices), features)
        return features

    @torch.inference_mode()
    def _in_batches(self, run: Callable[[list[int], Any], Tensor], slices: Sequence[int], times: Sequence) -> Tensor:
        """Runs over slices and times in the largest batches that fit, and puts the results together."""
        rows, start = [], 0
        while start < len(slices):
            part = list(slices[start : start + self.batch.slices])
            columns: list[Tensor] = []
            done = 0
            while done < len(times):
                chunk = times[done : done + (self.batch.times or len(times))]
                result = self._attempt(partial(run, part, chunk))
                if result is None:
                    self._make_room(len(part), len(chunk))
                    if len(part) > self.batch.slices:
                        break
                    continue
                columns.append(result)
                done += len(chunk)
            else:
                rows.append(torch.cat(columns, 1))
                start += len(part)
        return torch.cat(rows)

    def _attempt(self, run: Callable[[], Tensor]) -> Tensor | None:
        """The result, or None when memory ran out. The exception, which holds on to tensors, ends with this call."""
        try:
            with self._lock:
                return run()
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self._requested_bytes = requested_bytes(error)
            return None

    def _make_room(self, slices: int, times: int) -> None:
        self._recent = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.batch.shrink(slices, times):
            self._notify(
                f"Memory ran out on {self.device.type}; going on with smaller batches "
                f"({_count(self.batch.slices, 'slice')}, {_count(self.batch.times, 'time')})."
            )
        elif self.device.type != "cpu":
            self._notify(f"Memory ran out on {self.device.type} even for the smallest batch; going on on the CPU.")
            self.device = torch.device("cpu")
            self.batch = BatchSize.of(self.device)
            self.model.to(self.device)
        else:
            raise OutOfMemory(
                "There is not enough memory to synthesize even one slice at one time; close other programs or use a "
                "machine with more memory.",
                need_bytes=self._requested_bytes,
            )


def _count(number: int | None, what: str) -> str:
    return f"all {what}s" if number is None else f"{number} {what}" + ("" if number == 1 else "s")
