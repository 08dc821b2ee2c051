"""What lies around the brain: skull, scalp, face, orbits, nose and sinuses, in head mm of ``brain_geometry``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from CEKWorldLib.simulation.brain_geometry import CSF_MM, smooth_minimum
from CEKWorldLib.simulation.canvas import Canvas
from CEKWorldLib.simulation.fields import gaussian_field
from CEKWorldLib.simulation.labels import Label
from CEKWorldLib.simulation.shapes import ellipsoid, soft, tube
from CEKWorldLib.simulation.tissue import Texture, Tissue

SKULL_MM = 6.5
SCALP_MM = 6.0
_SKIN_MM = 2.0


def head_distance(points: np.ndarray, calvaria: np.ndarray) -> np.ndarray:
    """Signed distance (mm) to the skin, from that to the brain's main ellipsoid at the same points (n, 3)."""
    x, y, z = points.T
    below = np.maximum(-18 - z, 0)
    face = ellipsoid(points, (0, -46, -52), (62, 56, 74))
    neck = np.hypot(x / 1.0, (y - 22) / 1.1) - (60 - 0.12 * below)
    neck = np.maximum(neck, z + 10)
    nose = tube(points, np.array([[0, -92, -22], [0, -105, -50]], float), np.array([4.0, 8.0]))
    head = smooth_minimum(calvaria - (CSF_MM + SKULL_MM + SCALP_MM), face, 18.0)
    return smooth_minimum(smooth_minimum(head, neck, 25.0), nose, 8.0)


def paint_head(
    canvas: Canvas,
    tissues: Mapping[str, Tissue],
    points: np.ndarray,
    skin: np.ndarray,
    cranium: np.ndarray,
    seed: int,
) -> None:
    """Paints all that is outside the dura.

    Args:
        canvas: over n points.
        tissues: this patient's tissues by name.
        points: the canvas's points in head mm, (n, 3).
        skin: signed distance to the skin.
        cranium: signed distance to the inner table of the skull.
        seed: fixes textures.
    """
    z = points[:, 2]
    body = canvas.coverage(skin)
    soft_tissue = Texture(5.0, 0.06, 0.05, 0.2, 0.1)
    canvas.paint(body, tissues["fat"], Label.FAT, Texture(4.0, 0.03, 0.06, 0.0, 0.0), seed)
    bundles = 5.0 * np.abs(gaussian_field(points, (12.0, 16.0, 24.0), seed + 3)) - 0.9  # parted by planes of fat
    bellies = np.maximum(-bundles, 0.5 * (z + 18))
    temporalis = ellipsoid(np.abs(points), (66, 14, 8), (11, 36, 42)) + 2 * np.maximum(points[:, 1] - 20, 0)
    muscle = soft(np.minimum(bellies, temporalis), 1.5) * soft(skin + 6.0, 2.0)
    canvas.paint(muscle, tissues["muscle"], Label.MUSCLE, soft_tissue, seed + 4)
    # Under the scalp runs the galea, a thin dark line that parts the fat from the skull.
    canvas.paint(body * soft(np.abs(skin + _SKIN_MM / 2) - _SKIN_MM / 2, 1.2), tissues["skin"], Label.SKIN)
    face = np.flatnonzero((points[:, 1] < -10) & (points[:, 2] < 20))
    if face.size:
        with part_of(canvas, face) as part:
            _paint_face(part, tissues, points[face], skin[face], seed)
    _paint_skull(canvas, tissues, points, cranium, skin, seed)


@contextmanager
def part_of(canvas: Canvas, at: np.ndarray) -> Iterator[Canvas]:
    """Part of a canvas, given by flat indices, to paint on; it is written back at the end."""
    part = Canvas(canvas.points.reshape(-1, 3)[at], canvas.pixel_mm, canvas.kinetics)
    part.maps = {name: values.reshape(-1)[at] for name, values in canvas.maps.items()}
    part.labels = canvas.labels.reshape(-1)[at]
    yield part
    for name, values in canvas.maps.items():
        values.reshape(-1)[at] = part.maps[name]
    canvas.labels.reshape(-1)[at] = part.labels


def _paint_skull(canvas, tissues, points, cranium, skin, seed: int) -> None:
    z = points[:, 2]
    thick = SKULL_MM * (1 + 0.16 * gaussian_field(points, 30.0, seed + 11)) + 2.0 * (0.5 + 0.5 * np.tanh((-16 - z) / 6))
    middle = np.abs(cranium - thick / 2)
    inside = soft(skin + 3.0, 1.0)
    canvas.paint(canvas.coverage(middle - thick / 2) * inside, tissues["bone"], Label.BONE)
    spongy = gaussian_field(points, 5.0, seed + 13)
    marrow = soft(middle - thick / 2 + 1.9 + 0.35 * spongy, 1.4) * inside
    canvas.paint(0.85 * marrow, tissues["marrow"], Label.BONE, Texture(3.0, 0.08, 0.15, 0.2, 0.0), seed + 14)
    base = np.flatnonzero(z < -18)
    if base.size:
        with part_of(canvas, base) as part:
            _paint_skull_base(part, tissues, points[base], cranium[base], skin[base], seed)


