"""The chest behind the breasts: wall, lungs, heart, great vessels, spine and the dome of the liver."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from CEKWorldLib.simulation.canvas import Canvas
from CEKWorldLib.simulation.labels import Label
from CEKWorldLib.simulation.shapes import ellipsoid, soft, tube, wander
from CEKWorldLib.simulation.tissue import Texture, Tissue

_CAGE_MM = 10.0  # depth of the rib layer
_SERRATUS_MM = 5.0  # muscle on the ribs everywhere
_HEART_Z = -30.0
_SPINE = 0.54  # how far the vertebrae lie behind the middle, relative to the half depth


def rounded(local: Sequence[np.ndarray], radii: Sequence[float]) -> np.ndarray:
    """Signed distance (first order) to a super-ellipsoid of power 2.5 about the origin.

    Args:
        local: one array of coordinates per dimension, mm.
        radii: one half axis per dimension, mm.
    """
    power = steepness = np.float32(0.0)
    for values, radius in zip(local, radii, strict=True):
        share = np.abs(values) / np.float32(radius)
        slope = share * np.sqrt(share)
        power = power + slope * share
        steepness = steepness + (slope / np.float32(radius)) ** 2
    size = np.maximum(power ** np.float32(0.4), 1e-3)
    return (size - 1.0) * size * np.sqrt(size) / np.maximum(np.sqrt(steepness), 1e-6)


def blend(a: np.ndarray, b: np.ndarray, fillet_mm: float) -> np.ndarray:
    """Union of two signed distances with a rounded inner corner (polynomial smooth minimum)."""
    overlap = np.maximum(fillet_mm - np.abs(a - b), 0.0)
    return np.minimum(a, b) - overlap * overlap / (4.0 * fillet_mm)


def box_mask(points: np.ndarray, path: np.ndarray, margin_mm: float) -> np.ndarray:
    """Mask of the points inside the bounding box of a path, grown by a margin."""
    low, high = path.min(0) - margin_mm, path.max(0) + margin_mm
    mask = (points[..., 2] > low[2]) & (points[..., 2] < high[2])
    if mask.any():
        for axis in (0, 1):
            mask &= (points[..., axis] > low[axis]) & (points[..., axis] < high[axis])
    return mask


Tube = tuple[np.ndarray, float | np.ndarray]


def paint_tubes(
    canvas: Canvas, tubes: Sequence[Tube], tissue: Tissue, label: int, points: np.ndarray | None = None
) -> None:
    """Paints tubes, each a path (n, 3) in mm and its radius (or one radius per vertex).

    Args:
        points: the canvas's points in the coordinates of the paths, where these are not LPS.
    """
    points = canvas.points if points is None else points
    distance = np.full(canvas.labels.shape, np.inf, np.float32)
    for path, radius_mm in tubes:
        near = box_mask(points, path, float(np.max(radius_mm)) + 2.0 * canvas.pixel_mm)
        if near.any():
            distance[near] = np.minimum(distance[near], tube(points[near], path, radius_mm))
    canvas.paint(canvas.coverage(distance), tissue, label)


@contextmanager
def window(canvas: Canvas, where: np.ndarray) -> Iterator[Canvas]:
    """The part of a canvas under a mask, as a canvas of its own; what is painted on it appears on the whole."""
    part = Canvas(canvas.points[where], canvas.pixel_mm, canvas.kinetics)
    part.maps = {name: values[where] for name, values in canvas.maps.items()}
    part.labels = canvas.labels[where]
    yield part
    for name, values in part.maps.items():
        canvas.maps[name][where] = values
    canvas.labels[where] = part.labels


@dataclass(frozen=True)
class Chest:
    """The trunk of one patient. Its axis leans backwards above the heart, as the upper chest does.

    Attributes:
        centre_y: middle of the trunk from front to back, at the level of the nipples.
        radii: half width and half depth of the trunk including skin, mm.
        fat_mm: subcutaneous fat.
        muscle_mm: greatest thickness of the pectoral muscle.
        rib_pitch_mm: distance between ribs.
        rib_phase_mm: height of one rib.
        seed: fixes textures.
    """

    centre_y: float
    radii: tuple[float, float]
    fat_mm: float
    muscle_mm: float
    rib_pitch_mm: float
    rib_phase_mm: float
    seed: int

    def upright(self, points: np.ndarray) -> np.ndarray:
        """Positions relative to the trunk's axis."""
        lean = 4.0 * np.logaddexp(np.float32(0.0), (points[..., 2] - 25.0) / 20.0)
        shift = np.zeros_like(points)
        shift[..., 1] = lean + self.centre_y
        return points - shift

    def skin(self, upright: np.ndarray) -> np.ndarray:
        """Signed distance to the trunk's surface."""
        return rounded((upright[..., 0], upright[..., 1]), self.radii)

    def muscle(self, upright: np.ndarray) -> np.ndarray:
        """Thickness of the muscle that lies on the ribs, mm: pectorals, serratus, and the muscles of the back."""
        x, y, z = np.moveaxis(upright, -1, 0)
        beside = np.abs(x)
        front = soft(y + 35.0, 50.0)
        high = 0.25 + 0.75 * soft(-(z + 35.0), 70.0)
        pectoral = self.muscle_mm * soft(25.0 - beside, 28.0) * soft(beside - 128.0, 50.0) * front * high
        back = 26.0 * soft(-(y - 45.0), 50.0) * soft(beside - 70.0, 60.0)
        return pectoral + back + _SERRATUS_MM * soft(60.0 - beside, 60.0)

    @property
    def _wall_mm(self) -> float:
        return self.fat_mm + self.muscle_mm + _SERRATUS_MM

    def wall(self, skin: np.ndarray) -> np.ndarray:
        """Signed distance to the outside of the ribs, from that to the skin."""
        return skin + np.float32(self._wall_mm)

    def front(self, x: float, z: float, depth_mm: float) -> np.ndarray:
        """The LPS point at a depth under the skin of the front of the trunk (under the breasts, where there are)."""
        y = np.linspace(-self.radii[1], 0.0, 200)
        line = np.stack([np.full_like(y, x), y, np.full_like(y, z)], -1)
        leaned = line[np.argmin(np.abs(self.skin(line) + depth_mm))]
        origin = self.upright(np.array([[x, 0.0, z]]))[0]
        return np.array([x, leaned[1] - origin[1], z])

    def paint(self, canvas: Canvas, tissues: dict[str, Tissue]) -> None:
        """Paints everything deeper than the subcutaneous fat."""
        upright = self.upright(canvas.points)
        skin = self.skin(upright)
        wall = self.wall(skin)
        x, y, z = np.moveaxis(upright, -1, 0)
        self._paint_wall(canvas, tissues, upright, wall)
        lung = canvas.coverage(wall + _CAGE_MM)
        canvas.paint(lung, tissues["lung"], Label.LUNG)
        middle = (lung > 0) & (np.abs(x) < 110.0)
        with window(canvas, middle) as part:
            self._paint_mediastinum(part, tissues, upright[middle], lung[middle])
        paint_tubes(canvas, self._mammary(), tissues["artery"], Label.ARTERY)
        dome = 22.0 * np.exp(-(((x + 60.0) / 55.0) ** 2)) - ((y + 5.0) / 14.0) ** 2 - (x / 30.0) ** 2
        liver = np.maximum(wall + _CAGE_MM + 4.0, 0.8 * (z + 68.0 - dome))
        canvas.paint(canvas.coverage(liver - 3.0), tissues["muscle"], Label.MUSCLE)
        canvas.paint(
            canvas.coverage(liver), tissues["liver"], Label.LIVER, Texture(5.0, 0.02, 0.03, 0.12, 0.05), self.seed
        )

    def _paint_wall(self, canvas: Canvas, tissues: dict[str, Tissue], upright: np.ndarray, wall: np.ndarray) -> None:
        x, y, z = np.moveaxis(upright, -1, 0)
        thickness = self.muscle(upright)
        fibres = Texture(3.0, 0.03, 0.07, 0.15, 0.05)
        shell = canvas.coverage(wall - thickness) * (wall > -_CAGE_MM - 8.0)  # the lung covers what is deeper
        canvas.paint(shell, tissues["muscle"], Label.MUSCLE, fibres, self.seed + 3)
        # Thin sheets of fat, with gaps, part the pectoralis major from the minor and the muscles from the ribs.
        gaps = 0.55 + 0.45 * np.sin(x / 19.0 + z / 13.0 + self.rib_phase_mm) * np.cos(y / 23.0 - z / 31.0)
        sheet = np.minimum(np.abs(wall - (0.42 + 0.1 * np.sin(x / 31.0)) * thickness), np.abs(wall) + 0.3) - 0.5
        canvas.paint(gaps * canvas.coverage(sheet) * soft(7.0 - thickness, 5.0), tissues["fat"], Label.FAT)

        along = z + 0.75 * y - self.rib_phase_mm + 0.004 * x * x
        beside = along - self.rib_pitch_mm * np.round(along / self.rib_pitch_mm)
        rib = (np.hypot((wall + 0.5 * _CAGE_MM) / 4.5, beside / 6.5) - 1.0) * 4.5
        sternum = rounded((x, wall + 0.5 * _CAGE_MM), (19.0, 6.0))
        sternum = np.maximum(sternum, np.maximum(y, -z - 75.0))
        behind = y - _SPINE * self.radii[1]
        vertebra = np.minimum(rounded((x, behind), (19.0, 15.0)), np.hypot(x, behind - 20.0) - 12.0)
        spinous = rounded((x, behind - 36.0), (4.0, 12.0))
        transverse = rounded((np.abs(x) - 22.0, behind - 16.0 - 0.3 * np.abs(x)), (16.0, 4.5))
        transverse = transverse + 4.0 - 4.0 * np.cos(z / 3.8)  # one pair per vertebra, 24 mm apart
        bone = np.minimum.reduce([rib, sternum, vertebra, spinous, transverse])
        canvas.paint(canvas.coverage(bone), tissues["cortex"], Label.BONE)
        canvas.paint(canvas.coverage(bone + 1.8), tissues["marrow"], Label.BONE)
        canal = np.hypot(x, behind - 21.0)
        canvas.paint(canvas.coverage(canal - 7.5), tissues["fluid"], Label.FLUID)
        canvas.paint(canvas.coverage(canal - 4.5), tissues["cord"], Label.WHITE_MATTER)

    def _paint_mediastinum(
        self, canvas: Canvas, tissues: dict[str, Tissue], upright: np.ndarray, lung: np.ndarray
    ) -> None:
        x, y, _ = np.moveaxis(upright, -1, 0)
        depth = self.radii[1]
        middle = np.array([24.0, -0.30 * depth, _HEART_Z], np.float32)
        local = (upright - middle) @ np.array([[0.78, 0.62, 0], [-0.62, 0.78, 0], [0, 0, 1]], np.float32)
        heart = ellipsoid(local, (2.0, 0.0, 0.0), (58.0, 42.0, 46.0))  # first axis to the apex, left and in front
        base = ellipsoid(local, (-34.0, 2.0, 16.0), (30.0, 42.0, 36.0))
        # Fat fills the midline from the sternum to the spine, and lies around the heart.
        ridge = np.hypot(x - 4.0, 0.3 * (y + 0.1 * depth)) - 19.0
        fat = blend(blend(ridge, heart - 4.0, 16.0), base - 2.0, 16.0)
        canvas.paint(soft(fat, 3.0) * lung, tissues["fat"], Label.FAT)
        vertebra = rounded((x, y - _SPINE * depth), (20.0, 16.0))
        canvas.paint(canvas.coverage(vertebra) * lung, tissues["cortex"], Label.BONE)
        canvas.paint(canvas.coverage(vertebra + 2.5) * lung, tissues["marrow"], Label.BONE)

        muscle = canvas.coverage(np.minimum(heart, base))
        canvas.paint(muscle, tissues["myocardium"], Label.HEART, Texture(5.0, 0.03, 0.05, 0.1), self.seed + 9)
        groove = np.abs(local[..., 0] + 23.0) + 0.5 * np.abs(np.abs(local[..., 1]) - 38.0) - 5.0
        canvas.paint(canvas.coverage(np.maximum(groove, heart)), tissues["fat"], Label.FAT)
        left = ellipsoid(local, (6.0, 16.0, -2.0), (38.0, 17.0, 22.0))
        right = np.maximum(ellipsoid(local, (0.0, -12.0, -4.0), (46.0, 26.0, 36.0)), 10.0 - left)
        septum = np.abs(local[..., 1] + 3.0) - 2.0
        atria = np.maximum(base + 3.0, np.maximum(-septum, local[..., 0] + 26.0))
        blood = np.minimum.reduce([left, right, atria])
        canvas.paint(canvas.coverage(blood), tissues["blood"], Label.HEART)
        self._paint_great_vessels(canvas, tissues, upright)

    def _paint_great_vessels(self, canvas: Canvas, tissues: dict[str, Tissue], upright: np.ndarray) -> None:
        rising = np.array([[2.0, -0.20, -5.0], [-12.0, -0.22, 30.0], [-10.0, -0.12, 70.0], [4.0, 0.10, 95.0]])
        descending = np.array([[4.0, 0.10, 95.0], [22.0, 0.34, 80.0], [24.0, 0.36, 20.0], [18.0, 0.34, -150.0]])
        trunk = np.array([[22.0, -0.40, 10.0], [20.0, -0.26, 38.0], [12.0, 0.0, 52.0], [-45.0, 0.10, 46.0]])
        branch = np.array([[14.0, -0.05, 50.0], [35.0, 0.10, 54.0], [62.0, 0.18, 40.0]])
        cava = np.array([[-36.0, 0.0, 5.0], [-34.0, -0.08, 50.0], [-30.0, -0.10, 130.0]])
        for path in (rising, descending, trunk, branch, cava):
            path[:, 1] *= self.radii[1]
        rng = np.random.default_rng(self.seed + 15)
        thinning = np.linspace(4.5, 0.8, 7)
        lungs = []
        for _ in range(12):
            side = rng.choice((-1.0, 1.0))
            hilum = np.array([side * 42.0, 0.12 * self.radii[1], rng.uniform(20.0, 55.0)])
            towards = np.array([0.9 * side, rng.normal(0.0, 0.7), rng.normal(-0.3, 0.8)])
            lungs.append((wander(rng, hilum, towards, 6, 11.0, 0.2), rng.uniform(0.5, 1.0) * thinning))
        paint_tubes(canvas, [(trunk, 12.5), (branch, 9.0), (cava, 9.5), *lungs], tissues["vein"], Label.VEIN, upright)
        paint_tubes(canvas, [(rising, 15.0), (descending, 12.0)], tissues["artery"], Label.ARTERY, upright)

    def _mammary(self) -> list[Tube]:
        """The internal mammary arteries and veins, behind the ribs beside the sternum."""
        depth, heights = self._wall_mm + _CAGE_MM + 1.0, np.linspace(-70.0, 110.0, 7)
        return [
            (np.array([self.front(x, z, depth) for z in heights]), 1.2 if abs(x) < 23.0 else 1.6)
            for x in (-25.0, -21.0, 21.0, 25.0)
        ]
