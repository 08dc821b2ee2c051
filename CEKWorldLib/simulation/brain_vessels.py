"""The vessels of the head: circle of Willis and its branches, dural sinuses, deep and cortical veins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from CEKWorldLib.simulation.shapes import tube

# Vertices (x, y, z, radius) in head mm of brain_geometry; the paths with x > 0 exist on both sides.
_ARTERIES = (
    ((20, -2, -75, 2.4), (22, -6, -52, 2.4), (14, -6, -44, 2.4), (12, -24, -36, 2.3), (13, -17, -22, 2.0)),  # carotid
    ((13, -17, -22, 1.5), (23, -19, -18, 1.4), (34, -21, -13, 1.3), (38, -16, -4, 1.1), (38, -2, 5, 1.0)),
    ((38, -16, -4, 1.0), (44, -14, -6, 1.0), (56, -8, -1, 0.9), (60, 2, 6, 0.8), (57, 18, 20, 0.7)),  # opercular
    ((38, -2, 5, 1.0), (40, 14, 12, 0.9), (52, 26, 20, 0.8), (56, 36, 28, 0.7)),
    ((13, -17, -22, 1.3), (3, -29, -15, 1.2), (2.2, -52, -3, 1.1), (2.0, -60, 12, 1.0), (2.0, -48, 30, 0.9)),
    ((2.0, -48, 30, 0.9), (2.2, -20, 34, 0.8), (2.5, 12, 33, 0.7)),  # pericallosal
    ((1.5, -7, -18, 1.3), (12, 0, -17, 1.2), (21, 16, -12, 1.1), (20, 34, -4, 0.9), (13, 60, 2, 0.8)),  # posterior
    ((12, 0, -17, 0.8), (14, -14, -20, 0.8)),  # posterior communicating
    ((8, 12, -80, 1.7), (8, 3, -64, 1.6), (1, -4, -50, 1.5)),  # vertebral
    ((0, -4, -50, 1.7), (0, -8.5, -34, 1.6), (0, -8, -18, 1.6)),  # basilar
)
_DEEP_VEINS = (
    ((2.5, -10, 14, 0.8), (2.5, 12, 15, 1.0), (1, 28, 10, 1.2)),  # internal cerebral
    ((24, 2, -12, 0.8), (20, 18, -6, 1.0), (4, 30, 8, 1.2)),  # basal
    ((0, 28, 9, 1.5), (0, 36, 13, 1.8), (0, 44, 10, 1.6)),  # Galen
    ((0, 44, 10, 1.6), (0, 78, -4, 2.0)),  # straight sinus
)


CENTRE = np.array([0.0, 5.0, 8.0])  # from which every point of the calvaria can be seen, head mm

_Cranium = Callable[[np.ndarray], np.ndarray]  # signed distance of points (n, 3) to the inner table
_Tube = tuple[np.ndarray, np.ndarray]  # path (n, 3), radii (n,)


@dataclass(frozen=True)
class Vessels:
    """Tubes in head mm: each a path (n, 3) and radii (n,)."""

    arteries: tuple[_Tube, ...]
    veins: tuple[_Tube, ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, cranium: _Cranium) -> Vessels:
        """Draws the vessels of a head whose inner table is the zero of ``cranium(points)``."""
        arteries = [_jittered(rng, path, 1.2) for path in _mirrored(_ARTERIES)]
        veins = [_jittered(rng, path, 0.8) for path in _mirrored(_DEEP_VEINS)]
        sagittal = _sagittal_sinus(cranium)
        veins.append((sagittal, np.linspace(1.6, rng.uniform(3.4, 4.2), len(sagittal))))
        dominant = rng.choice([-1, 1])
        for side in (-1, 1):
            width = rng.uniform(2.8, 3.8) if side == dominant else rng.uniform(1.6, 3.2)
            veins.append((_transverse_sinus(cranium, side, sagittal[-1]), np.full(12, width)))
            veins += _cortical_veins(rng, cranium, side, 9)
        return cls(tuple(arteries), tuple(veins))


def tubes_distance(points: np.ndarray, tubes: Sequence[_Tube], reach_mm: float) -> np.ndarray:
    """Signed distance of points (n, 3) to the nearest tube; beyond ``reach_mm`` infinite."""
    distance = np.full(len(points), np.inf, np.float32)
    for path, radii in tubes:
        margin = float(radii.max()) + reach_mm
        near = np.flatnonzero(
            np.abs(points[:, 2] - np.float32((path[:, 2].min() + path[:, 2].max()) / 2))
            < np.ptp(path[:, 2]) / 2 + margin
        )
        for axis in (0, 1):
            low, high = path[:, axis].min() - margin, path[:, axis].max() + margin
            values = points[near, axis]
            near = near[(values > low) & (values < high)]
        if near.size:
            distance[near] = np.minimum(distance[near], tube(points[near], path, radii))
    return distance


def _mirrored(paths: Sequence[Sequence[tuple[float, ...]]]) -> Iterator[np.ndarray]:
    """Vertices (n, 4) of each path, and of its mirror image where it does not run in the midline."""
    for path in paths:
        vertices = np.array(path, float)
        yield vertices
        if vertices[:, 0].max() > 0:
            yield vertices * (-1, 1, 1, 1)


def _jittered(rng: np.random.Generator, vertices: np.ndarray, jitter_mm: float) -> _Tube:
    """A smooth, slightly tortuous course through vertices (n, 4); its ends stay where they are."""
    stations = np.arange(len(vertices))
    fine = np.linspace(0, stations[-1], 3 * stations[-1] + 1)
    course = np.stack([np.interp(fine, stations, column) for column in vertices.T], -1)
    course[1:-1, :3] += jitter_mm * rng.standard_normal((len(course) - 2, 3)) * (1, 1, 0.7)
    return course[:, :3], course[:, 3]


def on_cranium(cranium: _Cranium, origin: np.ndarray, directions: np.ndarray, depth_mm: float) -> np.ndarray:
    """Points (n, 3) on rays from one or n origins, ``depth_mm`` under the inner table, by bisection."""
    near, far = np.zeros(len(directions)), np.full(len(directions), 140.0)
    for _ in range(14):
        middle = (near + far) / 2
        inside = cranium((origin + middle[:, None] * directions).astype(np.float32)) < -depth_mm
        near, far = np.where(inside, middle, near), np.where(inside, far, middle)
    return origin + near[:, None] * directions


def _sagittal_sinus(cranium: _Cranium) -> np.ndarray:
    angles = np.radians(np.linspace(12, 190, 30))  # from the forehead over the vertex to the torcula
    directions = np.stack([np.zeros_like(angles), -np.cos(angles), np.sin(angles)], -1)
    return on_cranium(cranium, CENTRE, directions, 1.6)


def _transverse_sinus(cranium: _Cranium, side: int, torcula: np.ndarray) -> np.ndarray:
    angles = np.radians(np.linspace(88, 28, 8))
    height = -8 - 10 * np.linspace(0, 1, 8)
    directions = np.stack([side * np.cos(angles), np.sin(angles), np.zeros(8)], -1)
    centres = np.stack([np.zeros(8), np.full(8, 20.0), height], -1)
    course = on_cranium(cranium, centres, directions, 1.2)
    sigmoid = course[-1] + np.array(
        [[side * -3, -6, -9], [side * -8, -9, -20], [side * -15, -14, -32], [side * -20, -18, -48]]
    )
    course[0] = torcula
    return np.concatenate([course, sigmoid])


def _cortical_veins(rng: np.random.Generator, cranium: _Cranium, side: int, count: int) -> list[_Tube]:
    """Veins that come up the convexity, between dura and brain, and end in the sagittal sinus."""
    steps = 11
    drift = np.linspace(0, 1, steps) * rng.normal(0, 0.25, (count, 1))
    angle = np.pi * rng.uniform(0.15, 0.8, (count, 1)) + np.cumsum(rng.normal(0, 0.03, (count, steps)), 1) + drift
    tilt = 0.05 + np.linspace(0, 1, steps) * rng.uniform(0.55, 1.3, (count, 1))
    directions = np.stack([side * np.sin(tilt), -np.cos(angle) * np.cos(tilt), np.sin(angle) * np.cos(tilt)], -1)
    courses = on_cranium(cranium, CENTRE, directions.reshape(-1, 3), 2.0).reshape(count, steps, 3)
    return [(course, np.linspace(1.4, 0.7, steps)) for course in courses]