def _paint_skull_base(canvas, tissues, points, cranium, skin, seed: int) -> None:
    """Petrous bone, mastoid with its air cells, and the marrow of the clivus."""
    folded = np.abs(points)
    for centre, radii, cells in (((55, 30, 40), (15, 18, 17), 1.0), ((34, 16, 42), (20, 9, 8), 0.2)):
        mirrored = np.stack([folded[:, 0], points[:, 1], -points[:, 2]], -1)
        distance = np.maximum(ellipsoid(mirrored, centre, radii), np.maximum(-cranium + 0.8, skin + 7))
        canvas.paint(canvas.coverage(distance), tissues["bone"], Label.BONE)
        speckle = soft(0.9 - cells - gaussian_field(points, 3.0, seed + 15), 0.6)
        canvas.paint(0.35 * canvas.coverage(distance + 2) * speckle, tissues["marrow"], Label.BONE)
    clivus = tube(points, np.array([[0, -18, -40], [0, -2, -62]], float), np.array([6.0, 5.0]))
    canvas.paint(canvas.coverage(np.maximum(clivus, -cranium + 1.5)), tissues["marrow"], Label.BONE)


def _paint_face(canvas, tissues, points, skin, seed: int) -> None:
    """Nose with turbinates, paranasal sinuses with their mucosa, orbits with globes, muscles and optic nerves."""
    folded = np.stack([np.abs(points[:, 0]), points[:, 1], points[:, 2]], -1)
    lively = Texture(3.0, 0.05, 0.04, 0.3, 0.1)
    wobble = 1.2 * gaussian_field(points, 7.0, seed + 21)
    nose = np.maximum(ellipsoid(folded, (0, -70, -58), (15, 32, 22)), skin + 3) + wobble
    canvas.paint(canvas.coverage(nose - 1.5), tissues["bone"], Label.BONE)
    canvas.paint(canvas.coverage(nose), tissues["mucosa"], Label.MUCOSA, lively, seed + 22)
    passages = np.abs(np.sin((folded[:, 0] + 1.5 * wobble) * 0.62) + 0.35 * np.sin(folded[:, 2] * 0.33 + wobble))
    canvas.paint(canvas.coverage(nose + 1.5) * soft(0.62 - passages, 0.35), tissues["air"], Label.AIR)
    for centre, radii in (
        ((30, -64, -68), (12, 15, 15)),  # maxillary
        ((7, -34, -40), (9, 11, 8)),  # sphenoid
    ):
        sinus = np.maximum(ellipsoid(folded, centre, radii), skin + 7) + 0.7 * wobble
        canvas.paint(canvas.coverage(sinus - 1.5), tissues["bone"], Label.BONE)
        canvas.paint(canvas.coverage(sinus), tissues["mucosa"], Label.MUCOSA, lively, seed + 22)
        canvas.paint(canvas.coverage(sinus + 1.3), tissues["air"], Label.AIR)
    orbit = np.maximum(ellipsoid(folded, (30, -62, -37), (16, 27, 15)), skin + 3)
    canvas.paint(canvas.coverage(orbit - 1.5), tissues["bone"], Label.BONE)
    canvas.paint(canvas.coverage(orbit), tissues["fat"], Label.FAT)
    apex = np.array([18.0, -42, -34])
    for muscle in ((43, -72, -37), (18.5, -72, -37), (30, -72, -25.5), (30, -72, -48)):
        belly = tube(folded, np.array([apex, (apex + muscle) / 2, muscle]), np.array([1.0, 2.2, 1.3]))
        canvas.paint(canvas.coverage(belly), tissues["muscle"], Label.MUSCLE)
    nerve = tube(folded, np.array([[3, -22, -24], apex, [31, -64, -37]], float), np.array([1.8, 1.8, 1.8]))
    canvas.paint(canvas.coverage(nerve), tissues["white"], Label.WHITE_MATTER)
    globe = ellipsoid(folded, (31, -73, -37), (12, 12, 12))
    canvas.paint(canvas.coverage(globe), tissues["sclera"], Label.MUSCLE)
    canvas.paint(canvas.coverage(globe + 1.2), tissues["vitreous"], Label.FLUID)
    canvas.paint(canvas.coverage(ellipsoid(folded, (31, -81.5, -37), (4.5, 2.2, 4.5))), tissues["sclera"], Label.MUSCLE)
