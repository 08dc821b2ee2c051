"""Tissues of the breast and the chest behind it: T1 at 1.5 and 3 T, perfusion, grades of background enhancement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from CEKWorldLib.simulation.redraw import RedrawnPatient
from CEKWorldLib.simulation.tissue import Tissue

BACKGROUND = {"minimal": 0.3, "mild": 0.6, "moderate": 1.0, "marked": 1.6}  # grade: factor of the gland's Ktrans
_BACKGROUND_SHARE = (0.30, 0.35, 0.23, 0.12)
_WATER_EXPONENT = 0.04
_T1_SPREAD = 0.05
_PLASMA_OF_BLOOD = 0.58  # 1 - haematocrit

# Tissue: T1 at 1.5 T in seconds, and the median tissue at 3 T.
_TISSUES: dict[str, tuple[float, Tissue]] = {
    "fat": (0.296, Tissue(0.367, 0.85, 0.030, fat=1.0)),
    "skin": (0.745, Tissue(0.850, 0.75, 0.015, vp=0.05, ktrans=0.030, kep=0.15, delay_s=5.0)),
    "gland": (1.266, Tissue(1.445, 0.92, 0.030, vp=0.02, ktrans=0.026, kep=0.10, delay_s=15.0)),
    "nipple": (1.15, Tissue(1.300, 0.90, 0.025, vp=0.03, ktrans=0.060, kep=0.20, delay_s=8.0)),
    "ligament": (1.00, Tissue(1.150, 0.70, 0.015, vp=0.01, ktrans=0.006, kep=0.08, delay_s=10.0)),
    "duct": (1.80, Tissue(2.000, 0.95, 0.050, vp=0.01, ktrans=0.012, kep=0.08, delay_s=15.0)),
    "node": (1.15, Tissue(1.350, 0.95, 0.025, vp=0.06, ktrans=0.160, kep=0.45, delay_s=6.0)),
    "muscle": (1.008, Tissue(1.412, 0.85, 0.025, vp=0.03, ktrans=0.030, kep=0.25, delay_s=7.0)),
    "myocardium": (1.030, Tissue(1.471, 0.85, 0.030, vp=0.12, ktrans=0.60, kep=2.6, delay_s=2.0)),
    "blood": (1.441, Tissue(1.630, 0.95, 0.060, vp=_PLASMA_OF_BLOOD)),
    "artery": (1.441, Tissue(1.630, 0.95, 0.060, vp=_PLASMA_OF_BLOOD, delay_s=1.0)),
    "vein": (1.441, Tissue(1.630, 0.95, 0.060, vp=_PLASMA_OF_BLOOD, delay_s=8.0)),
    "lung": (1.200, Tissue(1.300, 0.15, 0.002, vp=0.15)),
    "fluid": (4.200, Tissue(4.200, 1.00, 0.200)),
    "cord": (0.900, Tissue(1.050, 0.80, 0.040)),
    "cortex": (0.900, Tissue(1.000, 0.15, 0.003)),
    "marrow": (0.450, Tissue(0.550, 0.65, 0.012, fat=0.5, vp=0.02, ktrans=0.03, kep=0.3, delay_s=6.0)),
    "liver": (0.602, Tissue(0.752, 0.85, 0.020, vp=0.02, ktrans=0.90, kep=3.2, portal=0.78, delay_s=5.0)),
}


def draw_tissues(rng: np.random.Generator, field_strength_t: float) -> tuple[str, dict[str, Tissue]]:
    """The tissues of one patient.

    Args:
        rng: source of the patient's variation.
        field_strength_t: T1 is interpolated between 1.5 and 3 T.

    Returns:
        The grade of background enhancement, and tissue by name. Where kinetics are drawn again, so is the gland's
        uptake, among the grades its T1 leaves open; the grade named is the patient's own.
    """
    background = str(rng.choice(list(BACKGROUND), p=_BACKGROUND_SHARE))
    tissues = {}
    for name, (t1_at_1_5_t, tissue) in _TISSUES.items():
        t1 = float(np.interp(field_strength_t, (1.5, 3.0), (t1_at_1_5_t, tissue.t1_s)))
        blood = tissue.vp == _PLASMA_OF_BLOOD
        tissues[name] = replace(tissue, t1_s=t1).drawn(rng, _T1_SPREAD, perfusion_spread=0.05 if blood else 0.2)
    # Gland that enhances more holds more water: a weak cue before contrast, within the spread between patients.
    t1 = tissues["gland"].t1_s * BACKGROUND[background] ** _WATER_EXPONENT
    factor = BACKGROUND[background]
    if isinstance(rng, RedrawnPatient):
        t1_at_1_5_t, gland = _TISSUES["gland"]
        median_t1 = np.interp(field_strength_t, (1.5, 3.0), (t1_at_1_5_t, gland.t1_s))
        factor = rng.kinetics.choice(list(BACKGROUND.values()), p=_grades_given(t1 / median_t1))
    tissues["gland"] = replace(
        tissues["gland"],
        ktrans=tissues["gland"].ktrans * factor,
        vp=tissues["gland"].vp * np.sqrt(factor),
        t1_s=t1,
    )
    return background, tissues


def _grades_given(relative_t1: float) -> np.ndarray:
    """Probability of each grade of background enhancement, by Bayes' rule from what the gland's T1 says of it."""
    expected = _WATER_EXPONENT * np.log(list(BACKGROUND.values()))
    likelihood = np.exp(-0.5 * ((np.log(relative_t1) - expected) / _T1_SPREAD) ** 2)
    weight = np.array(_BACKGROUND_SHARE) * likelihood
    return weight / weight.sum()
