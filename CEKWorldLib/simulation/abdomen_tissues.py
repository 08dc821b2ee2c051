"""Tissues of the upper abdomen: T1 at 1.5 and 3 T, and how contrast reaches and leaves them.

T1: Stanisz 2005 (Magn Reson Med), de Bazelaire 2004 (Radiology), Rakow-Penner 2006 (J Magn Reson Imaging).
Perfusion: dual-input liver after Materne 2002 (Magn Reson Med) with a distribution volume of .25 and a mean transit
time of 23 s; spleen, pancreas and kidney lie in the ranges of perfusion CT and MR (flow .6 to 1.5 /min, ve .2 to .3).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from CEKWorldLib.simulation.redraw import draw_kinetic
from CEKWorldLib.simulation.tissue import Texture, Tissue

_PLASMA = 0.58  # 1 - haematocrit: the share of blood that carries contrast


def _blood(kep: float = 0.0, portal: float = 0.0, delay_s: float = 0.0) -> Tissue:
    """Blood: an artery, or for kep > 0 a vein whose inflow is smeared over 1 / kep."""
    vp, ktrans = (_PLASMA, 0.0) if kep == 0 else (0.0, _PLASMA * kep)
    return Tissue(1.63, 0.95, 0.06, vp=vp, ktrans=ktrans, kep=max(kep, 0.2), portal=portal, delay_s=delay_s)


# Tissue: T1 at 1.5 T in seconds, and the median tissue at 3 T.
_TISSUES: dict[str, tuple[float, Tissue]] = {
    "fat": (0.296, Tissue(0.367, 0.90, 0.030, fat=1.0)),
    "skin": (0.745, Tissue(0.850, 0.70, 0.012, vp=0.03, ktrans=0.03, kep=0.15, delay_s=8.0)),
    "muscle": (1.008, Tissue(1.350, 0.80, 0.025, vp=0.012, ktrans=0.03, kep=0.25, delay_s=8.0)),
    "cortical_bone": (0.9, Tissue(1.000, 0.15, 0.004)),
    "marrow": (0.52, Tissue(0.586, 0.75, 0.012, fat=0.35, vp=0.02, ktrans=0.09, kep=0.5, delay_s=8.0)),
    "disc": (1.1, Tissue(1.250, 0.70, 0.030)),
    "cord": (0.75, Tissue(0.990, 0.80, 0.060, vp=0.015)),
    "csf": (4.0, Tissue(4.000, 1.00, 0.200)),
    "lung": (1.2, Tissue(1.300, 0.14, 0.002, vp=0.12, delay_s=0.0)),
    "myocardium": (1.03, Tissue(1.471, 0.85, 0.030, vp=0.06, ktrans=0.40, kep=2.2, delay_s=3.0)),
    "artery": (1.441, _blood()),
    "lower_cava": (1.441, _blood(kep=2.0, delay_s=32.0)),
    "upper_cava": (1.441, _blood(kep=3.0, delay_s=9.0)),
    "renal_vein": (1.441, _blood(kep=6.0, delay_s=6.0)),
    "hepatic_vein": (1.441, _blood(kep=2.6, portal=0.8, delay_s=18.0)),
    "portal_vein": (1.441, _blood(kep=12.0, portal=1.0)),
    "liver": (0.602, Tissue(0.780, 0.85, 0.020, vp=0.01, ktrans=0.65, kep=2.6, portal=0.80, delay_s=8.0)),
    "spleen": (1.057, Tissue(1.328, 0.88, 0.035, vp=0.05, ktrans=0.55, kep=2.5, delay_s=4.0)),
    "cortex": (0.966, Tissue(1.142, 0.88, 0.045, vp=0.26, ktrans=0.40, kep=0.42, delay_s=1.5)),
    "medulla": (1.412, Tissue(1.545, 0.92, 0.045, vp=0.05, ktrans=0.37, kep=0.45, delay_s=27.0)),
    "urine": (3.5, Tissue(3.500, 1.00, 0.150, ktrans=0.35, kep=0.02, delay_s=140.0)),
    "pancreas": (0.584, Tissue(0.725, 0.85, 0.028, vp=0.08, ktrans=0.65, kep=2.4, delay_s=4.0)),
    "adrenal": (0.9, Tissue(1.050, 0.85, 0.028, vp=0.08, ktrans=0.50, kep=2.0, delay_s=4.0)),
    "gastric_wall": (0.95, Tissue(1.150, 0.85, 0.025, vp=0.06, ktrans=0.32, kep=1.0, delay_s=5.0)),
    "bowel_wall": (0.95, Tissue(1.150, 0.85, 0.025, vp=0.06, ktrans=0.28, kep=0.9, delay_s=7.0)),
    "gastric_content": (2.0, Tissue(2.200, 0.95, 0.060)),
    "chyme": (1.2, Tissue(1.300, 0.85, 0.030)),
    "stool": (0.75, Tissue(0.850, 0.60, 0.012)),
    "gas": (1.0, Tissue(1.000, 0.00, 0.002)),
    "bile": (1.4, Tissue(1.500, 1.00, 0.080)),
}
_OWN_SPREAD = {"bile": 0.5, "gastric_content": 0.35, "chyme": 0.25, "stool": 0.25}  # log sd of T1; else 0.06

LIVER_TEXTURE = Texture(6.0, 0.025, 0.02, 0.10, 0.05)
PARENCHYMA = Texture(4.0, 0.03, 0.02, 0.12, 0.06)
FLESH = Texture(4.0, 0.05, 0.05, 0.15, 0.06)


def draw_tissues(rng: np.random.Generator, field_strength_t: float) -> dict[str, Tissue]:
    """The tissues of one patient.

    Args:
        rng: source of the patient's variation: log sd .06 of T1, .12 of perfusion, more for bile and bowel content.
        field_strength_t: T1 is interpolated between 1.5 and 3 T and held outside.

    Returns:
        Tissue by name. The liver's portal share is uniform in .72 to .85, and every fourth liver is fatty; blood keeps
        its plasma fraction.
    """
    at_3t = float(np.clip((field_strength_t - 1.5) / 1.5, 0, 1))
    drawn = {}
    for name, (t1_low, high) in _TISSUES.items():
        median = replace(high, t1_s=t1_low + at_3t * (high.t1_s - t1_low))
        tissue = median.drawn(rng, _OWN_SPREAD.get(name, 0.06), 0.12)
        if median.vp == _PLASMA or median.ktrans == _PLASMA * median.kep:
            tissue = replace(tissue, vp=median.vp, ktrans=median.ktrans, kep=median.kep)
        drawn[name] = tissue
    portal = draw_kinetic(rng, lambda stream: stream.uniform(0.72, 0.85))
    drawn["liver"] = replace(drawn["liver"], portal=portal, fat=rng.uniform(0.05, 0.2) if rng.random() < 0.25 else 0.02)
    return drawn
