"""Interpolation in time: monotone cubic Hermite (PCHIP), with the enhancement at rest until the bolus arrives.

Between two key times a curve never leaves the range of its two key values, so no phase is invented between them. A
natural cubic spline overshoots a first pass by 30 to 60 % of the curve's maximum.

Fritsch FN, Butland J. A method for constructing local monotone piecewise cubic interpolants. SIAM J Sci Stat Comput
1984;5:300-304. End slopes after Moler, Numerical Computing with MATLAB, 2004, section 3.4.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Weights:
    """How a time is read from the nodes: a sum over stored terms of one or two neighbouring nodes.

    Attributes:
        first: index of the first node used.
        terms: (value, slope) weights of node ``first``, and of the node after it where there are four.
    """

    first: int
    terms: tuple[float, ...]

    @property
    def nodes(self) -> slice:
        return slice(self.first, self.first + len(self.terms) // 2)


@dataclass(frozen=True)
class TimeBase:
    """Bolus arrival, where the enhancement is zero and flat, and the nodes after it.

    Attributes:
        arrival_s: bolus arrival.
        nodes_s: ascending key times after arrival.
    """

    arrival_s: float
    nodes_s: tuple[float, ...]

    @classmethod
    def of(cls, arrival_s: float, times_s: tuple[float, ...]) -> TimeBase:
        """Key times up to arrival hold no information: there the enhancement is zero by definition."""
        return cls(arrival_s, tuple(t for t in times_s if t > arrival_s))

    def __len__(self) -> int:
        return len(self.nodes_s)

    @cached_property
    def _steps(self) -> np.ndarray:
        return np.diff([self.arrival_s, *self.nodes_s])

    @cached_property
    def _slope_units(self) -> np.ndarray:
        """Per node the shorter neighbouring interval: a slope times it is at most three key differences, as PCHIP
        limits it, so slopes keep their precision in float16."""
        steps = self._steps
        return np.minimum(steps, np.append(steps[1:], np.inf))

    def slopes(self, values: Tensor) -> Tensor:
        """PCHIP slopes at the nodes, times the shorter neighbouring interval.

        Args:
            values: (T, ...) at the T nodes; zero at arrival is understood.

        Returns:
            (T, ...) of the same type.
        """
        if not len(values):
            return values
        steps = torch.from_numpy(self._steps).to(values.dtype).view(-1, *[1] * (values.dim() - 1))
        units = torch.from_numpy(self._slope_units).to(values.dtype).view_as(steps)
        secants = torch.diff(values, dim=0, prepend=torch.zeros_like(values[:1])) / steps
        slopes = torch.empty_like(values)
        slopes[-1] = _end_slope(secants, steps)
        if len(values) > 1:
            before, after = secants[:-1], secants[1:]
            w_before, w_after = 2 * steps[1:] + steps[:-1], steps[1:] + 2 * steps[:-1]
            monotone = before * after > 0
            mean = (w_before + w_after) / (
                w_before / torch.where(monotone, before, 1.0) + w_after / torch.where(monotone, after, 1.0)
            )
            slopes[:-1] = torch.where(monotone, mean, 0.0)
        return slopes * units

    def weights(self, t_s: float) -> Weights | None:
        """Weights that read time t from (value, slope) pairs; None where there is no enhancement yet.

        After the last node its value holds.
        """
        if t_s <= self.arrival_s or not self.nodes_s:
            return None
        right = bisect_right(self.nodes_s, t_s)
        if right == len(self.nodes_s):
            return Weights(right - 1, (1.0, 0.0))
        start = self.nodes_s[right - 1] if right else self.arrival_s
        step = self.nodes_s[right] - start
        u = (t_s - start) / step
        units = self._slope_units
        end = (u * u * (3 - 2 * u), u * u * (u - 1) * step / units[right])
        if not right:
            return Weights(0, end)
        begin = ((1 + 2 * u) * (1 - u) ** 2, u * (1 - u) ** 2 * step / units[right - 1])
        return Weights(right - 1, begin + end)

    def evaluate(self, pairs: Tensor, times_s: Sequence[float]) -> Tensor:
        """Reads (T, 2, ...) pairs of value and slope at many times; returns (len(times_s), ...)."""
        matrix = torch.zeros(len(times_s), 2 * len(self), dtype=pairs.dtype)
        for row, t in enumerate(times_s):
            weights = self.weights(t)
            if weights is not None:
                start = 2 * weights.first
                matrix[row, start : start + len(weights.terms)] = torch.tensor(weights.terms, dtype=pairs.dtype)
        return torch.tensordot(matrix, pairs.flatten(0, 1), dims=1)


def _end_slope(secants: Tensor, steps: Tensor) -> Tensor:
    """The one-sided three-point slope at the last node, limited so that the last interval stays monotone."""
    last = secants[-1]
    if len(secants) == 1:
        # Before arrival the curve is flat: the secant before the only interval is zero over as long a time.
        before, h_before = torch.zeros_like(last), steps[-1]
    else:
        before, h_before = secants[-2], steps[-2]
    slope = ((2 * steps[-1] + h_before) * last - steps[-1] * before) / (steps[-1] + h_before)
    slope = torch.where(slope * last > 0, slope, 0.0)
    return torch.where((last * before <= 0) & (slope.abs() > 3 * last.abs()), 3 * last, slope)
