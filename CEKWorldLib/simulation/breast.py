"""A procedural prone breast exam: both breasts hanging down (to -y, up in the picture) before the chest.

What a breast radiologist expects of a T1-weighted gradient echo: skin, fat, fibroglandular tissue of density class
a to d drawn out towards the nipple, Cooper's ligaments, ducts, subcutaneous veins, axillary nodes, chest wall and
heart, and one or two lesions. T1 of fat and gland: Rakow-Penner 2006 (J Magn Reson Imaging); of muscle, heart, blood
and liver: Stanisz 2005 (Magn Reson Med), de Bazelaire 2004 (Radiology). Uptake of gland, muscle, skin and heart lies
in the ranges of Bae 2024 (Magn Reson Med); background enhancement follows the four BI-RADS grades.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from CEKWorldLib.exam.protocol import Anatomy
from CEKWorldLib.simulation.breast_chest import Chest, blend, box_mask, paint_tubes, rounded, window
from CEKWorldLib.simulation.breast_lesions import LESION_FAMILIES, draw_family, draw_lesion
from CEKWorldLib.simulation.breast_tissues import draw_tissues
from CEKWorldLib.simulation.canvas import Canvas
from CEKWorldLib.simulation.fields import gaussian_field
from CEKWorldLib.simulation.labels import Label
from CEKWorldLib.simulation.lesion import Lesion
from CEKWorldLib.simulation.shapes import ellipsoid, rotation_from, soft, wander
from CEKWorldLib.simulation.tissue import Texture, Tissue

FAMILIES: tuple[str, ...] = tuple(LESION_FAMILIES)
DENSITIES = {"a": 0.10, "b": 0.30, "c": 0.50, "d": 0.75}  # BI-RADS class: share of gland in the gland's envelope

_SKIN_MM = 2.0
_FILLET_MM = 26.0
_GLAND_EDGE_MM = 5.0  # distance over which the gland's field changes by one standard deviation
_LOBE_STRETCH = 3.2  # length of a lobe or strand over its width, halfway to the chest


@dataclass(frozen=True)
class Breast:
    """The form of one breast.

    Attributes:
        side: 1 for the patient's left, -1 for the right.
        base: LPS centre of its base on the chest wall.
        radii: half width, depth from base to nipple, and half height, mm.
        drift: how far the axis strays (to the side, downwards) per mm on the way to the nipple.
        density: share of gland in the gland's envelope.
        veins: subcutaneous and deep vessels, each a path (n, 3) and its radius in mm.
        seed: fixes fields.
    """

    side: int
    base: tuple[float, float, float]
    radii: tuple[float, float, float]
    drift: tuple[float, float]
    density: float
    veins: tuple[tuple[np.ndarray, float], ...]
    seed: int

    def local(self, points: np.ndarray) -> np.ndarray:
        """Coordinates (outwards, forwards from the base, upwards) in mm about the breast's curved axis."""
        forward = self.base[1] - points[..., 1]
        outward = self.side * (points[..., 0] - self.base[0]) - self.drift[0] * forward
        upward = points[..., 2] - self.base[2] + self.drift[1] * forward
        return np.stack([outward, forward, upward], -1)

    def place(self, local: np.ndarray) -> np.ndarray:
        """LPS points from coordinates as ``local`` gives them; its inverse."""
        outward, forward, upward = np.moveaxis(np.asarray(local, float), -1, 0)
        x = self.base[0] + self.side * (outward + self.drift[0] * forward)
        return np.stack([x, self.base[1] - forward, self.base[2] + upward - self.drift[1] * forward], -1)

    @property
    def nipple(self) -> np.ndarray:
        """LPS position of the nipple."""
        return self.place(np.array([0.0, self.radii[1], 0.0]))

    def skin(self, local: np.ndarray) -> np.ndarray:
        """Signed distance to the breast's surface, without the nipple."""
        width, depth, height = self.radii
        mean = np.sqrt(width * height)
        around = np.hypot(local[..., 0] * (mean / width), local[..., 2] * (mean / height))
        around *= 0.96 + np.float32(0.12) * np.clip(local[..., 1] / depth, 0.0, 1.0)  # narrower in front
        forward = np.where(local[..., 1] < 0, 2.0 * local[..., 1], local[..., 1])
        return rounded((around, forward), (mean, depth))

    def tip(self, points: np.ndarray) -> np.ndarray:
        """Signed distance to the nipple."""
        return ellipsoid(points, self.nipple, (6.0, 6.5, 6.0))

    def converging(self, local: np.ndarray) -> np.ndarray:
        """Coordinates in which the lobes, which radiate from the nipple and are long, become round and parallel."""
        outward, upward = local[..., 0], local[..., 2]
        behind = np.sqrt(outward**2 + upward**2 + (self.radii[1] - local[..., 1]) ** 2)
        narrow = 45.0 / (behind + 22.0)
        return np.stack([narrow * outward, behind / _LOBE_STRETCH, narrow * upward], -1, dtype=np.float32)

    def gland(self, local: np.ndarray, skin: np.ndarray) -> np.ndarray:
        """Signed distance (about) to fibroglandular tissue; ``skin`` is the distance to the breast's surface."""
        width, depth, height = self.radii
        lobes = self.converging(local)
        pattern = 0.50 * gaussian_field(local, 28.0, self.seed)
        pattern += 0.65 * gaussian_field(lobes, 11.0, self.seed + 1)
        pattern += 0.57 * gaussian_field(lobes, 5.0, self.seed + 4)
        outward, forward, upward = local[..., 0] / width, local[..., 1] / depth, local[..., 2] / height
        to_nipple = np.linalg.norm(local - np.array([0.0, depth, 0.0], np.float32), axis=-1)
        fat_mm = (6.0 + 16.0 * (1.0 - self.density)) * (1.0 - np.exp(-((to_nipple / 26.0) ** 2))) + 3.0
        outside = np.maximum(skin + fat_mm, 0.0) / 6.0 + np.maximum(0.34 - forward, 0.0) * 7.0
        central = 0.45 - 1.2 * (outward**2 + upward**2) + 0.35 * outward + 0.3 * upward  # more in the upper outer part
        return -_GLAND_EDGE_MM * (pattern + ndtri(self.density) + central - outside)

    def strands(self, local: np.ndarray) -> np.ndarray:
        """Share of fibroglandular tissue inside the gland, 0.1 to 1: lamellae of fat run through it to the nipple."""
        pattern = 0.75 * gaussian_field(self.converging(local), 3.8, self.seed + 2)
        pattern += 0.66 * gaussian_field(local, 3.0, self.seed + 3)
        return 0.1 + 0.9 * soft(-(pattern + 0.4 + 1.2 * self.density), 1.2)

    def paint(self, canvas: Canvas, tissues: dict[str, Tissue]) -> None:
        """Paints what lies under the skin of this breast; the canvas holds points near it."""
        local = self.local(canvas.points)
        skin = self.skin(local)
        self._paint_ligaments(canvas, tissues, local, skin)
        distance = self.gland(local, skin)
        gland = np.zeros_like(distance)
        near = distance < 6.0
        # Lamellae of fat deepen the outline, so that the gland frays at its edge rather than ending in a line.
        strands = self.strands(local[near])
        outline = soft(distance[near] + 2.5 * (1.0 - strands), 1.5 * canvas.pixel_mm)
        gland[near] = strands * outline * soft(skin[near] + 1.0, 2.0)
        canvas.paint(gland, tissues["gland"], Label.GLAND, Texture(4.5, 0.05, 0.06, 0.40, 0.10), self.seed + 10)
        paint_tubes(canvas, self._ducts(), tissues["duct"], Label.GLAND)
        canvas.paint(canvas.coverage(self.tip(canvas.points)), tissues["nipple"], Label.NIPPLE)
        paint_tubes(canvas, self.veins, tissues["vein"], Label.VEIN)

    def _paint_ligaments(self, canvas: Canvas, tissues: dict[str, Tissue], local: np.ndarray, skin: np.ndarray) -> None:
        """Cooper's ligaments: thin curved sheets through the fat, here and there."""
        lobes = self.converging(local)
        here = soft(-0.2 - gaussian_field(local, 14.0, self.seed + 21), 1.5) * soft(skin + 1.5, 2.0)
        here = here * soft(-local[..., 1], 20.0)
        for number, length in enumerate((12.0, 20.0)):
            # The mean of two fields, whose lattices differ, bends smoothly where one alone would have corners.
            pattern = gaussian_field(lobes, length, self.seed + 23 + number)
            pattern += 0.7 * gaussian_field(lobes, 0.8 * length, self.seed + 25 + number)
            sheet = 0.6 * length * np.abs(pattern) - 0.35
            canvas.paint(0.75 * here * canvas.coverage(sheet), tissues["ligament"], Label.GLAND)

    def _ducts(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Milk ducts that fan out behind the nipple."""
        rng = np.random.default_rng(self.seed + 31)
        start = np.array([0.0, self.radii[1] - 2.0, 0.0])
        paths = []
        for _ in range(6):
            towards = np.array([rng.normal(0, 0.35), -1.0, rng.normal(0, 0.35)])
            path = self.place(wander(rng, start, towards, steps=3, step_mm=rng.uniform(7.0, 12.0), bend=0.15))
            paths.append((path, np.array([0.9, 0.8, 0.6, 0.3])))
        return paths


@dataclass(frozen=True)
class BreastSubject:
    """One simulated patient.

    Attributes:
        lesions: in label order.
        centre_mm: centre of the usual field of view, LPS.
        density: BI-RADS density class, a to d.
        background: BI-RADS grade of background parenchymal enhancement.
        breasts: the two breasts, right first.
        chest: what is behind them.
        tissues: this patient's tissues by name.
        nodes: axillary nodes, each a centre, its radii in mm and a rotation.
        feeders: vessels that lead to lesions, each a path (n, 3) and its radius in mm.
    """

    lesions: tuple[Lesion, ...]
    centre_mm: tuple[float, float, float]
    density: str
    background: str
    breasts: tuple[Breast, Breast]
    chest: Chest
    tissues: dict[str, Tissue]
    nodes: tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]
    feeders: tuple[tuple[np.ndarray, float], ...]
    anatomy: Anatomy = "breast"
    extent_mm: tuple[float, float, float] = (340.0, 240.0, 160.0)

    def paint(self, canvas: Canvas) -> None:
        """Paints the anatomy and its lesions. Depends on the canvas's points alone, not on their grid."""
        trunk = self.chest.skin(self.chest.upright(canvas.points))
        body, near_nipple = trunk, np.zeros_like(trunk)
        for breast in self.breasts:
            local = breast.local(canvas.points)
            tip = np.full_like(trunk, np.inf)
            near = box_mask(canvas.points, breast.nipple[None], 40.0)
            tip[near] = breast.tip(canvas.points[near])
            body = blend(blend(body, breast.skin(local), _FILLET_MM), tip, 5.0)
            near_nipple = np.maximum(near_nipple, np.exp(-np.maximum(tip, 0.0) / 8.0))
        near = np.abs(body) < 10.0
        body[near] += 0.7 * gaussian_field(canvas.points[near], 35.0, self.chest.seed + 40)
        canvas.paint(canvas.coverage(body) * (body > -10.0), self.tissues["skin"], Label.SKIN)
        under = body + _SKIN_MM * (1.0 + 0.8 * near_nipple)
        shallow = canvas.coverage(under) * (self.chest.wall(trunk) > -15.0)  # deeper lies the chest
        canvas.paint(shallow, self.tissues["fat"], Label.FAT, Texture(7.0, 0.02, 0.04), self.chest.seed + 41)

        with window(canvas, trunk < -4.0) as deep:
            self.chest.paint(deep, self.tissues)
        for breast in self.breasts:
            forward = breast.base[1] - canvas.points[..., 1]
            sideways = breast.side * canvas.points[..., 0]
            with window(canvas, (body < 1.0) & (forward > -8.0) & (sideways > 0)) as part:
                breast.paint(part, self.tissues)
        self._paint_nodes(canvas)
        with window(canvas, body < -1.0) as inside:
            paint_tubes(inside, self.feeders, self.tissues["artery"], Label.ARTERY)
        for index, lesion in enumerate(self.lesions):
            lesion.paint(canvas, index)

    def _paint_nodes(self, canvas: Canvas) -> None:
        for centre, radii, turn in self.nodes:
            near = box_mask(canvas.points, centre[None], 1.5 * radii.max())
            if near.any():
                with window(canvas, near) as part:
                    node = ellipsoid(part.points, centre, radii, turn)
                    hilum = ellipsoid(part.points, centre + turn[:, 1] * 0.5 * radii[1], 0.5 * radii, turn)
                    part.paint(part.coverage(node), self.tissues["node"], Label.LYMPH_NODE)
                    part.paint(part.coverage(hilum), self.tissues["fat"], Label.LYMPH_NODE)


def draw_breast(rng: np.random.Generator, field_strength_t: float, families: Sequence[str]) -> BreastSubject:
    """Draws a patient with both breasts and, nearly always, one to three lesions.

    Args:
        rng: source of every random choice.
        field_strength_t: B0; T1 is interpolated between 1.5 and 3 T.
        families: lesion families that may occur, of ``FAMILIES``; none gives a patient without lesions.

    Raises:
        ValueError: a family that is not known.
    """
    unknown = set(families) - set(FAMILIES)
    if unknown:
        raise ValueError(f"no breast lesion family {sorted(unknown)}; there are {FAMILIES}")
    density = str(rng.choice(list(DENSITIES), p=(0.12, 0.38, 0.37, 0.13)))
    background, tissues = draw_tissues(rng, field_strength_t)
    chest = Chest(
        centre_y=85.0,
        radii=(rng.uniform(156.0, 176.0), rng.uniform(98.0, 112.0)),
        fat_mm=rng.uniform(7.0, 14.0),
        muscle_mm=rng.uniform(9.0, 16.0),
        rib_pitch_mm=rng.uniform(25.0, 30.0),
        rib_phase_mm=rng.uniform(0.0, 30.0),
        seed=_seed(rng),
    )
    breasts = _draw_breasts(rng, chest, DENSITIES[density])
    lesions = _draw_lesions(rng, field_strength_t, families, chest, breasts)
    feeders = []
    for lesion in lesions:
        if lesion.malignant and rng.random() < 0.5:
            inwards = np.array([-np.sign(lesion.centre_mm[0]), 0.8, 0.5])
            feeders.append((wander(rng, lesion.centre_mm, inwards, 7, 7.0, 0.25), rng.uniform(0.7, 1.2)))
    front = min(breast.nipple[1] for breast in breasts)
    return BreastSubject(
        lesions=lesions,
        centre_mm=(0.0, float(front) - 20.0 + 120.0, 0.0),
        density=density,
        background=background,
        breasts=breasts,
        chest=chest,
        tissues=tissues,
        nodes=_draw_nodes(rng, chest),
        feeders=tuple(feeders),
    )


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _draw_breasts(rng: np.random.Generator, chest: Chest, density: float) -> tuple[Breast, Breast]:
    width, depth, height = rng.uniform(56.0, 70.0), rng.uniform(62.0, 104.0), rng.uniform(58.0, 74.0)
    apart, level = width + rng.uniform(14.0, 22.0), rng.uniform(-12.0, 8.0)
    drift = (rng.uniform(-0.02, 0.16), rng.uniform(0.0, 0.22))
    breasts = []
    for side in (-1, 1):
        radii = np.array([width, depth, height]) * rng.uniform(0.95, 1.05, 3)
        base = chest.front(side * apart, level, depth_mm=10.0)
        share = float(np.clip(density * rng.uniform(0.88, 1.12), 0.05, 0.85))
        bare = Breast(side, tuple(base), tuple(radii), drift, share, (), _seed(rng))
        breasts.append(replace(bare, veins=_draw_veins(rng, bare)))
    return breasts[0], breasts[1]


def _draw_veins(rng: np.random.Generator, breast: Breast) -> tuple[tuple[np.ndarray, float], ...]:
    """Two to four veins: under the skin from the base towards the nipple, one of them deep in the breast."""
    veins = []
    for number in range(int(rng.integers(2, 5))):
        steps = np.linspace(0.08, rng.uniform(0.65, 0.9), 9)
        turn = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.10, len(steps)))
        under = 0.55 * np.ones(len(steps)) if number == 0 else np.array([0.0] * len(steps))
        reach = (1.0 - steps**2.5) ** 0.4 * (1.0 - under) - (1.0 - under) * 0.09
        shape = np.stack([np.cos(turn) * reach, steps * 0.95, np.sin(turn) * reach], -1) * np.array(breast.radii)
        veins.append((breast.place(shape + rng.normal(0, 0.8, shape.shape)), float(rng.uniform(0.8, 1.5))))
    return tuple(veins)


