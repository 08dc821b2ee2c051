"""How the terms of a stage add up: as they are, by a schedule, or by weights learned with the network.

``scheduled`` and ``learned`` are for LAL and LDL in one stage, the joint training that MRI CEKWorld names as future
work; it switches from one to the other instead. A term's own weight in ``Consistency`` is where either starts from.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Weighting = Literal["sum", "scheduled", "learned"]
_LEARNED = ("velocity", "alignment", "difference")
_LARGEST_LOG = 3.0  # factors from 1/20 to 20: a term that reaches zero must not drive its own weight to infinity
_PACE = 20.0  # Adam moves a number by its learning rate a step; log weights have further to go than weights of layers
_LAST_ALIGNMENT = 0.5


class TermWeights(nn.Module):
    """The sum of a stage's terms. Without parameters unless weights are learned.

    Learned weights are those of Kendall et al. (CVPR 2018) for regression: sum of exp(-s_k) L_k + s_k with s_k the log
    variance of term k, learned. exp is positive, so no term is ever rewarded for growing. Terms not listed in
    ``_LEARNED`` keep their weight.

    Args:
        kind: see the module.
    """

    def __init__(self, kind: Weighting = "sum") -> None:
        super().__init__()
        self.kind = kind
        if kind == "learned":
            self.log_variances = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in _LEARNED})

    def forward(self, terms: dict[str, Tensor], share: float) -> Tensor:
        """What is minimised.

        Args:
            terms: scalars by name.
            share: of the stage's steps that are done.
        """
        if self.kind == "learned":
            logs = {name: self._log_variance(name) for name in terms if name in self.log_variances}
            parts = [torch.exp(-logs[n]) * term + logs[n] if n in logs else term for n, term in terms.items()]
            # Processes average gradients, so every weight has one, also where a step goes without its term.
            parts += [0.0 * log for log in self.log_variances.values()]
        else:
            parts = [self.factor(name, share) * term for name, term in terms.items()]
        return torch.stack([part.float() for part in parts]).sum()

    @torch.no_grad()
    def factor(self, name: str, share: float) -> float:
        """What a term is multiplied with: always positive once its schedule has begun."""
        if self.kind == "learned" and name in self.log_variances:
            return float(torch.exp(-self._log_variance(name)))
        if self.kind == "scheduled":  # LAL first sets the structure and then gives way to LDL
            ramps = {"alignment": 1.0 - (1.0 - _LAST_ALIGNMENT) * share, "difference": share}
            return ramps.get(name, 1.0)
        return 1.0

    def _log_variance(self, name: str) -> Tensor:
        return _LARGEST_LOG * torch.tanh(_PACE * self.log_variances[name] / _LARGEST_LOG)
