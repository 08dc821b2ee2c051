"""Breast lesion families: how each looks before contrast, and how it takes up and loses contrast.

The curve type follows kep: below about 0.25 /min persistent, 0.25 to 0.45 plateau, above 0.6 washout (signal at
360 s against 90 s, within or beyond +-10 %). Within a family kep and Ktrans vary with log standard deviations of
0.2 and 0.25. Shape is a strong cue to the family; T1, proton density and texture are weak ones, whose spread (6 %
and 3 %) is as large as the differences between solid families. Ktrans, ve and vp lie near the ranges of Bae 2024
(Magn Reson Med) for benign and malignant lesions; T1 at 1.5 T is scaled as in gland (Rakow-Penner 2006).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from CEKWorldLib.simulation.canvas import Canvas
from CEKWorldLib.simulation.fields import gaussian_field
from CEKWorldLib.simulation.labels import Label
from CEKWorldLib.simulation.lesion import Lesion
from CEKWorldLib.simulation.redraw import draw_kinetic
from CEKWorldLib.simulation.shapes import ellipsoid, soft
from CEKWorldLib.simulation.tissue import Texture, Tissue

_T1_RATIO = 1266 / 1445  # 1.5 T over 3 T
_T1_SPREAD, _DENSITY_SPREAD = 0.06, 0.03
_KTRANS_SPREAD, _KEP_SPREAD, _VP_SPREAD = 0.25, 0.20, 0.25


class ClumpedLesion(Lesion):
    """An ill-defined lesion without a closed border: clumps strewn through a region."""

    stretch: ClassVar[tuple[float, float]] = (1.0, 1.5)  # long over short axis of the region
    gaps_below: ClassVar[tuple[float, float]] = (-1.1, -0.6)  # of a unit normal field: 14-27 % of the region is gaps
    clump_mm: ClassVar[tuple[float, float]] = (3.0, 6.0)
    sharpness: ClassVar[float] = 0.35  # 1 gives an edge of one pixel

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance in mm times ``sharpness``, negative inside a clump."""
        rng = np.random.default_rng(self.seed)
        stretch, gaps_below, clump_mm = (rng.uniform(*r) for r in (self.stretch, self.gaps_below, self.clump_mm))
        # The ducts run from the chest to the nipple, so that a segment of them is long from back to front.
        tilted = np.column_stack([np.array([0.0, -1.0, 0.0]) + 0.3 * rng.standard_normal(3), np.eye(3)[:, ::2]])
        short = self.radius_mm * stretch ** (-1 / 3)
        region = ellipsoid(points, self.centre_mm, (short * stretch, short, short), np.linalg.qr(tilted)[0])
        border = gaussian_field(points, max(0.5 * self.radius_mm, 2.0), self.seed)
        clumps = gaussian_field(points, clump_mm, self.seed + 3)
        gap = 0.6 * clump_mm * (gaps_below - clumps)  # the field changes by about one unit over 0.6 clump sizes
        return self.sharpness * np.maximum(region + self.roughness * self.radius_mm * border, gap)


class SegmentalLesion(ClumpedLesion):
    """Clumped non-mass enhancement in the course of one duct and its branches."""

    stretch = (1.7, 3.0)
    gaps_below = (-0.5, 0.1)
    clump_mm = (3.0, 5.0)
    sharpness = 0.6


class SeptateLesion(Lesion):
    """A lesion crossed by thin septa that enhance little, as fibroadenomas often have them."""

    def paint(self, canvas: Canvas, index: int) -> None:
        """Lays the lesion over the anatomy, then its septa over the lesion."""
        super().paint(canvas, index)
        near = np.linalg.norm(canvas.points - np.asarray(self.centre_mm, np.float32), axis=-1) < 2.5 * self.radius_mm
        if not near.any():
            return
        points = canvas.points[near]
        inside = soft(self.distance(points) + 1.0, canvas.pixel_mm)
        sheets = 0.6 * self.radius_mm * np.abs(gaussian_field(points, 0.9 * self.radius_mm, self.seed + 11))
        coverage = np.zeros(canvas.labels.shape, np.float32)
        coverage[near] = 0.8 * inside * soft(sheets - 0.3, canvas.pixel_mm)
        septum = replace(self.rim, ktrans=0.2 * self.rim.ktrans, vp=0.2 * self.rim.vp)
        canvas.paint(coverage, septum, Label.LESION + index)


@dataclass(frozen=True)
class Family:
    """What the lesions of one family have in common.

    Attributes:
        malignant: which kinetic group it belongs to.
        frequency: how often it is drawn, relative to the others.
        radius_mm: smallest and largest mean radius.
        rim: median tissue of the outer part, T1 at 3 T.
        core: median tissue of the inner part, T1 at 3 T.
        texture: variation inside.
        shape: draws the shape arguments of ``lesion``.
        lesion: the class that draws it.
    """

    malignant: bool
    frequency: float
    radius_mm: tuple[float, float]
    rim: Tissue
    core: Tissue
    texture: Texture
    shape: Callable[[np.random.Generator], dict[str, Any]]
    lesion: type[Lesion] = Lesion


def _fibroadenoma(rng: np.random.Generator) -> dict[str, Any]:
    return {"lobes": int(rng.integers(1, 5)), "roughness": rng.uniform(0.03, 0.09)}


def _diffuse(rng: np.random.Generator) -> dict[str, Any]:
    return {"roughness": rng.uniform(0.18, 0.32)}


def _cyst(rng: np.random.Generator) -> dict[str, Any]:
    return {"lobes": int(rng.choice([1, 1, 1, 2])), "roughness": 0.03}


