"""The trunk around the abdominal organs: cavity, wall, fat, diaphragm, and the spine with its muscles.

Organs are laid out for a standard cavity 270 mm wide and 168 mm deep, and moved with the patient's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from CEKWorldLib.simulation.abdomen_solids import EVERYWHERE, Solid
from CEKWorldLib.simulation.fields import gaussian_field
from CEKWorldLib.simulation.shapes import tube

_STANDARD = (135.0, 88.0, 80.0)  # half width, front, back of the cavity, mm
VERTEBRA_MM = 34.0  # lumbar vertebra and disc


@dataclass(frozen=True)
class Trunk:
    """Walls of one patient's trunk. Distances are in mm; z = 0 lies near the first lumbar vertebra.

    Attributes:
        half_width_mm: of the abdominal cavity.
        front_mm: depth of the cavity before the coronal plane y = 0.
        back_mm: depth behind it.
        fat_mm: mean thickness of subcutaneous fat.
        wall_mm: thickness of the muscle wall at the flank.
        domes_mm: height of the right and left dome of the diaphragm.
        disc_mm: height of a disc; ``disc_phase`` of the first one, 0 to 1.
        seed: fixes the irregularity.
    """

    half_width_mm: float
    front_mm: float
    back_mm: float
    fat_mm: float
    wall_mm: float
    domes_mm: tuple[float, float]
    disc_phase: float
    seed: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Trunk:
        """A patient from slim to obese, whose trunk stays within 370 mm of width."""
        half_width = rng.uniform(118, 146)
        fat = float(np.clip(16 * np.exp(0.5 * rng.standard_normal()), 5, 164 - half_width))
        right = rng.uniform(76, 92)
        return cls(
            half_width_mm=half_width,
            front_mm=half_width * rng.uniform(0.56, 0.70),
            back_mm=half_width * rng.uniform(0.55, 0.62),
            fat_mm=fat,
            wall_mm=rng.uniform(10, 14),
            domes_mm=(right, right - rng.uniform(4, 16)),
            disc_phase=rng.random(),
            seed=int(rng.integers(2**31)),
        )

    def at(self, x: float, y: float, z: float) -> np.ndarray:
        """Where a point of the standard patient lies in this one."""
        depth = self.front_mm / _STANDARD[1] if y < 0 else self.back_mm / _STANDARD[2]
        return np.array([x * self.half_width_mm / _STANDARD[0], y * depth, z])

    @cached_property
    def cavity(self) -> Solid:
        """Everything inside the wall, lungs included: a super-ellipse of power 2.5 that narrows to both ends."""

        def distance(points: np.ndarray) -> np.ndarray:
            x, y, z = np.moveaxis(points, -1, 0)
            taper = 1 - np.float32(0.06) * (z / 100) ** 2
            depth = np.where(y < 0, np.float32(self.front_mm), np.float32(self.back_mm)) * taper
            width = np.float32(self.half_width_mm) * taper
            u, v = np.abs(x) / width, np.abs(y) / depth
            u15, v15 = u * np.sqrt(u), v * np.sqrt(v)
            norm = np.maximum(u * u15 + v * v15, 1e-6) ** np.float32(0.4)
            slope = np.sqrt((u15 / width) ** 2 + (v15 / depth) ** 2) / (norm * np.sqrt(norm))
            return (norm - 1) / np.maximum(slope, np.float32(1e-3))

        high = np.array([self.half_width_mm, self.back_mm, np.inf])
        low = np.array([-self.half_width_mm, -self.front_mm, -np.inf])
        return Solid((low, high), distance).rough(3.0, 90.0, self.seed)

    @cached_property
    def under_diaphragm(self) -> Solid:
        """Everything below the two domes, which fall off towards the wall, most at the back."""
        right, left = self.at(-62, 0, self.domes_mm[0]), self.at(66, 4, self.domes_mm[1])

        def distance(points: np.ndarray) -> np.ndarray:
            x, y, z = np.moveaxis(points, -1, 0)
            height = np.full(z.shape, -np.inf, np.float32)
            for apex in (right, left):
                aside = (x - apex[0]) / np.float32(0.72 * self.half_width_mm)
                ahead = y - np.float32(apex[1])
                ahead = ahead / np.where(ahead < 0, np.float32(1.25 * self.front_mm), np.float32(self.back_mm))
                height = np.maximum(height, np.float32(apex[2]) - 70 * (aside**2 + ahead**2))
            tendon = 60 - 30 * ((x / 70) ** 2 + ((y + 25) / 70) ** 2)  # the heart rests on it
            return (z - np.maximum(height, tendon)) * np.float32(0.7)

        return Solid(EVERYWHERE, distance)

    @property
    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """A box around the skin."""
        pad = 2.2 * self.fat_mm + self.wall_mm + 12
        low, high = self.cavity.box
        return low - pad, high + pad + (0, 20, 0)

    def layers(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distance to the cavity, thickness of the muscle wall, and thickness of wall plus subcutaneous fat."""
        x, y, z = np.moveaxis(points, -1, 0)
        inside = self.cavity.distance(points)
        behind = np.clip(y / self.back_mm, 0, 1)
        ahead = np.clip(-y / self.front_mm, 0, 1)
        spine_muscles = 20 * behind**2 * np.exp(-((x / 58) ** 4))
        rectus = ahead**4 * np.exp(-(((np.abs(x) - 32) / 24) ** 4))  # before it and between both lies fat
        flank = np.float32(self.wall_mm) * (1 - 0.3 * ahead)
        wall = flank * (1 + 0.45 * rectus) + spine_muscles
        uneven = 1 + 0.18 * gaussian_field(points, 70.0, self.seed + 2) - 0.0015 * z
        furrow = 1 - 0.5 * behind * np.exp(-((x / 14) ** 2))
        fat = np.float32(self.fat_mm) * uneven * (0.8 + 0.45 * ahead**2) * furrow
        return inside, wall, flank + spine_muscles + np.maximum(fat, 6.0 * rectus + 3.0)

    def ribs(self, points: np.ndarray, inside: np.ndarray, wall: np.ndarray) -> np.ndarray:
        """Distance to the ribs: bands 28 mm apart that descend to the front, ending at the costal margin."""
        x, y, z = np.moveaxis(points, -1, 0)
        along = z - 0.55 * y + 0.1 * np.abs(x)
        band = np.abs((along + np.float32(28 * self.disc_phase)) % 28 - 14) - 6.5
        middle = np.abs(inside - 0.45 * wall) - 3.8
        margin = -(z + 0.55 * y + 0.30 * (np.abs(x) - 60)) - 15  # the front of the lower abdomen is free
        return np.maximum(np.maximum(band, middle), np.maximum(margin * 0.8, np.float32(25) - np.abs(x)))

    def spine_frame(self, points: np.ndarray) -> np.ndarray:
        """Points relative to the nearest vertebra: origin at the centre of its body, z = +-17 mm in the discs."""
        local = points - self.at(0, 42, 0).astype(np.float32)
        z = points[..., 2]
        local[..., 1] -= 9 * (z / 100) ** 2 + 0.05 * z  # lordosis
        local[..., 2] = (z + np.float32(VERTEBRA_MM * self.disc_phase)) % VERTEBRA_MM - VERTEBRA_MM / 2
        return local

    def spine(self, points: np.ndarray) -> dict[str, np.ndarray]:
        """Distances to cortical bone, marrow, disc, canal (CSF) and cord."""
        local = self.spine_frame(points)
        x, y, z = np.moveaxis(local, -1, 0)
        waist = 1.5 * np.cos(np.pi * z / VERTEBRA_MM) ** 2  # bodies are hourglass-shaped
        column = (np.hypot(x / 1.3, y) - 17.5 + waist) * np.float32(1.1)
        disc = np.maximum(column, 12.5 - np.abs(z))
        body = np.maximum(column, np.abs(z) - 12.5)
        mirrored = np.stack([np.abs(x), y, z], axis=-1)
        arch = tube(mirrored, np.array([[11.0, 12, 5], [15, 22, 2], [8, 34, -2], [0, 38, -3]]), 4.0)
        transverse = tube(mirrored, np.array([[15.0, 21, 3], [38, 26, 5]]), np.array([5.0, 3.5]))
        spinous = tube(mirrored, np.array([[0.0, 38, -3], [0, 56, -7]]), np.array([4.0, 5.0]))
        processes = np.minimum(np.minimum(arch, transverse), spinous)
        canal = np.hypot(x / 1.2, y - 25) - 8.0
        cord_mm = np.clip(2.0 + 0.08 * points[..., 2], 1.2, 5.0)  # the conus ends near L1
        return {
            "cortical_bone": np.maximum(np.minimum(body, processes), 1.5 - canal),
            "marrow": np.maximum(np.minimum(body + 1.6, processes + 1.8), 2.5 - canal),
            "disc": disc,
            "csf": canal,
            "cord": np.hypot(x, y - 25.5) - cord_mm,
        }
