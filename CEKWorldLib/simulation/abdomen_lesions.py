"""Focal lesions of the liver: how each family looks before contrast, and how it takes up and loses contrast.

The enhancement is what tells them apart: hepatocellular carcinoma (HCC) is fed by the artery and washes out, often
within a capsule that enhances late; metastases enhance at the rim; haemangiomas fill from the edge to the centre over
minutes; cysts never; focal nodular hyperplasia (FNH) flares in the arterial phase, then equals liver around a late
scar. Before contrast T1 is the liver's times a factor whose spread (.10 to .15 in log) overlaps between solid families.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from CEKWorldLib.simulation.canvas import Canvas
from CEKWorldLib.simulation.fields import gaussian_field
from CEKWorldLib.simulation.labels import Label
from CEKWorldLib.simulation.lesion import Lesion
from CEKWorldLib.simulation.redraw import draw_kinetic
from CEKWorldLib.simulation.tissue import Texture, Tissue

_KTRANS_SPREAD, _KEP_SPREAD, _VP_SPREAD, _DENSITY_SPREAD = 0.25, 0.20, 0.25, 0.04


class FillingLesion(Lesion):
    """A lesion of blood pools that fill from nodules at its edge to the centre, one after the other."""

    def paint(self, canvas: Canvas, index: int) -> None:
        """Lays the lesion over the anatomy, then makes contrast arrive unevenly."""
        super().paint(canvas, index)
        pools = canvas.labels == Label.LESION + index
        if pools.any():
            uneven = gaussian_field(canvas.points[pools], max(0.7 * self.radius_mm, 3.0), self.seed + 11)
            canvas.maps["delay_s"][pools] *= np.exp(np.float32(0.45) * uneven)


@dataclass(frozen=True)
class Family:
    """What the lesions of one family have in common.

    Attributes:
        malignant: which kinetic group it belongs to.
        frequency: how often it is drawn, relative to the others.
        radius_mm: smallest and largest mean radius.
        t1_ratio: median T1 relative to the patient's liver, and its log standard deviation.
        rim: median tissue of the outer part; ``t1_s`` multiplies the lesion's T1.
        core: median tissue of the inner part, likewise.
        texture: variation inside.
        shape: draws the shape arguments of ``lesion``.
        lesion: the class that draws it.
    """

    malignant: bool
    frequency: float
    radius_mm: tuple[float, float]
    t1_ratio: tuple[float, float]
    rim: Tissue
    core: Tissue
    texture: Texture
    shape: Callable[[np.random.Generator], dict[str, Any]]
    lesion: type[Lesion] = Lesion


def _hcc(rng: np.random.Generator) -> dict[str, Any]:
    capsule = rng.random() < 0.6
    return {
        "lobes": int(rng.choice([1, 1, 2, 3])),
        "roughness": rng.uniform(0.04, 0.12),
        "core_share": rng.uniform(0.84, 0.92) if capsule else 0.0,
        "core_edge": 0.08,
    }


def _metastasis(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "lobes": int(rng.integers(1, 4)),
        "roughness": rng.uniform(0.06, 0.16),
        "core_share": rng.uniform(0.60, 0.82),
        "core_edge": rng.uniform(0.15, 0.35),
    }


def _haemangioma(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "lobes": int(rng.integers(3, 7)),
        "roughness": rng.uniform(0.03, 0.08),
        "core_share": rng.uniform(0.60, 0.75),
        "core_edge": rng.uniform(0.45, 0.65),
    }


def _cyst(rng: np.random.Generator) -> dict[str, Any]:
    return {"lobes": int(rng.choice([1, 1, 1, 2])), "roughness": rng.uniform(0.01, 0.04)}


def _fnh(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "lobes": int(rng.integers(2, 5)),
        "roughness": rng.uniform(0.04, 0.10),
        "core_share": rng.uniform(0.20, 0.32),
        "core_edge": 0.15,
    }


_CAPSULE = Tissue(1.1, 0.82, 0.025, vp=0.02, ktrans=0.14, kep=0.38, delay_s=12.0)
_HCC = Tissue(1.0, 0.85, 0.025, vp=0.05, ktrans=1.05, kep=6.5, portal=0.08, delay_s=3.0)
_MET_RIM = Tissue(0.95, 0.86, 0.028, vp=0.03, ktrans=0.30, kep=1.4, portal=0.05, delay_s=5.0)
_MET_CORE = Tissue(1.1, 0.88, 0.030, ktrans=0.025, kep=0.12, delay_s=12.0)
_POOL_RIM = Tissue(1.0, 0.92, 0.045, vp=0.12, ktrans=0.60, kep=1.3, delay_s=4.0)
_POOL_CORE = Tissue(1.0, 0.93, 0.045, ktrans=0.20, kep=0.30, delay_s=75.0)
_WATER = Tissue(1.0, 1.0, 0.090)
_FNH = Tissue(1.0, 0.86, 0.024, vp=0.05, ktrans=1.60, kep=6.5, portal=0.03, delay_s=3.0)
_SCAR = Tissue(1.5, 0.90, 0.030, ktrans=0.12, kep=0.20, delay_s=15.0)

LESION_FAMILIES: dict[str, Family] = {
    "hcc": Family(True, 1.1, (7, 30), (1.25, 0.12), _CAPSULE, _HCC, Texture(5.0, 0.05, 0.03, 0.22, 0.08), _hcc),
    "metastasis": Family(
        True, 1.2, (5, 22), (1.50, 0.12), _MET_RIM, _MET_CORE, Texture(4.0, 0.06, 0.03, 0.22, 0.08), _metastasis
    ),
    "haemangioma": Family(
        malignant=False,
        frequency=0.9,
        radius_mm=(6, 26),
        t1_ratio=(1.90, 0.12),
        rim=_POOL_RIM,
        core=_POOL_CORE,
        texture=Texture(5.0, 0.03, 0.02, 0.30, 0.08),
        shape=_haemangioma,
        lesion=FillingLesion,
    ),
    "cyst": Family(False, 0.7, (4, 20), (4.20, 0.15), _WATER, _WATER, Texture(8.0, 0.01, 0.01, 0.0, 0.0), _cyst),
    "fnh": Family(False, 0.8, (9, 28), (1.12, 0.10), _FNH, _SCAR, Texture(5.0, 0.03, 0.02, 0.12, 0.05), _fnh),
}


def draw_lesion(
    rng: np.random.Generator, family: str, liver: Tissue, centre_mm: np.ndarray, radius_mm: float
) -> Lesion:
    """One lesion of a family, in a patient whose liver is ``liver``."""
    traits = LESION_FAMILIES[family]
    ratio, spread = traits.t1_ratio
    t1 = liver.t1_s * ratio * np.exp(spread * rng.standard_normal())
    spreads = np.array([_KTRANS_SPREAD, _KEP_SPREAD, _VP_SPREAD])
    ktrans, kep, vp = np.exp(spreads * draw_kinetic(rng, lambda stream: stream.standard_normal(3)))
    density = 1 + _DENSITY_SPREAD * rng.standard_normal()
    late = np.exp(0.25 * draw_kinetic(rng, lambda stream: stream.standard_normal()))

    def own(tissue: Tissue) -> Tissue:
        return replace(
            tissue,
            t1_s=t1 * tissue.t1_s,
            proton_density=density * tissue.proton_density,
            vp=min(vp * tissue.vp, 0.3),
            ktrans=ktrans * tissue.ktrans,
            kep=kep * tissue.kep,
            delay_s=late * tissue.delay_s,
        )

    shape = traits.shape(rng)
    core = own(traits.core)
    return traits.lesion(
        family=family,
        malignant=traits.malignant,
        centre_mm=(float(centre_mm[0]), float(centre_mm[1]), float(centre_mm[2])),
        radius_mm=radius_mm,
        seed=int(rng.integers(2**31)),
        rim=own(traits.rim) if shape.get("core_share") else core,
        core=core,
        texture=traits.texture,
        **shape,
    )


def draw_lesions(
    rng: np.random.Generator,
    families: Sequence[str],
    liver: Tissue,
    find_place: Callable[[float], np.ndarray],
) -> tuple[Lesion, ...]:
    """One to three lesions, in 3 % of patients none. Half of the further lesions are of the first one's family.

    Args:
        families: names of the families that may occur.
        find_place: draws a centre for a lesion of a radius, mm. A further lesion too near to another is left out.
    """
    weights = np.array([LESION_FAMILIES[name].frequency for name in families])
    lesions: list[Lesion] = []
    for _ in range(int(rng.choice(4, p=[0.03, 0.42, 0.32, 0.23]))):
        again = bool(lesions) and rng.random() < 0.5
        family = lesions[0].family if again else families[rng.choice(len(families), p=weights / weights.sum())]
        small, large = LESION_FAMILIES[family].radius_mm
        radius = float(small * (large / small) ** rng.uniform(0, 0.6 if lesions else 1.0))
        centre = find_place(radius)
        if all(np.linalg.norm(centre - other.centre_mm) > 1.7 * (radius + other.radius_mm) for other in lesions):
            lesions.append(draw_lesion(rng, family, liver, centre, radius))
    return tuple(lesions)
