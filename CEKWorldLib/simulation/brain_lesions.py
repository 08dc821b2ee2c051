"""Brain lesion families: how each looks before contrast, where it grows, and how it takes up contrast.

The curve type follows kep: glioblastoma persistent, lymphoma and meningioma plateau, metastasis mild washout; low-grade
glioma hardly enhances, for its blood-brain barrier holds. Within a family kep and Ktrans vary with log standard
deviations of 0.20 and 0.25. T1, proton density and texture differ weakly and overlap, so that before contrast the
family is a guess. T1 of glioblastoma at 3 T is 1.4-1.7 s; Ktrans and ve follow the ranges of DCE studies of
enhancing tumours (0.05-0.5 /min, 0.2-0.5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from CEKWorldLib.simulation.canvas import Canvas
from CEKWorldLib.simulation.fields import gaussian_field
from CEKWorldLib.simulation.labels import Label
from CEKWorldLib.simulation.lesion import Lesion
from CEKWorldLib.simulation.redraw import draw_kinetic
from CEKWorldLib.simulation.shapes import soft
from CEKWorldLib.simulation.tissue import SMOOTH, Texture, Tissue

_KTRANS_SPREAD, _KEP_SPREAD, _VP_SPREAD = 0.25, 0.20, 0.25
_T1_SPREAD, _DENSITY_SPREAD = 0.08, 0.03

_NECROSIS = Tissue(2.30, 0.92, 0.08, vp=0.003, ktrans=0.004, kep=0.04, delay_s=4.0)
_NECROTIC_TEXTURE = Texture(5.0, 0.14, 0.04, 0.5, 0.1)


@dataclass(frozen=True)
class Family:
    """What the lesions of one family have in common.

    Attributes:
        malignant: kinetic group.
        site: "white" matter, "junction" of white and grey, "dura", or "ventricle".
        radius_mm: range.
        tissue: median tissue of the enhancing part at 3 T.
        ring_chance: how often the core is necrotic.
        core_share: range of the core's radius relative to the lesion's.
        lobes: range of their number.
        roughness: range.
        oedema_mm: range of the width of the oedema around it.
        push: how much of the room it takes by pushing tissue aside, 0 to 0.5.
        texture: variation inside.
    """

    malignant: bool
    site: str
    radius_mm: tuple[float, float]
    tissue: Tissue
    ring_chance: float
    core_share: tuple[float, float]
    lobes: tuple[int, int]
    roughness: tuple[float, float]
    oedema_mm: tuple[float, float]
    push: float
    texture: Texture


LESION_FAMILIES: dict[str, Family] = {
    "glioblastoma": Family(
        True,
        "white",
        (10.0, 24.0),
        Tissue(1.50, 0.85, 0.045, vp=0.05, ktrans=0.11, kep=0.22, delay_s=3.0),
        1.0,
        (0.58, 0.80),
        (3, 6),
        (0.14, 0.26),
        (5.0, 18.0),
        0.3,
        Texture(4.0, 0.06, 0.03, 0.35, 0.12),
    ),
    "metastasis": Family(
        True,
        "junction",
        (2.5, 11.0),
        Tissue(1.45, 0.84, 0.045, vp=0.05, ktrans=0.15, kep=0.55, delay_s=3.0),
        0.45,
        (0.45, 0.70),
        (1, 2),
        (0.03, 0.09),
        (3.0, 16.0),
        0.35,
        Texture(3.0, 0.04, 0.03, 0.20, 0.08),
    ),
    "meningioma": Family(
        False,
        "dura",
        (7.0, 22.0),
        Tissue(1.42, 0.82, 0.045, vp=0.10, ktrans=0.18, kep=0.34, delay_s=1.5),
        0.0,
        (0.0, 0.0),
        (1, 3),
        (0.03, 0.08),
        (0.0, 5.0),
        0.42,
        Texture(5.0, 0.03, 0.02, 0.10, 0.06),
    ),
    "low_grade_glioma": Family(
        False,
        "white",
        (9.0, 22.0),
        Tissue(1.75, 0.88, 0.08, vp=0.006, ktrans=0.0015, kep=0.10, delay_s=4.0),
        0.0,
        (0.0, 0.0),
        (2, 4),
        (0.12, 0.25),
        (0.0, 2.0),
        0.05,
        Texture(6.0, 0.08, 0.03, 0.30, 0.10),
    ),
    "lymphoma": Family(
        True,
        "ventricle",
        (7.0, 16.0),
        Tissue(1.40, 0.82, 0.05, vp=0.02, ktrans=0.14, kep=0.30, delay_s=3.0),
        0.0,
        (0.0, 0.0),
        (1, 4),
        (0.08, 0.16),
        (4.0, 14.0),
        0.2,
        Texture(5.0, 0.04, 0.02, 0.12, 0.08),
    ),
}


def draw_radius(rng: np.random.Generator, name: str) -> float:
    """A radius (mm), small ones more often, as log-uniform."""
    low, high = LESION_FAMILIES[name].radius_mm
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def draw_lesion(
    rng: np.random.Generator, name: str, centre_mm: np.ndarray, radius_mm: float, t1_factor: float
) -> Lesion:
    """Draws a lesion of a family.

    Args:
        centre_mm: LPS position.
        t1_factor: T1 of brain tissue at the exam's field strength over that at 3 T.
    """
    family = LESION_FAMILIES[name]
    ring = rng.random() < family.ring_chance and radius_mm > 4.0
    rim = _drawn(rng, family.tissue, t1_factor)
    core = _drawn(rng, _NECROSIS, t1_factor) if ring else rim
    return Lesion(
        family=name,
        malignant=family.malignant,
        centre_mm=(float(centre_mm[0]), float(centre_mm[1]), float(centre_mm[2])),
        radius_mm=radius_mm,
        seed=int(rng.integers(2**31)),
        rim=rim,
        core=core,
        core_share=float(rng.uniform(*family.core_share)) if ring else 0.0,
        core_edge=float(rng.uniform(0.15, 0.35)),
        lobes=int(rng.integers(family.lobes[0], family.lobes[1] + 1)),
        roughness=float(rng.uniform(*family.roughness)),
        texture=family.texture,
    )


def _drawn(rng: np.random.Generator, tissue: Tissue, t1_factor: float) -> Tissue:
    spreads = np.array([_T1_SPREAD, _DENSITY_SPREAD, _KTRANS_SPREAD, _KEP_SPREAD, _VP_SPREAD])
    normals = rng.standard_normal(2), draw_kinetic(rng, lambda stream: stream.standard_normal(3))
    t1, density, ktrans, kep, vp = np.exp(spreads * np.concatenate(normals))
    return replace(
        tissue,
        t1_s=float(tissue.t1_s * t1 * t1_factor),
        proton_density=float(tissue.proton_density * density),
        ktrans=float(tissue.ktrans * ktrans),
        kep=float(tissue.kep * kep),
        vp=float(tissue.vp * vp),
    )


def mass_effect(points: np.ndarray, lesions: Sequence[Lesion]) -> np.ndarray:
    """Vectors (n, 3) from LPS points to where the tissue now there lay before the lesions pushed it aside."""
    moved = np.zeros_like(points)
    for lesion in lesions:
        offset = points - np.asarray(lesion.centre_mm, np.float32)
        squared = np.einsum("ni,ni->n", offset, offset) / np.float32((1.35 * lesion.radius_mm) ** 2)
        near = squared < 9
        push = np.float32(LESION_FAMILIES[lesion.family].push)
        moved[near] -= push * np.exp(-0.5 * squared[near])[:, None] * offset[near]
    return moved


def paint_lesion(
    canvas: Canvas, lesion: Lesion, index: int, room: np.ndarray, white: np.ndarray, tissues: Mapping[str, Tissue]
) -> None:
    """Lays a lesion, with its oedema, over the brain.

    Args:
        canvas: over n points.
        index: number of the lesion in the case.
        room: signed distance to the space it can grow in, negative inside, (n,).
        white: coverage by white matter, where oedema spreads, (n,).
        tissues: this patient's tissues; "oedema" spreads around lesions, "csf" fills the cleft under meningioma.
    """
    rng = np.random.default_rng(lesion.seed + 3)
    oedema_mm = rng.uniform(*LESION_FAMILIES[lesion.family].oedema_mm)
    offset = canvas.points - np.asarray(lesion.centre_mm, np.float32)
    reach = 2.2 * lesion.radius_mm + 2.0 * oedema_mm + 5.0
    near = np.flatnonzero(np.einsum("ni,ni->n", offset, offset) < reach**2)
    if not near.size:
        return
    points = canvas.points[near]
    distance = lesion.distance(points)

    def lay(coverage: np.ndarray, tissue: Tissue, label: int, texture: Texture = SMOOTH, seed: int = 0) -> None:
        full = np.zeros(len(canvas.points), np.float32)
        full[near] = coverage
        canvas.paint(full, tissue, label, texture, seed)

    spread = oedema_mm * (1 + 0.45 * gaussian_field(points, 12.0, lesion.seed + 21))
    oedema = soft(distance - spread, 3.0) * white[near] * soft(room[near], canvas.pixel_mm)
    if oedema_mm > 1:
        lay(0.9 * oedema, tissues["oedema"], Label.OEDEMA, Texture(8.0, 0.05, 0.02, 0.0, 0.0), lesion.seed + 5)
    if LESION_FAMILIES[lesion.family].site == "dura":
        lay(0.7 * np.minimum(soft(distance - 1.2, 1.0), soft(room[near], canvas.pixel_mm)), tissues["csf"], Label.CSF)
    edge = 3.5 * canvas.pixel_mm if lesion.family == "low_grade_glioma" else canvas.pixel_mm
    body = np.minimum(soft(distance, edge), soft(room[near], canvas.pixel_mm))
    lay(body, lesion.rim, Label.LESION + index, lesion.texture, lesion.seed)
    if lesion.core_share > 0:
        uneven = 0.16 * lesion.radius_mm * gaussian_field(points, max(0.6 * lesion.radius_mm, 3.0), lesion.seed + 9)
        depth = distance + (1.0 - lesion.core_share) * lesion.radius_mm + uneven
        core = soft(depth, max(lesion.core_edge * lesion.radius_mm, canvas.pixel_mm))
        lay(np.minimum(core, body), lesion.core, Label.LESION + index, _NECROTIC_TEXTURE, lesion.seed + 7)