def _draw_nodes(rng: np.random.Generator, chest: Chest) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]:
    nodes = []
    for side in (-1, 1):
        for _ in range(int(rng.integers(1, 3))):
            corner = chest.front(side * (0.84 * chest.radii[0]), rng.uniform(15.0, 75.0), chest.fat_mm + 8.0)
            size = rng.uniform(0.6, 1.0) * np.array([3.5, 5.0, 7.0])
            nodes.append((corner + rng.normal(0, 3.0, 3), size, rotation_from(rng)))
    return tuple(nodes)


def _draw_lesions(
    rng: np.random.Generator,
    field_strength_t: float,
    families: Sequence[str],
    chest: Chest,
    breasts: tuple[Breast, Breast],
) -> tuple[Lesion, ...]:
    """Draws zero (3 %) to three lesions at the gland, clear of the skin, the chest wall and each other."""
    lesions: list[Lesion] = []
    count = int(rng.choice(4, p=(0.03, 0.57, 0.32, 0.08))) if families else 0
    for _ in range(count):
        name, radius = draw_family(rng, families)
        breast = breasts[int(rng.integers(2))]
        centre = None
        while centre is None and radius >= 3.0:
            centre = _find_place(rng, radius, chest, breast, lesions)
            radius = radius if centre is not None else 0.8 * radius
        if centre is not None:
            lesions.append(draw_lesion(rng, name, tuple(centre.tolist()), radius, field_strength_t))
    return tuple(lesions)


def _find_place(
    rng: np.random.Generator, radius: float, chest: Chest, breast: Breast, others: Sequence[Lesion]
) -> np.ndarray | None:
    """A random place for a lesion in the gland or at its edge, or None where there is no room."""
    shape = rng.uniform((-0.8, 0.1, -0.8), (0.8, 0.95, 0.8), (300, 3)) * np.array(breast.radii)
    local = shape.astype(np.float32)
    points = breast.place(local).astype(np.float32)
    skin = breast.skin(local)
    upright = chest.upright(points)
    above = chest.wall(chest.skin(upright)) - chest.muscle(upright)
    free = (skin < -1.15 * radius - 4.0) & (above > radius + 3.0)
    for other in others:
        apart = np.linalg.norm(points - np.asarray(other.centre_mm, np.float32), axis=-1)
        free &= apart > 1.3 * (radius + other.radius_mm) + 4.0
    if not free.any():
        return None
    weight = np.where(free, soft(breast.gland(local, skin) - 2.0, 6.0) + 1e-4, 0.0).astype(float)
    return points[rng.choice(len(points), p=weight / weight.sum())].astype(float)
