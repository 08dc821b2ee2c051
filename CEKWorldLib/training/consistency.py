"""Which of LAL and LDL a stage trains with, how strongly, and in which reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.training.alignment import Axis, excess_alignment, latent_alignment
from CEKWorldLib.training.difference import VIRTUAL_POINTS, latent_difference, official_difference
from CEKWorldLib.training.toml_file import whole_numbers

Mode = Literal["official", "latent"]


@dataclass(frozen=True)
class Consistency:
    """Spatiotemporal consistency learning of one stage. MRI CEKWorld trains the diffusion, then with LAL at weight 6,
    then with LDL at weight 1 and LAL off; both in one stage is the joint training it names as future work.

    Attributes:
        alignment: weight of Latent Alignment Learning; 0 leaves it out.
        axis: its covariance over channels (the authors' code) or regions.
        above_truth: punish only what exceeds the true latents' own value.
        difference: weight of Latent Difference Learning; 0 leaves it out.
        mode: on the network's output in seconds (the authors' code), or on clean latents without a unit.
        points: virtual times between two acquired ones.
        ends: whether LDL in latents holds both end points; see ``latent_difference``.
        dense_slices: slices of a batch whose dense sequence is computed; one of four costs two fifths of a step.
        difference_share: share of steps that compute LDL, at a weight that keeps its mean; as regularisers that
            cost much are applied since StyleGAN2 (Karras et al., CVPR 2020).
    """

    alignment: float = 0.0
    axis: Axis = "channel"
    above_truth: bool = False
    difference: float = 0.0
    mode: Mode = "latent"
    points: int = VIRTUAL_POINTS
    ends: bool = True
    dense_slices: int = 1
    difference_share: float = 0.5

    def __post_init__(self) -> None:
        for word, known in ((self.axis, Axis), (self.mode, Mode)):
            if word not in get_args(known):
                raise CEKWorldError(f"consistency knows no '{word}'; choose from {', '.join(get_args(known))}.")
        whole_numbers("consistency", points=(self.points, 1), dense_slices=(self.dense_slices, 1))
        if self.alignment < 0 or self.difference < 0 or not 0 < self.difference_share <= 1:
            raise CEKWorldError("consistency takes weights from 0 on, and a difference_share above 0 and up to 1.")

    def align(self, clean: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """LAL of predicted clean latents (N, T, 4, h, w) against the batch's truth; nothing at weight 0."""
        if not self.alignment:
            return {}
        value = excess_alignment(clean, truth, self.axis) if self.above_truth else latent_alignment(clean, self.axis)
        return {"alignment": self.alignment * value}

    def smooth(self, output: Tensor, clean: Tensor, times_s: Tensor, arrival_s: Tensor) -> dict[str, Tensor]:
        """LDL of a dense sequence (N, D, 4, h, w) at times (N, D).

        Args:
            output: what the network put out.
            clean: the clean latents that follow from it.
        """
        weight = self.difference / self.difference_share
        if self.mode == "official":
            return {"difference": weight * official_difference(output, times_s)}
        return {"difference": weight * latent_difference(clean, times_s, arrival_s, self.ends)}
