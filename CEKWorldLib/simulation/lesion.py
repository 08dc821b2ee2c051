"""Lesions: where, what shape family, and the kinetics that go with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from CEKWorldLib.simulation.canvas import Canvas
from CEKWorldLib.simulation.fields import gaussian_field
from CEKWorldLib.simulation.labels import Label
from CEKWorldLib.simulation.shapes import ellipsoid, rotation_from, soft, tube
from CEKWorldLib.simulation.tissue import Texture, Tissue


@dataclass(frozen=True)
class Lesion:
    """One lesion of one case, as the truth file records it.

    Attributes:
        family: name such as "fibroadenoma"; the key of held-out splits.
        malignant: which of the two kinetic groups it belongs to.
        centre_mm: LPS position.
        radius_mm: mean radius.
        seed: fixes shape and texture.
        rim: tissue of the outer part.
        core: tissue of the inner part; equal to ``rim`` for a homogeneous lesion.
        core_share: radius of the core relative to the lesion's, 0 for none.
        core_edge: width of the passage from rim to core relative to the radius; wide gives mixed curve types.
        lobes: number of overlapping lobes; 1 is round or oval.
        roughness: size of surface irregularity relative to the radius.
        spicules: number of radiating spikes.
        texture: variation inside.
    """

    family: str
    malignant: bool
    centre_mm: tuple[float, float, float]
    radius_mm: float
    seed: int
    rim: Tissue
    core: Tissue
    core_share: float = 0.0
    core_edge: float = 0.25
    lobes: int = 1
    roughness: float = 0.08
    spicules: int = 0
    texture: Texture = Texture()

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance in mm, negative inside."""
        rng = np.random.default_rng(self.seed)
        radii = self.radius_mm * np.exp(0.15 * rng.standard_normal(3))
        distance = ellipsoid(points, self.centre_mm, radii, rotation_from(rng))
        for _ in range(self.lobes - 1):
            offset = rng.standard_normal(3)
            offset *= 0.7 * self.radius_mm / np.linalg.norm(offset)
            lobe = ellipsoid(points, self.centre_mm + offset, np.full(3, self.radius_mm * rng.uniform(0.45, 0.7)))
            distance = np.minimum(distance, lobe)
        distance = distance + self.roughness * self.radius_mm * gaussian_field(
            points, max(0.5 * self.radius_mm, 1.5), self.seed
        )
        for _ in range(self.spicules):
            heading = rng.standard_normal(3)
            tip = self.centre_mm + heading / np.linalg.norm(heading) * self.radius_mm * rng.uniform(1.5, 2.3)
            spike = tube(points, np.array([self.centre_mm, tip]), np.array([0.35 * self.radius_mm, 0.2]))
            distance = np.minimum(distance, spike)
        return distance

    def paint(self, canvas: Canvas, index: int) -> None:
        """Lays lesion number ``index`` of the case over the anatomy."""
        near = (
            np.linalg.norm(canvas.points - np.asarray(self.centre_mm, np.float32), axis=-1) < 3.0 * self.radius_mm + 5.0
        )
        if not near.any():
            return
        distance = np.full(canvas.labels.shape, np.inf, np.float32)
        distance[near] = self.distance(canvas.points[near])
        label = Label.LESION + index
        canvas.paint(canvas.coverage(distance), self.rim, label, self.texture, self.seed)
        if self.core_share > 0:
            depth = distance + (1.0 - self.core_share) * self.radius_mm
            core = soft(depth, max(self.core_edge * self.radius_mm, canvas.pixel_mm))
            inside = np.minimum(core, canvas.coverage(distance))
            canvas.paint(inside, self.core, label, self.texture, self.seed + 7)
