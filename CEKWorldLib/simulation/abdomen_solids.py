"""Solid shapes that can be joined, cut and grown, and that know the box they lie in so that painting stays local."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.spatial import cKDTree

from CEKWorldLib.simulation.fields import gaussian_field
from CEKWorldLib.simulation.shapes import ellipsoid

EVERYWHERE = (np.full(3, -np.inf), np.full(3, np.inf))
_REACH_MM = 4.0  # how far outside of a tube its distance is still known; further out it is infinite


@dataclass(frozen=True)
class Solid:
    """A region of space.

    Attributes:
        box: lowest and highest corner (LPS, mm) of a box that holds it.
        distance: signed distance (mm, negative inside) of points (n, 3), right near the surface, inside its box.
    """

    box: tuple[np.ndarray, np.ndarray]
    distance: Callable[[np.ndarray], np.ndarray]

    def __and__(self, other: Solid) -> Solid:
        low, high = np.maximum(self.box[0], other.box[0]), np.minimum(self.box[1], other.box[1])
        return Solid((low, high), lambda p: np.maximum(self.distance(p), other.distance(p)))

    def __or__(self, other: Solid) -> Solid:
        low, high = np.minimum(self.box[0], other.box[0]), np.maximum(self.box[1], other.box[1])
        return Solid((low, high), lambda p: np.minimum(self.distance(p), other.distance(p)))

    def __sub__(self, other: Solid) -> Solid:
        return Solid(self.box, lambda p: np.maximum(self.distance(p), -other.distance(p)))

    def grown(self, mm: float) -> Solid:
        """The solid with its surface moved outwards, inwards for negative ``mm``."""
        return Solid((self.box[0] - max(mm, 0), self.box[1] + max(mm, 0)), lambda p: self.distance(p) - mm)

    def rough(self, amplitude_mm: float, length_mm: float, seed: int) -> Solid:
        """The solid with a wavy surface."""
        low, high = self.box
        pad = 3 * amplitude_mm
        return Solid(
            (low - pad, high + pad),
            lambda p: self.distance(p) + np.float32(amplitude_mm) * gaussian_field(p, length_mm, seed),
        )


def blob(centre: ArrayLike, radii: ArrayLike, rotation: np.ndarray | None = None) -> Solid:
    """An ellipsoid; the columns of ``rotation`` are its axes."""
    middle, half = np.asarray(centre, float), np.asarray(radii, float)
    reach = np.abs(np.eye(3) if rotation is None else rotation) @ half
    return Solid((middle - reach, middle + reach), lambda p: ellipsoid(p, middle, half, rotation))


def half_space(axis: int, below: float) -> Solid:
    """All points whose coordinate ``axis`` is below a value."""
    high = np.full(3, np.inf)
    high[axis] = below
    return Solid((EVERYWHERE[0], high), lambda p: p[..., axis] - np.float32(below))


def merged(first: Solid, second: Solid, fillet_mm: float) -> Solid:
    """The union of two solids with the crease between them rounded (polynomial smooth minimum)."""

    def distance(points: np.ndarray) -> np.ndarray:
        a, b = first.distance(points), second.distance(points)
        overlap = np.maximum(fillet_mm - np.abs(a - b), 0) / np.float32(fillet_mm)
        return np.minimum(a, b) - overlap**2 * np.float32(fillet_mm / 4)

    return Solid((first | second).box, distance)


def beads(nodes: np.ndarray, radii: ArrayLike) -> Solid:
    """The union of balls; balls strung closely make a tube.

    Args:
        nodes: (n, 3) centres, mm.
        radii: one radius, or one per node. A point belongs to the node that is nearest to it.
    """
    sizes = np.append(np.broadcast_to(np.asarray(radii, np.float32), len(nodes)), 0.0).astype(np.float32)
    tree = cKDTree(nodes)
    reach = float(sizes.max())

    def distance(points: np.ndarray) -> np.ndarray:
        near, index = tree.query(points, distance_upper_bound=reach + _REACH_MM)
        return near.astype(np.float32) - sizes[index]

    return Solid((nodes.min(0) - reach, nodes.max(0) + reach), distance)


def strung(path: ArrayLike, radius_mm: ArrayLike, step_mm: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Nodes (n, 3) and radii (n,) of balls along a smooth curve through the vertices of a path.

    Args:
        path: (m, 3) vertices, mm.
        radius_mm: one radius, or one per vertex.
        step_mm: distance between balls.
    """
    vertices = np.asarray(path, float)
    radii = np.broadcast_to(np.asarray(radius_mm, float), len(vertices))
    along = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(vertices, axis=0), axis=1)))
    places = np.linspace(0, along[-1], max(int(along[-1] / step_mm), 2))
    return CubicSpline(along, vertices)(places), PchipInterpolator(along, radii)(places)


def pipes(*paths: tuple[ArrayLike, ArrayLike], step_mm: float = 1.5) -> Solid:
    """Tubes around smooth curves, each given by the vertices of its path and one radius or one per vertex."""
    nodes, radii = zip(*(strung(path, radius, step_mm) for path, radius in paths), strict=True)
    return beads(np.concatenate(nodes), np.concatenate(radii))


def vessel_tree(
    rng: np.random.Generator, root: ArrayLike, radius_mm: float, targets: np.ndarray, twig_mm: float
) -> Solid:
    """A vessel that branches out of a stem to reach every target.

    Targets join the tree one by one, the nearest first, where wire length plus .35 times the way back to the heart is
    least: the balanced spanning tree of Cuntz et al., PLoS Comput Biol 2010;6:e1000877. Radii follow Murray's law.

    Args:
        root: (m, 3) vertices of the stem, from the heart outwards.
        radius_mm: largest radius, that of the stem.
        targets: (n, 3) points that the twigs end at.
        twig_mm: radius of a twig.
    """
    step = 2.0
    nodes = list(strung(root, 1.0, step)[0])
    parents = list(range(-1, len(nodes) - 1))
    way = list(step * np.arange(len(nodes)))
    supplied = [0] * len(nodes)
    for target in targets[np.argsort(np.linalg.norm(targets - nodes[-1], axis=1))]:
        gaps = np.linalg.norm(np.array(nodes) - target, axis=1)
        joint = int(np.argmin(gaps + 0.35 * np.array(way)))
        count = max(int(gaps[joint] / step), 1)
        share = np.arange(1, count + 1)[:, None] / count
        bow = 0.07 * gaps[joint] * rng.standard_normal(3) * np.sin(np.pi * share)
        for place in nodes[joint] + share * (target - nodes[joint]) + bow:
            parents.append(joint)
            nodes.append(place)
            way.append(way[joint] + step)
            supplied.append(0)
            joint = len(nodes) - 1
        while joint >= 0:
            supplied[joint] += 1
            joint = parents[joint]
    radii = np.minimum(twig_mm * np.maximum(np.array(supplied), 1) ** (1 / 2.7), radius_mm)
    return beads(np.array(nodes), radii)
