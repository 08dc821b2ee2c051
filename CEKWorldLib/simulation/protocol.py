"""Random but plausible protocols: sequence settings, agent, injection, circulation and sampling times.

Ranges: TR, TE and flip angle of T1-weighted spoiled gradient-echo DCE exams; r1 in plasma after Rohrer et al. (Invest
Radiol 2005;40:715) and Szomolanyi et al. (Invest Radiol 2019;54:559); breast timing from the public acquisition times
of 2,104 exams of the DUKE, I-SPY 1, I-SPY 2 and NACT collections.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from CEKWorldLib.exam.protocol import Acquisition, Anatomy, Injection
from CEKWorldLib.simulation.redraw import draw_kinetic
from CEKWorldLib.simulation.splits import Split, aif_names, is_held_out_protocol

# r1 in plasma at 1.5 and 3 T, 1/(mM s). Agents given at 0.1 mmol/kg only; gadopiclenol (half the dose at twice the
# relaxivity) would repeat gadobenate's effect, and gadoxetate enters hepatocytes, which the kinetics do not hold.
RELAXIVITY: dict[str, tuple[float, float]] = {
    "gadobutrol": (5.2, 5.0),
    "gadoterate": (3.6, 3.5),
    "gadoteridol": (4.1, 3.7),
    "gadopentetate": (4.1, 3.7),
    "gadobenate": (6.3, 5.5),
    "gadodiamide": (4.3, 4.0),
}
FAT_SATURATED_SHARE: dict[Anatomy, float] = {"breast": 0.6, "abdomen": 0.8, "brain": 0.2}


class _Site(NamedTuple):
    """A breast collection: its share of the exams, range of post-contrast phases, spacing at 5, 50 and 95 % in s."""

    share: float
    phases: tuple[int, int]
    spacing_s: tuple[float, float, float]


_BREAST_SITES = (
    _Site(0.44, (3, 4), (91.0, 116.0, 131.0)),  # DUKE
    _Site(0.07, (2, 2), (118.0, 300.0, 400.0)),  # I-SPY 1
    _Site(0.46, (5, 7), (81.0, 90.0, 100.0)),  # I-SPY 2
    _Site(0.03, (2, 2), (292.0, 338.0, 480.0)),  # NACT
)


def draw_protocol(
    rng: np.random.Generator, anatomy: Anatomy, split: Split
) -> tuple[Acquisition, Injection, str, float]:
    """Draws how one case is scanned and injected.

    Args:
        rng: source of all choices.
        anatomy: decides how often fat is saturated.
        split: decides the range of TR and flip angle, and the arterial input functions.

    Returns:
        The acquisition, the injection, the name of the arterial input function, and the injection's duration in s.
    """
    field_strength = float(rng.choice([1.5, 3.0]))
    repetition_time, flip_angle = _draw_contrast(rng, held_out=split == "unseen_protocol")
    acquisition = Acquisition(
        repetition_time_ms=repetition_time,
        echo_time_ms=rng.uniform(1.0, min(4.0, repetition_time - 1.5)),  # 1.5 ms: half a readout and the spoiler
        flip_angle_deg=flip_angle,
        field_strength_t=field_strength,
        fat_saturated=bool(rng.random() < FAT_SATURATED_SHARE[anatomy]),
    )
    agent = str(rng.choice(list(RELAXIVITY)))
    injection = Injection(
        arrival_s=rng.uniform(10.0, 40.0),
        dose_mmol_per_kg=0.1 * rng.uniform(0.8, 1.2),
        relaxivity=RELAXIVITY[agent][field_strength > 2.0],
        cardiac_output=rng.uniform(0.75, 1.4),
    )
    aif = str(draw_kinetic(rng, lambda stream: stream.choice(aif_names(split))))
    return acquisition, injection, aif, draw_kinetic(rng, lambda stream: stream.uniform(5.0, 20.0))


def _draw_contrast(rng: np.random.Generator, held_out: bool) -> tuple[float, float]:
    """TR in ms and flip angle in degrees, inside or outside the held-out corner."""
    while True:
        repetition_time, flip_angle = rng.uniform(3.5, 8.0), rng.uniform(8.0, 25.0)
        if is_held_out_protocol(repetition_time, flip_angle) == held_out:
            return repetition_time, flip_angle


def acquired_times(rng: np.random.Generator, anatomy: Anatomy, arrival_s: float = 20.0) -> np.ndarray:
    """When a real exam of this body region would sample the enhancement.

    Breast follows the collections named above; their clock starts at the pre-contrast scan, so the first phase is put
    at its k-space centre, half a spacing after a scan that starts with the bolus. Abdomen is bolus-tracked arterial,
    portal-venous, equilibrium and (half of the time) delayed phases. Brain is a DCE perfusion run or single late scans.

    Args:
        rng: source of all choices.
        anatomy: body region.
        arrival_s: bolus arrival, s after injection start.

    Returns:
        (n,) ascending times in s after injection start; the pre-contrast scan is not among them.
    """
    if anatomy == "breast":
        return _breast_times(rng, arrival_s)
    if anatomy == "abdomen":
        phases = [arrival_s + rng.uniform(10, 20), rng.uniform(60, 80), rng.uniform(150, 200)]
        return np.array(phases + ([rng.uniform(240, 360)] if rng.random() < 0.5 else []))
    if rng.random() < 0.5:
        return np.arange(0.0, rng.uniform(300.0, 360.0), rng.uniform(3.5, 8.0))
    return np.sort(rng.uniform(240.0, 600.0, rng.integers(1, 4)))


def _breast_times(rng: np.random.Generator, arrival_s: float) -> np.ndarray:
    site = _BREAST_SITES[rng.choice(len(_BREAST_SITES), p=[site.share for site in _BREAST_SITES])]
    spacing = np.interp(rng.uniform(0.05, 0.95), (0.05, 0.5, 0.95), site.spacing_s)
    count = rng.integers(site.phases[0], site.phases[1] + 1)
    return arrival_s + rng.uniform(0.0, 10.0) + spacing * (np.arange(count) + 0.5)
