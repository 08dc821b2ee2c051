"""Latent Difference Learning (LDL): latents move smoothly through the times between acquired ones.

MRI CEKWorld (CVPR 2026) puts virtual time points between acquired ones and penalises second-order differences of the
model's output over the dense sequence, with non-uniform steps. ``official_difference`` is what the authors' code does.
Its unit is 1/s^2: frames of unit variance give 0.65 at 1 s spacing and 1e-5 at the minutes between breast phases,
where with their weight of 1 it does nothing. ``latent_difference`` is ours: the deviation from the chord, which has no
unit; from the exact pre-contrast latent on; with a one-sided difference at the last time; and only as far as no
tracer-kinetic curve bends.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from CEKWorldLib.exam.protocol import Injection
from CEKWorldLib.simulation.enhancement import ConcentrationTable
from CEKWorldLib.simulation.splits import SEEN_AIFS

VIRTUAL_POINTS = 2
_WEIGHT_S = 30.0
_PHYSIOLOGY_S = 600


def virtual_times(times_s: Tensor, generator: torch.Generator, points: int = VIRTUAL_POINTS) -> Tensor:
    """Times (N, points * (T - 1)) drawn uniformly, ``points`` inside every gap of ascending times (N, T)."""
    share = torch.rand(*times_s[:, 1:].shape, points, generator=generator).to(times_s)
    return (times_s[:, :-1, None] + share * times_s.diff(dim=1)[..., None]).flatten(1)


def interpolated(latents: Tensor, times_s: Tensor, dense_s: Tensor) -> Tensor:
    """Latents at dense times, linear between the acquired ones; what virtual points are noised from.

    Args:
        latents: (N, T, ...) at ascending ``times_s`` (N, T).
        dense_s: (N, D) within their range.
    """
    right = torch.searchsorted(times_s.contiguous(), dense_s.contiguous()).clamp(1, times_s.shape[1] - 1)
    begin, end = times_s.gather(1, right - 1), times_s.gather(1, right)
    share = ((dense_s - begin) / (end - begin).clamp(min=1e-6)).view(*dense_s.shape, *[1] * (latents.dim() - 2))
    rows = torch.arange(len(latents), device=latents.device)[:, None]
    return latents[rows, right - 1].lerp(latents[rows, right], share)


def official_difference(output: Tensor, times_s: Tensor) -> Tensor:
    """Mean absolute second difference over time, weighted by 1 / (1 + h0 + h1), in seconds.

    Args:
        output: what the network puts out, noise or velocity, (N, D, ...), D >= 3.
        times_s: (N, D) ascending.
    """
    before, after = _steps(times_s, output)
    second = 2 * (
        output[:, :-2] / (before * (before + after))
        - output[:, 1:-1] / (before * after)
        + output[:, 2:] / (after * (before + after))
    )
    return (second / (1 + before + after)).abs().mean()


def latent_difference(latents: Tensor, times_s: Tensor, arrival_s: Tensor, ends: bool = True) -> Tensor:
    """Mean deviation of clean latents from the chord of their neighbours, beyond what physiology bends.

    Args:
        latents: clean latents of the dense sequence (N, D, C, h, w), in any order of time.
        times_s: (N, D) seconds after injection.
        arrival_s: (N,) bolus arrival, where the latent is zero.
        ends: whether both ends are held: the left by the exact pre-contrast latent, the right by a one-sided
            difference. Without, only inner times are, as in the paper.

    Returns:
        Scalar without a unit.
    """
    times_s, order = times_s.sort(1)
    latents = latents.gather(1, order.view(*order.shape, *[1] * (latents.dim() - 2)).expand_as(latents))
    since = (times_s - arrival_s[:, None]).clamp(min=0)
    if ends:
        since = torch.cat([torch.zeros_like(since[:, :1]), since], 1)
        latents = torch.cat([torch.zeros_like(latents[:, :1]), latents], 1)
    before, after = _steps(since, latents)
    amplitude = latents.detach().abs().amax(1, keepdim=True)
    bend = physiological_bend(since).to(latents).view_as(before)
    excess = (chord_deviation(latents, since).abs() - bend * amplitude).clamp(min=0)
    weight = 1 / (1 + (before + after) / _WEIGHT_S)
    inside = (excess * weight).flatten(2).mean(2).sum(1)
    if not ends:
        return (inside / before.shape[1]).mean()
    # At the right end nothing comes after: the last chord, prolonged, at half the weight.
    last = (_prolonged(latents, since).abs() - bend[:, -1] * amplitude[:, 0]).clamp(min=0)
    end = 0.5 * (last * weight[:, -1]).flatten(1).mean(1)
    return ((inside + end) / (before.shape[1] + 0.5)).mean()


def chord_deviation(values: Tensor, times_s: Tensor) -> Tensor:
    """How far each inner value lies from the chord of its neighbours: -h0 h1 / 2 times the second derivative.

    Args:
        values: (N, D, ...).
        times_s: (N, D) ascending; equal times count as a step of next to nothing.

    Returns:
        (N, D - 2, ...).
    """
    before, after = _steps(times_s, values)
    return values[:, 1:-1] - (after * values[:, :-2] + before * values[:, 2:]) / (before + after)


def physiological_bend(since_arrival_s: Tensor) -> Tensor:
    """The chord deviation that tissue curves of unit maximum show at these triplets of times: their 95th percentile.

    Args:
        since_arrival_s: (N, D) seconds after arrival, ascending.

    Returns:
        (N, D - 2).
    """
    curves = _tissue_curves().to(since_arrival_s)
    at = since_arrival_s.clamp(0, _PHYSIOLOGY_S - 1)
    floor = at.floor().long().clamp(max=_PHYSIOLOGY_S - 2)
    values = curves[:, floor].lerp(curves[:, floor + 1], (at - floor).expand(len(curves), *at.shape))
    flat = chord_deviation(values.flatten(0, 1), since_arrival_s.repeat(len(curves), 1))
    return flat.unflatten(0, (len(curves), -1)).abs().quantile(0.95, dim=0)


@cache
def _tissue_curves() -> Tensor:
    """Concentrations of tissue from benign to highly perfused, over arterial inputs, each with maximum one, at 1 s."""
    ktrans, ve = (grid.ravel() for grid in np.meshgrid([0.05, 0.15, 0.5, 1.5], [0.15, 0.3, 0.6]))
    still = np.zeros_like(ve)
    maps = {"ktrans": ktrans, "kep": ktrans / ve, "vp": still + 0.03, "portal": still, "delay_s": still}
    curves = []
    for aif in SEEN_AIFS:
        table = ConcentrationTable.for_injection(aif, Injection(arrival_s=0.0), 8.0)
        curves.append(np.stack([table.concentration(maps, float(t)) for t in range(_PHYSIOLOGY_S)], 1))
    every = np.concatenate(curves)
    return torch.from_numpy((every / every.max(1, keepdims=True)).astype(np.float32))


def _steps(times_s: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Steps before and after every inner time, shaped to multiply ``values``."""
    steps = times_s.diff(dim=1).clamp(min=1e-3).view(len(times_s), -1, *[1] * (values.dim() - 2))
    return steps[:, :-1], steps[:, 1:]


def _prolonged(values: Tensor, times_s: Tensor) -> Tensor:
    """The last value against the line through the two before it, scaled as ``chord_deviation`` is."""
    before, after = (steps[:, -1] for steps in _steps(times_s, values))
    line = values[:, -2] + (values[:, -2] - values[:, -3]) * after / before
    return (values[:, -1] - line) * before / (before + after)