def _invasive_ductal(rng: np.random.Generator) -> dict[str, Any]:
    spiculated = rng.random() < 0.6
    return {
        "lobes": int(rng.integers(2, 6)),
        "roughness": rng.uniform(0.16, 0.34),
        "spicules": int(rng.integers(12, 23)) if spiculated else 0,
        "core_share": rng.uniform(0.5, 0.75),
        "core_edge": rng.uniform(0.4, 0.8),
    }


def _triple_negative(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "lobes": int(rng.integers(1, 4)),
        "roughness": rng.uniform(0.05, 0.12),
        "core_share": rng.uniform(0.6, 0.78),
        "core_edge": rng.uniform(0.12, 0.3),
    }


_SOLID = Tissue(1.45, proton_density=1.0, t2star_s=0.03)
_CARCINOMA = replace(_SOLID, t1_s=1.55, proton_density=0.96, vp=0.05, ktrans=0.28, kep=0.90, delay_s=3.0)
_BASAL = replace(_SOLID, t1_s=1.62, proton_density=1.03, vp=0.05, ktrans=0.32, kep=0.85, delay_s=3.0)
_NODULE = replace(_SOLID, t1_s=1.38, proton_density=1.05, vp=0.02, ktrans=0.085, kep=0.16, delay_s=8.0)
_ADENOSIS = replace(_SOLID, t1_s=1.42, proton_density=1.01, vp=0.02, ktrans=0.055, kep=0.12, delay_s=9.0)
_NON_MASS = replace(_SOLID, t1_s=1.47, proton_density=0.99, vp=0.03, ktrans=0.14, kep=0.36, delay_s=5.0)
_CYST = Tissue(2.9, proton_density=1.08, t2star_s=0.08)

LESION_FAMILIES: dict[str, Family] = {
    "fibroadenoma": Family(
        False, 1.1, (4.0, 16.0), _NODULE, _NODULE, Texture(5.0, 0.02, 0.02, 0.10, 0.05), _fibroadenoma, SeptateLesion
    ),
    "adenosis": Family(
        False, 0.8, (3.0, 12.0), _ADENOSIS, _ADENOSIS, Texture(4.0, 0.04, 0.03, 0.20, 0.08), _diffuse, ClumpedLesion
    ),
    "cyst": Family(False, 0.6, (3.0, 12.0), _CYST, _CYST, Texture(6.0, 0.01, 0.01, 0.0, 0.0), _cyst),
    "invasive_ductal": Family(
        True,
        1.3,
        (4.0, 20.0),
        _CARCINOMA,
        replace(_CARCINOMA, t1_s=1.60, vp=0.02, ktrans=0.13, kep=0.36, delay_s=5.0),
        Texture(3.0, 0.05, 0.04, 0.20, 0.10),
        _invasive_ductal,
    ),
    "triple_negative": Family(
        True,
        0.9,
        (7.0, 20.0),
        _BASAL,
        replace(_BASAL, t1_s=1.95, vp=0.005, ktrans=0.018, kep=0.08, delay_s=12.0),
        Texture(4.0, 0.04, 0.03, 0.18, 0.10),
        _triple_negative,
    ),
    "non_mass": Family(
        True, 0.9, (7.0, 15.0), _NON_MASS, _NON_MASS, Texture(3.0, 0.04, 0.03, 0.25, 0.08), _diffuse, SegmentalLesion
    ),
}


def draw_family(rng: np.random.Generator, families: Sequence[str]) -> tuple[str, float]:
    """Draws a family among those named, and a radius in mm (log-uniform in the family's range)."""
    weights = np.array([LESION_FAMILIES[name].frequency for name in families])
    name = str(rng.choice(list(families), p=weights / weights.sum()))
    low, high = LESION_FAMILIES[name].radius_mm
    return name, float(np.exp(rng.uniform(np.log(low), np.log(high))))


def draw_lesion(
    rng: np.random.Generator,
    name: str,
    centre_mm: tuple[float, float, float],
    radius_mm: float,
    field_strength_t: float,
) -> Lesion:
    """Draws one lesion of a family.

    Args:
        name: key of ``LESION_FAMILIES``.
        centre_mm: LPS position.
        radius_mm: mean radius.
        field_strength_t: B0; T1 is interpolated between 1.5 and 3 T.
    """
    family = LESION_FAMILIES[name]
    # One factor per lesion for rim and core alike: a lesion that washes out fast does so throughout.
    spreads = (_T1_SPREAD, _DENSITY_SPREAD, _KTRANS_SPREAD, _KEP_SPREAD, _VP_SPREAD)
    normals = rng.standard_normal(2), draw_kinetic(rng, lambda stream: stream.standard_normal(3))
    t1, density, ktrans, kep, vp = np.exp(np.array(spreads) * np.concatenate(normals))
    t1 *= np.interp(field_strength_t, (1.5, 3.0), (_T1_RATIO, 1.0))

    def own(tissue: Tissue) -> Tissue:
        return replace(
            tissue,
            t1_s=tissue.t1_s * t1,
            proton_density=tissue.proton_density * density,
            ktrans=tissue.ktrans * ktrans,
            kep=tissue.kep * kep,
            vp=tissue.vp * vp,
        )

    return family.lesion(
        family=name,
        malignant=family.malignant,
        centre_mm=centre_mm,
        radius_mm=radius_mm,
        seed=int(rng.integers(2**31)),
        rim=own(family.rim),
        core=own(family.core),
        texture=family.texture,
        **family.shape(rng),
    )
