"""Which cases a model may learn from, and which are kept from it: by seed, lesion family, protocol range and AIF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from CEKWorldLib.exam.protocol import Anatomy

Split = Literal["train", "validation", "test", "unseen_lesion", "unseen_protocol", "unseen_aif"]
SPLITS: tuple[Split, ...] = get_args(Split)
TITLES: dict[str, str] = {
    "train": "training",
    "validation": "validation",
    "test": "as in training",
    "unseen_lesion": "unseen lesion family",
    "unseen_protocol": "unseen protocol range",
    "unseen_aif": "unseen AIF",
}
"""How the splits are called in tables and pictures."""

SEEDS_PER_SPLIT = 10_000_000
HELD_OUT_FAMILY: dict[Anatomy, str] = {"breast": "non_mass", "abdomen": "fnh", "brain": "lymphoma"}
SEEN_AIFS = ("parker", "orton")
HELD_OUT_AIF = "georgiou"


def global_seed(split: Split, seed: int) -> int:
    """The seed of a case among the cases of all splits: every split has its own range of ten million.

    Raises:
        ValueError: unknown split, or a seed outside [0, ``SEEDS_PER_SPLIT``).
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)}")
    if not 0 <= seed < SEEDS_PER_SPLIT:
        raise ValueError(f"seed {seed} is outside 0 to {SEEDS_PER_SPLIT - 1}")
    return SPLITS.index(split) * SEEDS_PER_SPLIT + int(seed)


def lesion_families(anatomy: Anatomy, families: Sequence[str], split: Split) -> tuple[str, ...]:
    """The families a split draws from: the held-out one alone in ``unseen_lesion``, all others elsewhere."""
    held_out = HELD_OUT_FAMILY[anatomy]
    if split == "unseen_lesion":
        return (held_out,)
    return tuple(family for family in families if family != held_out)


def aif_names(split: Split) -> tuple[str, ...]:
    """The arterial input functions a split draws from."""
    return (HELD_OUT_AIF,) if split == "unseen_aif" else SEEN_AIFS


def is_held_out_protocol(repetition_time_ms: float, flip_angle_deg: float) -> bool:
    """Whether TR and flip angle lie in the corner that only ``unseen_protocol`` uses.

    Short TR with a large flip angle is the most T1-weighted corner of the range, so a model has to extrapolate to it;
    it is rare in practice, so leaving it out of training costs users little.
    """
    return repetition_time_ms <= 5.0 and flip_angle_deg >= 18.0
