"""Signed distances (mm, negative inside) and soft coverage, the pens that anatomies are drawn with."""

from __future__ import annotations

import numpy as np
from scipy.special import expit


def soft(distance_mm: np.ndarray, edge_mm: float) -> np.ndarray:
    """Coverage in [0, 1] from a signed distance; ``edge_mm`` is the 10-90 % width of the edge."""
    return expit(distance_mm * np.float32(-4.4 / edge_mm)).astype(np.float32)


def ellipsoid(points: np.ndarray, centre, radii, rotation: np.ndarray | None = None) -> np.ndarray:
    """Approximate signed distance to an ellipsoid (exact on its surface, first order near it)."""
    local = points - np.asarray(centre, np.float32)
    if rotation is not None:
        local = local @ np.asarray(rotation, np.float32)
    radii = np.asarray(radii, np.float32)
    k0 = np.linalg.norm(local / radii, axis=-1)
    k1 = np.linalg.norm(local / radii**2, axis=-1)
    inside = np.minimum(k0 - 1.0, 0.0) * np.min(radii)  # at the very centre k1 vanishes
    return np.where(k1 > 1e-6, k0 * (k0 - 1.0) / np.maximum(k1, 1e-6), inside)


def superellipse(points: np.ndarray, centre, radii, power: float) -> np.ndarray:
    """Approximate signed distance to an axial super-ellipse, endless along z; power 2 is an ellipse, 3 is boxier."""
    local = (points - np.asarray(centre, np.float32))[..., :2] / np.asarray(radii, np.float32)[:2]
    norm = (np.abs(local) ** power).sum(-1) ** (1.0 / power)
    return (norm - 1.0) * float(np.min(np.asarray(radii)[:2]))


def tube(points: np.ndarray, path: np.ndarray, radius_mm) -> np.ndarray:
    """Signed distance to a tube around a polyline.

    Args:
        path: (n, 3) vertices in mm.
        radius_mm: one radius, or one per vertex (interpolated along the path).
    """
    radii = np.broadcast_to(np.asarray(radius_mm, np.float32), len(path))
    best = np.full(points.shape[:-1], np.inf, np.float32)
    for a, b, ra, rb in zip(path[:-1], path[1:], radii[:-1], radii[1:], strict=True):
        ab = (b - a).astype(np.float32)
        along = np.clip(((points - a.astype(np.float32)) @ ab) / max(float(ab @ ab), 1e-6), 0.0, 1.0)
        nearest = a.astype(np.float32) + along[..., None] * ab
        best = np.minimum(best, np.linalg.norm(points - nearest, axis=-1) - (ra + along * (rb - ra)))
    return best


def wander(rng: np.random.Generator, start, towards, steps: int, step_mm: float, bend: float) -> np.ndarray:
    """A random-walk path (n, 3) that sets out in a direction and bends; for vessels and ducts."""
    point, heading = np.asarray(start, float), np.asarray(towards, float)
    heading = heading / np.linalg.norm(heading)
    path = [point]
    for _ in range(steps):
        heading = heading + bend * rng.standard_normal(3)
        heading /= np.linalg.norm(heading)
        point = point + step_mm * heading
        path.append(point)
    return np.array(path)


def rotation_from(rng: np.random.Generator) -> np.ndarray:
    """A random 3x3 rotation."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    return q * np.sign(np.diag(r))
