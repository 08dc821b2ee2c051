"""Shapes of the upper abdominal organs and vessels of one patient, laid out in a trunk.

z = 0 mm is near the first lumbar vertebra: the renal hila lie just below it, the coeliac trunk and the liver's hilum
20 mm above it, the dome of the diaphragm 85 mm above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation

from CEKWorldLib.simulation.abdomen_body import Trunk
from CEKWorldLib.simulation.abdomen_solids import (
    EVERYWHERE,
    Solid,
    beads,
    blob,
    half_space,
    merged,
    pipes,
    strung,
    vessel_tree,
)

Place = tuple[float, float, float]


@dataclass(frozen=True)
class Kidney:
    """One kidney. The pyramids end ``cortex_mm`` below the outline."""

    outline: Solid
    pyramids: Solid
    sinus: Solid
    pelvis: Solid
    hilum_mm: np.ndarray
    pole_mm: np.ndarray
    cortex_mm: float


@dataclass(frozen=True)
class Organs:
    """All organs and vessels; cavities are inside the organ whose wall they leave."""

    heart: Solid
    ventricles: Solid
    liver: Solid
    portal_vein: Solid
    hepatic_veins: Solid
    gallbladder: Solid
    spleen: Solid
    kidneys: tuple[Kidney, Kidney]
    adrenals: Solid
    pancreas: Solid
    stomach: Solid
    stomach_gas: Solid
    duodenum: Solid
    small_bowel: Solid
    small_bowel_lumen: Solid
    colon: Solid
    colon_gas: Solid
    aorta: Solid
    arteries: Solid
    cava: Solid
    renal_veins: Solid
    mesenteric_veins: Solid
    muscles: Solid


class Layout:
    """Draws positions and sizes of one patient's organs."""

    def __init__(self, rng: np.random.Generator, trunk: Trunk) -> None:
        self.rng, self.trunk = rng, trunk
        self.size = float(np.exp(0.06 * rng.standard_normal()))

    def at(self, place: Place, jitter_mm: float = 0.0) -> np.ndarray:
        """The patient's position for a standard one, moved at random."""
        return self.trunk.at(*place) + jitter_mm * self.rng.standard_normal(3)

    def path(self, places: Sequence[Place], jitter_mm: float = 2.0) -> np.ndarray:
        """Vertices of a tube."""
        return np.array([self.at(place, jitter_mm) for place in places])

    def vary(self, radii: Sequence[float], spread: float = 0.07) -> np.ndarray:
        """Radii of an organ in this patient."""
        return self.size * np.asarray(radii) * np.exp(spread * self.rng.standard_normal(len(radii)))

    def seed(self) -> int:
        """A seed for an irregular surface."""
        return int(self.rng.integers(2**31))

    def organs(self) -> Organs:
        """Everything, from the back to the front of what depends on what."""
        kidneys = self._kidney((64, 42, -14), 1), self._kidney((-64, 40, -27), -1)
        aorta, coeliac, renal = self._aorta()
        cava_path = self.path(
            [(-19, 24, -110), (-20, 20, -40), (-22, 14, 10), (-24, 8, 45), (-20, 2, 70), (-8, -8, 95)], 1
        )
        pancreas_path = self.path(
            [(-36, 2, -34), (-30, -6, -16), (-10, -20, -2), (18, -16, 8), (48, 6, 16), (74, 24, 24)], 2.5
        )
        gallbladder = self._gallbladder()
        liver = self._liver(kidneys[1], gallbladder)
        portal_path = np.array([*pancreas_path[[4, 3]] + (0, 11, 2), pancreas_path[2] + (0, 11, 2)])
        hilum = self.at((-36, -6, 24), 3)
        splenic = pancreas_path[[3, 4, 5]] + (0, 7, 9) + 3 * self.rng.standard_normal((3, 3))
        confluence = portal_path[-1]
        mesenteric = coeliac + (-2, -13, -24), confluence + (9, 2, -40), self.at((4, -12, -105))
        colon, colon_gas = self._colon()
        small_bowel, lumen = self._small_bowel()
        return Organs(
            heart=blob(self.at((14, -26, 98), 3), self.vary((58, 46, 34))),
            ventricles=blob(self.at((34, -18, 96), 3), (27, 23, 22)) | blob(self.at((-10, -42, 96), 3), (26, 18, 20)),
            liver=liver,
            portal_vein=self._portal_vein(liver, portal_path, hilum),
            hepatic_veins=self._hepatic_veins(liver, cava_path),
            gallbladder=gallbladder,
            spleen=self._spleen(kidneys[0]),
            kidneys=kidneys,
            adrenals=self._adrenals(kidneys),
            pancreas=pipes((pancreas_path, self.vary([11, 14, 8, 9, 10, 9]))).rough(1.8, 5.0, self.seed()),
            stomach=self._stomach(),
            stomach_gas=half_space(1, self.at((40, self.rng.uniform(-62, -30), 0))[1]),
            duodenum=self._duodenum(),
            small_bowel=small_bowel,
            small_bowel_lumen=lumen,
            colon=colon,
            colon_gas=colon_gas,
            aorta=aorta,
            arteries=pipes(
                *(([renal, (renal + k.hilum_mm) / 2 + (0, 5, 0), k.hilum_mm], 2.6) for k in kidneys),
                ([coeliac, coeliac + (2, -16, 3), *splenic], [4.0, 3.4, 2.8, 2.6, 2.2]),
                (
                    [coeliac + (2, -14, 2), (coeliac + hilum) / 2 + (4, -12, 0), hilum + (4, -4, -4)],
                    [3.0, 2.6, 2.0],
                ),
                ([coeliac + (0, 2, -14), *mesenteric], 3.3),
            ),
            cava=pipes((cava_path, [9.5, 10, 11, 12, 13, 14])).rough(1.0, 15.0, self.seed()),
            renal_veins=pipes(  # the left one crosses before the aorta
                *(
                    ([cava_path[1] + (0, -4, 18), way, k.hilum_mm + (0, -4, 2)], [5.5, 4.5, 4.0])
                    for k, way in zip(kidneys, (renal + (4, -16, -2), cava_path[1] + (-14, 4, 12)), strict=True)
                )
            ),
            mesenteric_veins=self._mesenteric_veins(confluence),
            muscles=self._muscles(),
        )

    def _kidney(self, place: Place, side: int) -> Kidney:
        centre = self.at(place, 5)
        radii = self.vary((29, 25, 53), 0.06)
        # Columns: towards the flank and back, across, and up the long axis whose upper pole leans to the spine.
        turn = Rotation.from_euler("ZYX", [side * (35 + 8 * self.rng.standard_normal()), -side * 13, -9], degrees=True)
        axes = turn.as_matrix() @ np.diag([side, 1.0, 1.0])
        hilum = centre - axes @ (radii * (0.95, 0, 0.05))
        sinus = blob(centre - axes @ (radii * (0.55, 0, 0)), radii * (0.62, 0.40, 0.46), axes).rough(
            2.0, 7.0, self.seed()
        )
        levels = [(z, angle) for z in (-0.62, -0.32, 0.0, 0.32, 0.62) for angle in (-1.9, -0.65, 0.65, 1.9)]
        directions = np.array([[np.cos(a) * np.sqrt(1 - z * z), np.sin(a) * np.sqrt(1 - z * z), z] for z, a in levels])
        nodes = centre + (0.58 * radii * directions) @ axes.T + 1.2 * self.rng.standard_normal((len(levels), 3))
        outline = blob(centre, radii, axes).rough(1.2, 22.0, self.seed())
        return Kidney(
            outline=outline,
            pyramids=beads(nodes, self.rng.uniform(7.0, 9.0, len(nodes))),
            sinus=sinus,
            pelvis=pipes(
                ([centre - axes @ (radii * (f, 0.05, z)) for f, z in ((0.25, 0.2), (0.6, 0.0), (1.0, -0.2))], 3.5)
            ),
            hilum_mm=hilum,
            pole_mm=centre + axes @ (radii * (0, 0, 1)),
            cortex_mm=self.rng.uniform(6, 8.5),
        )

    def _aorta(self) -> tuple[Solid, np.ndarray, np.ndarray]:
        """The aorta, and the places where the coeliac trunk and the renal arteries leave it."""
        path = self.path([(15, 20, 110), (12, 17, 60), (8, 15, 20), (7, 15, -20), (6, 19, -110)], 1.5)
        radius = self.rng.uniform(8.5, 12.0)
        return pipes((path, np.linspace(1.12, 0.85, 5) * radius)), path[2] + (0, -radius, 2), path[3] + (0, 0, 12)

    def _liver(self, right_kidney: Kidney, gallbladder: Solid) -> Solid:
        right = blob(self.at((-72, 2, 16), 4), self.vary((72, 88, 92)))
        left = blob(self.at((-2, -44, 34), 6), self.vary((76, 36, 46)) * (self.rng.uniform(0.75, 1.15), 1, 1))
        lateral = self.trunk.half_width_mm
        lowest = self.rng.uniform(-88, -60)
        slope = self.rng.uniform(0.46, 0.60)

        def visceral(points: np.ndarray) -> np.ndarray:
            x, y, z = np.moveaxis(points, -1, 0)
            hollow = 9 * np.cos(x / 26) + 0.22 * y
            return (np.float32(lowest) + np.float32(slope) * (x + lateral) + hollow - z) / np.float32(1.2)

        fissure = blob(
            self.at((-10, -66, -4), 3), (4.5, 30, 34), Rotation.from_euler("z", 12, degrees=True).as_matrix()
        )
        midback = blob(self.at((12, 60, 30)), (54, 70, 95))
        hilum = blob(self.at((-26, -4, 14), 2), (18, 12, 12))
        body = merged(merged(right, left, 24.0) & Solid(EVERYWHERE, visceral), fissure.grown(-50), 1.0)
        body = body - fissure - midback - hilum - right_kidney.outline.grown(7) - gallbladder.grown(1.5)
        return body.rough(3.0, 32.0, self.seed())

    def _portal_vein(self, liver: Solid, splenic: np.ndarray, hilum: np.ndarray) -> Solid:
        trunk = pipes(([*splenic, (splenic[-1] + hilum) / 2 + (2, 0, 0), hilum], [3.5, 4.2, 6.0, 6.4, 6.2]))
        fork = hilum + (-10, 2, 6)
        return trunk | vessel_tree(self.rng, [hilum, fork], 6.0, self._targets(liver, 60, 7.0), 0.85)

    def _hepatic_veins(self, liver: Solid, cava_path: np.ndarray) -> Solid:
        root = cava_path[4] + (0, 0, -6)
        return vessel_tree(self.rng, [root, root + (-2, -8, -2)], 5.0, self._targets(liver, 38, 9.0), 0.95)

    def _targets(self, solid: Solid, count: int, depth_mm: float) -> np.ndarray:
        solid = solid & self.trunk.under_diaphragm & self.trunk.cavity
        points = self.rng.uniform(*solid.box, (20 * count, 3)).astype(np.float32)
        return points[solid.distance(points) < -depth_mm][:count].astype(float)

    def _gallbladder(self) -> Solid:
        tilt = Rotation.from_euler("xy", [24, -12], degrees=True).as_matrix()
        centre = self.at((-46, -40, -30), 4)
        return blob(centre, self.vary((12, 13, 29), 0.15), tilt).rough(1.0, 20.0, self.seed())

    def _spleen(self, left_kidney: Kidney) -> Solid:
        tilt = Rotation.from_euler("zx", [28, 18], degrees=True).as_matrix()
        outline = blob(self.at((104, 36, 36), 4), self.vary((36, 54, 54), 0.1), tilt).rough(1.5, 25.0, self.seed())
        bed = blob(self.at((52, 6, 44), 3), (38, 44, 60))
        return outline - bed - left_kidney.outline.grown(5)

    def _adrenals(self, kidneys: tuple[Kidney, Kidney]) -> Solid:
        limbs = []
        for kidney, side in zip(kidneys, (1, -1), strict=True):
            apex = kidney.pole_mm + (-side * 12, -10, 0)
            limbs += [([apex, apex + (side * 7 * s, 16, -8)], 2.2) for s in (1, -0.3)]
        return pipes(*limbs)

    def _stomach(self) -> Solid:
        places = [(54, 24, 66), (60, 14, 48), (64, -22, 24), (52, -48, 2), (20, -52, -12), (-12, -38, -6)]
        filling = self.rng.uniform(0.75, 1.1)
        radii = np.array([26, 32, 29, 23, 16, 9]) * filling * np.exp(0.08 * self.rng.standard_normal(6))
        return pipes((self.path(places, 4), radii), step_mm=2.0).rough(2.0, 14.0, self.seed())

    def _duodenum(self) -> Solid:
        places = [(-16, -34, -6), (-42, -14, -8), (-50, 2, -34), (-40, 10, -64), (6, 2, -68), (36, -6, -48)]
        return pipes((self.path(places), self.vary([8, 12, 12, 12, 11, 11]))).rough(1.5, 8.0, self.seed())

    def _colon(self) -> tuple[Solid, Solid]:
        """The colon, and the gas in it before it is cut to the lumen."""
        right = [(-96, 12, -112), (-94, 8, -84), (-84, -22, -62), (-58, -56, -66)]
        left = [
            (0, -66, -72),
            (48, -64, -58),
            (86, -42, -30),
            (106, 2, 2),
            (112, 34, -22),
            (108, 38, -70),
            (104, 34, -112),
        ]
        radii = self.vary([20, 20, 18, 16, 15, 16, 16, 14, 12, 11, 11], 0.12)
        nodes, radii = strung(self.path(right + left, 4), radii, 2.0)
        radii = radii * (1 + 0.08 * np.sin(np.arange(len(nodes)) * 2.0 * 2 * np.pi / 28))  # haustra
        rise = self.rng.uniform(0.5, 1.6) * radii[:, None]
        return beads(nodes, radii), beads(nodes - np.array([0.0, 1, 0]) * rise, 0.9 * radii)

    def _small_bowel(self) -> tuple[Solid, Solid]:
        """Loops in the left upper and the central lower abdomen, and their lumen, which is collapsed in places."""
        loops, lumens = [], []
        for centre, radii, count in (((50, -18, -46), (46, 40, 36), 34), ((-12, -30, -98), (66, 36, 30), 36)):
            spots = self.at(centre, 5) + self.vary(radii) * self.rng.uniform(-1, 1, (count, 3))
            order = [int(np.argmax(spots[:, 2]))]
            while len(order) < count:
                gaps = np.linalg.norm(spots - spots[order[-1]], axis=1)
                gaps[order] = np.inf
                order.append(int(np.argmin(gaps)))
            nodes, radius = strung(spots[order], self.rng.uniform(9, 13, count), 2.5)
            loops.append((nodes, radius))
            swing = 0.5 + 0.35 * np.sin(np.cumsum(self.rng.uniform(0, 0.4, len(nodes))))
            lumens.append((nodes, np.maximum(radius * swing, 0.5)))
        bowel, lumen = (beads(*map(np.concatenate, zip(*parts, strict=True))) for parts in (loops, lumens))
        return bowel.rough(1.0, 5.0, self.seed()), lumen

    def _mesenteric_veins(self, confluence: np.ndarray) -> Solid:
        spots = self.at((8, -34, -66)) + np.array([85, 26, 40]) * self.rng.uniform(-1, 1, (34, 3))
        stem = [confluence, confluence + (-2, -2, -24), self.at((-8, -6, -70), 2)]
        return vessel_tree(self.rng, stem, 5.0, spots, 0.8)

    def _muscles(self) -> Solid:
        """Psoas, crura and quadratus lumborum; the rest belongs to the wall."""
        parts: list[tuple[ArrayLike, ArrayLike]] = []
        for side in (1, -1):
            psoas = self.path(
                [(side * 26, 44, 22), (side * 34, 46, -20), (side * 43, 46, -62), (side * 52, 42, -115)], 1
            )
            crus = self.path([(side * 20, 22, 62), (side * 18, 20, 20), (side * 17, 24, -20), (side * 10, 28, -50)], 1)
            quadratus = self.path([(side * 56, 64, 5), (side * 62, 66, -40), (side * 66, 64, -115)], 1)
            parts += [(psoas, self.vary([6, 13, 19, 22])), (crus, [3, 5, 5, 3]), (quadratus, [4, 10, 12])]
        return pipes(*parts).rough(1.0, 15.0, self.seed())
