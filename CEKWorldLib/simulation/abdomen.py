"""A procedural upper abdomen, from the lung bases to the lower poles of the kidneys.

What an abdominal radiologist expects of a T1-weighted gradient echo and its arterial, portal venous and delayed phase:
organs in their places, vessels that fill in their order, and one to three focal lesions, nearly all in the liver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from CEKWorldLib.exam.protocol import Anatomy
from CEKWorldLib.simulation.abdomen_body import Trunk
from CEKWorldLib.simulation.abdomen_lesions import LESION_FAMILIES, draw_lesions
from CEKWorldLib.simulation.abdomen_organs import Layout, Organs
from CEKWorldLib.simulation.abdomen_solids import Solid
from CEKWorldLib.simulation.abdomen_tissues import FLESH, LIVER_TEXTURE, PARENCHYMA, draw_tissues
from CEKWorldLib.simulation.canvas import Canvas
from CEKWorldLib.simulation.fields import gaussian_field
from CEKWorldLib.simulation.labels import Label
from CEKWorldLib.simulation.lesion import Lesion
from CEKWorldLib.simulation.shapes import soft
from CEKWorldLib.simulation.tissue import SMOOTH, Texture, Tissue

FAMILIES: tuple[str, ...] = tuple(LESION_FAMILIES)

_SKIN_MM = 2.0
_COLON_WALL_MM = 2.5
_STOMACH_WALL_MM = 4.0
_OVERLAP_MM = 3.0  # layers reach under the next one, so that soft edges show no gap
_MARGIN_MM = 12.0  # of boxes beyond solids: soft edges and wavy surfaces reach so far


@dataclass(frozen=True)
class Abdomen:
    """One patient. See ``simulation.anatomy.Subject``."""

    tissues: dict[str, Tissue]
    trunk: Trunk
    organs: Organs
    lesions: tuple[Lesion, ...]
    seed: int
    anatomy: Anatomy = "abdomen"
    centre_mm: tuple[float, float, float] = (0.0, 5.0, 0.0)
    extent_mm: tuple[float, float, float] = (340.0, 260.0, 200.0)

    def paint(self, canvas: Canvas) -> None:
        """Paints the trunk, the organs and the lesions, from the outside in."""
        low, high = self.trunk.box
        body = np.logical_and(canvas.points > low.astype(np.float32), canvas.points < high.astype(np.float32)).all(-1)
        if not body.any():
            return
        inner = Canvas(canvas.points[body], canvas.pixel_mm, canvas.kinetics)
        brush = _Brush(inner, self.tissues, self.seed)
        self._paint_trunk(brush)
        self._paint_gut(brush)
        self._paint_solid_organs(brush)
        self._paint_retroperitoneum(brush)
        for index, lesion in enumerate(self.lesions):
            lesion.paint(inner, index)
        inner.maps["proton_density"] *= 1 + np.float32(0.02) * inner.field(9.0, self.seed + 91)
        canvas.labels[body] = inner.labels
        for name, values in inner.maps.items():
            canvas.maps[name][body] = values

    def _paint_trunk(self, brush: _Brush) -> None:
        trunk, points = self.trunk, brush.canvas.points
        inside, wall, outside = trunk.layers(points)
        brush.fill(inside - outside, "skin", Label.SKIN)
        brush.fill(inside - outside + _SKIN_MM, "fat", Label.FAT)
        brush.fill(np.maximum(inside - wall, -_OVERLAP_MM - inside), "muscle", Label.MUSCLE, FLESH)
        seams = np.abs(inside - wall * (0.3 + 0.004 * outside)) - 0.6  # fat between the muscle layers
        brush.fill(np.maximum(seams, inside - 0.9 * wall), "fat", Label.FAT, opacity=0.7)
        ribs = trunk.ribs(points, inside, wall)
        brush.fill(ribs, "cortical_bone", Label.BONE)
        brush.fill(ribs + 1.4, "marrow", Label.BONE)
        brush.fill(inside, "fat", Label.FAT)
        beneath = trunk.under_diaphragm.distance(points)
        brush.fill(np.maximum(inside + 1.5, -beneath), "lung", Label.LUNG)
        brush.chest = np.maximum(inside + 3, -3 - beneath)
        brush.room = np.maximum(inside + 3, beneath + 2)
        heart = brush.distance(self.organs.heart, brush.chest)
        brush.fill(heart - 4, "fat", Label.FAT)
        brush.fill(heart, "myocardium", Label.HEART, FLESH)
        brush.fill(brush.distance(self.organs.ventricles, heart + 6), "artery", Label.HEART)

    def _paint_gut(self, brush: _Brush) -> None:
        organs, room = self.organs, brush.room
        brush.lay(organs.mesenteric_veins, "portal_vein", Label.PORTAL_VEIN)
        brush.fill(brush.distance(organs.small_bowel, room), "bowel_wall", Label.BOWEL_WALL, PARENCHYMA)
        brush.fill(brush.distance(organs.small_bowel_lumen, room + 3), "chyme", Label.FLUID)
        colon = brush.distance(organs.colon, room)
        brush.fill(colon, "bowel_wall", Label.BOWEL_WALL)
        brush.fill(colon + _COLON_WALL_MM, "stool", Label.FLUID, FLESH)
        brush.fill(brush.distance(organs.colon_gas, colon + _COLON_WALL_MM), "gas", Label.AIR)
        duodenum = brush.distance(organs.duodenum, room)
        brush.fill(duodenum, "bowel_wall", Label.BOWEL_WALL, PARENCHYMA)
        brush.fill(duodenum + 6.5, "chyme", Label.FLUID)
        brush.lay(organs.pancreas, "pancreas", Label.PANCREAS, PARENCHYMA)
        stomach = brush.distance(organs.stomach, room)
        brush.fill(stomach, "gastric_wall", Label.STOMACH, PARENCHYMA)
        brush.fill(stomach + _STOMACH_WALL_MM, "gastric_content", Label.FLUID, FLESH)
        brush.fill(brush.distance(organs.stomach_gas, stomach + _STOMACH_WALL_MM), "gas", Label.AIR)

    def _paint_solid_organs(self, brush: _Brush) -> None:
        organs, room = self.organs, brush.room
        spleen = brush.distance(organs.spleen, room)
        brush.fill(spleen, "spleen", Label.SPLEEN, PARENCHYMA)
        # Red pulp fills unevenly: bands arrive up to some seconds late, and have caught up by the venous phase.
        pulp = spleen < 0
        if pulp.any():
            bands = np.abs(gaussian_field(brush.canvas.points[pulp], 9.0, self.seed + 90))
            brush.canvas.maps["delay_s"][pulp] += np.float32(4.0) * bands
        brush.fill(brush.distance(organs.liver, room), "liver", Label.LIVER, LIVER_TEXTURE)
        brush.lay(organs.portal_vein, "portal_vein", Label.PORTAL_VEIN)
        brush.lay(organs.hepatic_veins, "hepatic_vein", Label.VEIN)
        gallbladder = brush.distance(organs.gallbladder, room)
        brush.fill(gallbladder - 1.2, "gastric_wall", Label.GALLBLADDER, opacity=0.6)
        brush.fill(gallbladder, "bile", Label.GALLBLADDER)

    def _paint_retroperitoneum(self, brush: _Brush) -> None:
        organs = self.organs
        brush.lay(organs.muscles, "muscle", Label.MUSCLE, FLESH)
        self._paint_spine(brush)
        brush.lay(organs.adrenals, "adrenal", Label.GLAND)
        for kidney in organs.kidneys:
            outline = brush.distance(kidney.outline)
            brush.fill(outline - 4, "fat", Label.FAT)
            brush.fill(outline, "cortex", Label.KIDNEY_CORTEX, PARENCHYMA)
            brush.fill(
                brush.distance(kidney.pyramids, outline + kidney.cortex_mm), "medulla", Label.KIDNEY_MEDULLA, PARENCHYMA
            )
            brush.lay(kidney.sinus, "fat", Label.FAT)
            brush.lay(kidney.pelvis, "urine", Label.FLUID)
        brush.lay(organs.renal_veins, "renal_vein", Label.VEIN)
        cava = brush.distance(organs.cava)
        brush.fill(cava, "lower_cava", Label.VEIN)
        renal_level = float(organs.kidneys[1].hilum_mm[2])
        mixed = soft(renal_level - brush.canvas.points[:, 2], 25.0)  # renal blood comes early and mixes in
        brush.fill(cava, "upper_cava", Label.VEIN, opacity=mixed)
        brush.lay(organs.aorta, "artery", Label.ARTERY)
        brush.lay(organs.arteries, "artery", Label.ARTERY)

    def _paint_spine(self, brush: _Brush) -> None:
        near = brush.within((self.trunk.at(-50, 12, -1e3), self.trunk.at(50, 130, 1e3)))
        if not near.any():
            return
        for name, values in self.trunk.spine(brush.canvas.points[near]).items():
            label = {"csf": Label.CSF, "cord": Label.WHITE_MATTER}.get(name, Label.BONE)
            texture = FLESH if name in ("marrow", "disc") else SMOOTH
            brush.fill(brush.spread(near, values), name, label, texture)


class _Brush:
    """Paints solids on a canvas of points (n, 3), looking only at those in their boxes.

    Attributes:
        chest: distance to the space above the diaphragm, (n,).
        room: distance to the space for organs below it, (n,).
    """

    chest: np.ndarray
    room: np.ndarray

    def __init__(self, canvas: Canvas, tissues: dict[str, Tissue], seed: int) -> None:
        self.canvas, self.tissues = canvas, tissues
        self._seeds = {name: seed + 10 * number for number, name in enumerate(tissues)}
        self._axes = np.ascontiguousarray(canvas.points.T)

    def within(self, box: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Mask of the points in a box and around it."""
        mask = np.ones(self.canvas.labels.shape, bool)
        for values, low, high in zip(self._axes, *box, strict=True):
            mask &= (values > low - _MARGIN_MM) & (values < high + _MARGIN_MM)
        return mask

    def spread(self, near: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Distances of some points among all, the others being far away."""
        whole = np.full(near.shape, np.inf, np.float32)
        whole[near] = distance
        return whole

    def distance(self, solid: Solid, clip: np.ndarray | None = None) -> np.ndarray:
        """Signed distance of all points to a solid, cut to another whose distance is given; infinite far away."""
        near = self.within(solid.box)
        if clip is not None:
            near &= clip < _MARGIN_MM
        if not near.any():
            return np.full(near.shape, np.inf, np.float32)
        distance = solid.distance(self.canvas.points[near])
        return self.spread(near, distance if clip is None else np.maximum(distance, clip[near]))

    def fill(
        self,
        distance: np.ndarray,
        name: str,
        label: Label,
        texture: Texture = SMOOTH,
        opacity: float | np.ndarray = 1.0,
    ) -> None:
        """Paints a tissue where the distance is negative; each tissue has texture of its own."""
        near = distance < 2 * self.canvas.pixel_mm  # further out coverage is below 2e-4
        coverage = np.zeros(near.shape, np.float32)
        coverage[near] = self.canvas.coverage(distance[near])
        coverage *= opacity
        self.canvas.paint(coverage, self.tissues[name], label, texture, self._seeds[name])

    def lay(self, solid: Solid, name: str, label: Label, texture: Texture = SMOOTH) -> None:
        """Paints a solid."""
        self.fill(self.distance(solid), name, label, texture)


def draw_abdomen(rng: np.random.Generator, field_strength_t: float, families: Sequence[str]) -> Abdomen:
    """Draws a patient.

    Args:
        rng: source of everything that differs between patients.
        field_strength_t: decides T1.
        families: lesion families that may occur, of ``FAMILIES``.
    """
    tissues = draw_tissues(rng, field_strength_t)
    trunk = Trunk.draw(rng)
    layout = Layout(rng, trunk)
    organs = layout.organs()

    room = organs.liver & trunk.cavity.grown(-3) & trunk.under_diaphragm.grown(-2)

    def find_place(radius_mm: float) -> np.ndarray:
        """A point at least 1.1 radii inside the liver where there is one, else the deepest found."""
        points = rng.uniform(*room.box, (600, 3)).astype(np.float32)
        depth = room.distance(points)
        enough = np.flatnonzero(depth < -1.1 * radius_mm)
        return points[enough[0] if len(enough) else int(np.argmin(depth))]

    lesions = draw_lesions(rng, families, tissues["liver"], find_place)
    return Abdomen(tissues, trunk, organs, lesions, int(rng.integers(2**30)))
