"""What of a series and its exam goes into an archive, and how it comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from CEKWorldLib.exam.exam import Exam
from CEKWorldLib.exam.protocol import Acquisition
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.synthesis.series import Series


def series_tensors(series: Series) -> dict[str, Tensor]:
    """Latents, and key frames where all of them are in memory; slopes follow from the frames."""
    tensors = {"latents": series.latents}
    if series.frames.resident:
        tensors["values"] = series.frames.values()
    return tensors


def fill_from(series: Series, tensors: Mapping[str, Tensor]) -> bool:
    """Fills a new series from an archive's tensors; False, and nothing filled, where they do not fit it.

    Slices without key frames are decoded from their latents when they are looked at.
    """
    latents, values = tensors.get("latents"), tensors.get("values")
    expected = (*series.latents.shape[:2], *series.prepared.box_shape)
    if latents is None or latents.shape != series.latents.shape or (values is not None and values.shape != expected):
        return False
    series.latents.copy_(latents)
    if values is not None:
        for k in range(len(values)):
            if series.frames.has_room([k]):
                series.frames.put(k, values[k])
    series.ready[:] = True
    return True


def exam_facts(exam: Exam) -> dict[str, Any]:
    """Everything about an exam but its voxels and where it came from, whose path may name a patient."""
    return {
        "spacing": exam.pre.spacing,
        "origin": exam.pre.origin,
        "direction": exam.pre.direction,
        "acquisition": asdict(exam.acquisition),
        "anatomy": exam.anatomy,
        "warnings": exam.warnings,
    }


def exam_from(facts: Mapping[str, Any], voxels: Tensor) -> Exam:
    """The exam of ``exam_facts`` and its voxels."""
    return Exam(
        pre=Volume(
            voxels=voxels.to(torch.float32).numpy(),
            spacing=tuple(facts["spacing"]),
            origin=tuple(facts["origin"]),
            direction=tuple(facts["direction"]),
        ),
        acquisition=Acquisition(**facts["acquisition"]),
        anatomy=facts["anatomy"],
        warnings=tuple(facts["warnings"]),
    )
