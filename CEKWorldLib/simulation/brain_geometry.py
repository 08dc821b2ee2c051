"""The shape of a head: brain hull, folded cortex, cerebellar folia, cranium, as distances at any point.

Coordinates are head mm: LPS with the origin 16 mm behind the anterior commissure, z = 0 in the AC-PC plane.
Positions of structures are those of the MNI atlas, moved by that offset.

The cortex is folded by sheets: a band-limited random field has zero sheets at regular spacing that meander and never
cross, which is how sulci lie on a brain. Reading it at points pushed out to the hull makes the sheets stand on the
surface; another field lets each sulcus vary in depth and end.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import ndimage

from CEKWorldLib.simulation.fields import gaussian_field

_FOLD_LATTICE = 128
_CELLS_PER_WAVE = 16.0
CSF_MM = 2.6  # subarachnoid space between the brain's hull and the inner table of the skull

_Surface = tuple[np.ndarray, np.ndarray]  # signed distance (n,), outward normal (3, n)


@cache
def _fold_lattice() -> np.ndarray:
    """Periodic lattice of signed distance to folding sheets, in wavelengths (-0.25 to 0.25).

    Distance is the local phase of a band-pass field f, atan2(k f, |grad f|) / k, exact for a plane wave.
    """
    n = _FOLD_LATTICE
    white = np.random.default_rng(20190305).standard_normal((n, n, n)).astype(np.float32)
    full, half = 2 * np.pi * np.fft.fftfreq(n).astype(np.float32), 2 * np.pi * np.fft.rfftfreq(n).astype(np.float32)
    waves = (full[:, None, None], full[None, :, None], half[None, None, :])
    centre = 2 * np.pi / _CELLS_PER_WAVE
    radius = np.sqrt(sum(w**2 for w in waves))
    spectrum = np.fft.rfftn(white) * np.exp(-((radius - centre) ** 2) / (2 * (0.22 * centre) ** 2))
    field = np.fft.irfftn(spectrum, s=(n, n, n), axes=(0, 1, 2))
    slope = np.sqrt(sum(np.fft.irfftn(1j * w * spectrum, s=(n, n, n), axes=(0, 1, 2)) ** 2 for w in waves))
    return (np.arctan2(centre * field, slope) / (2 * np.pi)).astype(np.float32)


def fold_distance(points: np.ndarray, wave_mm: float, seed: int) -> np.ndarray:
    """Distance (mm) from points (n, 3) to meandering sheets about ``wave_mm / 2`` apart."""
    offset = np.random.default_rng(seed).uniform(0, _FOLD_LATTICE, 3)
    cells = (points * np.float32(_CELLS_PER_WAVE / wave_mm) + offset.astype(np.float32)).T
    return np.abs(ndimage.map_coordinates(_fold_lattice(), cells, order=1, mode="grid-wrap")) * np.float32(wave_mm)


def _ellipsoid(x, y, z, centre, radii) -> _Surface:
    local = np.stack([(x - centre[0]) / radii[0], (y - centre[1]) / radii[1], (z - centre[2]) / radii[2]])
    k0 = np.sqrt(np.einsum("in,in->n", local, local))
    local /= np.asarray(radii, np.float32)[:, None]
    k1 = np.maximum(np.sqrt(np.einsum("in,in->n", local, local)), 1e-6)
    return k0 * (k0 - 1) / k1, local / k1


def _plane(distance: np.ndarray, normal) -> _Surface:
    return distance, np.broadcast_to(np.asarray(normal, np.float32)[:, None], (3, distance.size))


def _union(a: _Surface, b: _Surface, blend_mm: float) -> _Surface:
    share = np.clip(0.5 + 0.5 * (b[0] - a[0]) / blend_mm, 0, 1)
    return b[0] + (a[0] - b[0]) * share - blend_mm * share * (1 - share), b[1] + (a[1] - b[1]) * share


def _intersection(a: _Surface, b: _Surface, blend_mm: float) -> _Surface:
    share = np.clip(0.5 + 0.5 * (a[0] - b[0]) / blend_mm, 0, 1)
    return b[0] + (a[0] - b[0]) * share + blend_mm * share * (1 - share), b[1] + (a[1] - b[1]) * share


def _sheet(across: np.ndarray, *beyond: np.ndarray) -> np.ndarray:
    """Distance to a sheet: ``across`` it, and ``beyond`` its edges where positive."""
    return np.sqrt(across**2 + sum(np.maximum(b, 0) ** 2 for b in beyond))


def _gate(value: np.ndarray, width_mm: float) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(value / width_mm)


@dataclass(frozen=True)
class Layout:
    """Signed distances in head mm at n points.

    Attributes:
        pial: depth under the surface of the cerebrum, sulci included; negative in CSF.
        white: depth under the cortex of the cerebrum, in white matter.
        folia: depth under the surface of the cerebellum, fissures included; negative outside.
        stem: to midbrain, pons, medulla and cord, negative inside.
        hull: to the brain without sulci, negative inside.
        falx: to the sheets of falx and tentorium.
    """

    stem: np.ndarray
    pial: np.ndarray
    white: np.ndarray
    folia: np.ndarray
    hull: np.ndarray
    falx: np.ndarray


@dataclass(frozen=True)
class BrainShape:
    """One head's shape.

    Attributes:
        seed: fixes folds and asymmetry.
        width, length, height: of the cerebrum relative to the mean.
        fold_mm: wavelength of the folding; gyri are half of it wide.
        sulcus_mm: half width of the CSF in a sulcus; grows with age.
        ribbon_mm: thickness of the cortex.
        sulcus_depth_mm: mean depth of sulci.
    """

    seed: int
    width: float = 1.0
    length: float = 1.0
    height: float = 1.0
    fold_mm: float = 27.0
    sulcus_mm: float = 0.45
    ribbon_mm: float = 2.7
    sulcus_depth_mm: float = 17.0

    @classmethod
    def draw(cls, rng: np.random.Generator) -> BrainShape:
        age = rng.uniform()
        width, length, height = np.exp(0.025 * rng.standard_normal(3))
        return cls(
            seed=int(rng.integers(2**31)),
            width=width,
            length=length,
            height=height,
            fold_mm=rng.uniform(23.0, 28.0),
            sulcus_mm=0.4 + 0.6 * age**2,
            ribbon_mm=rng.uniform(2.5, 3.1),
            sulcus_depth_mm=rng.uniform(16.0, 20.0),
        )

    @property
    def scale(self) -> np.ndarray:
        """Size along (x, y, z) relative to the mean head."""
        return np.array([self.width, self.length, self.height], np.float32)

    def warped(self, points: np.ndarray) -> np.ndarray:
        """Head points (n, 3) moved by a smooth field, so that no two sides and no two heads are alike."""
        warp = [gaussian_field(points, 40.0, self.seed + i) for i in (11, 12, 13)]
        return points / self.scale + np.float32(2.2) * np.stack(warp, -1)

    def main_ellipsoid(self, points: np.ndarray) -> np.ndarray:
        """Signed distance to the ellipsoid of the calvaria, from which scalp and skull are measured."""
        return self._calvaria(*points.T)[0]

    @staticmethod
    def _calvaria(x, y, z) -> _Surface:
        egg = 1 + 0.06 * np.tanh((y - 5) / 60)  # frontal lobes are narrower than parietal ones
        return _ellipsoid(x / egg, y, z, (0, 1, 14), (66, 85, 58))

    @staticmethod
    def _tentorium(x, y) -> np.ndarray:
        return 9 - 0.42 * x - 0.27 * (y - 30)

    def _floor(self, x, y) -> np.ndarray:
        front = -21 + 0.003 * x**2
        behind = _gate(y - 27, 7)
        return (front + (-13 - front) * _gate(y + 26, 5)) * (1 - behind) + behind * self._tentorium(x, y)

    def _cerebrum(self, x, y, z) -> _Surface:
        """Both hemispheres without the midline gap, in folded coordinates (x >= 0)."""
        hull = _intersection(self._calvaria(x, y, z), _plane(self._floor(x, y) - z, (0, 0, -1)), 10.0)
        temporal = _ellipsoid(x, y - 0.1 * (x - 43), z, (42, 6, -23), (21, 44, 21))
        hippocampal = _ellipsoid(x, y, z, (26, 8, -19), (11, 26, 9))
        return _union(_union(hull, temporal, 6.0), hippocampal, 6.0)

    def _cerebellum(self, x, y, z) -> _Surface:
        lobe = _ellipsoid(x, y, z, (25, 47, -34), (30, 29, 26))
        vermis = _ellipsoid(x, y, z, (0, 46, -23), (13, 25, 28))
        below = _plane(z - self._tentorium(x, y) + 2.2, (0, 0, 1))
        return _intersection(_union(lobe, vermis, 5.0), below, 4.0)

    @staticmethod
    def _stem(x, y, z) -> np.ndarray:
        midbrain = _ellipsoid(x, y, z, (0, 8, -12), (19, 15, 11))[0]
        pons = _ellipsoid(x, y, z, (0, 9, -31), (18, 15, 14))[0]
        along = np.clip((-40 - z) / 55, 0, 1)
        medulla = np.hypot(x / 1.15, y - (16 + 14 * along)) - (9.5 - 2.5 * along)
        medulla = np.maximum(medulla, z + 38)
        return smooth_minimum(smooth_minimum(midbrain, pons, 5.0), medulla, 5.0)

    def cranium(self, points: np.ndarray) -> np.ndarray:
        """Signed distance of warped points (n, 3) to the inner table of the skull."""
        x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
        return self._cranium(self._cerebrum(x, y, z)[0], self._cerebellum(x, y, z)[0], self._stem(x, y, z))

    @staticmethod
    def _cranium(cerebrum, cerebellum, stem) -> np.ndarray:
        return smooth_minimum(smooth_minimum(cerebrum, cerebellum, 8.0), stem - 2.0, 10.0) - CSF_MM

    def layout(self, points: np.ndarray) -> Layout:
        """Distances at warped points (n, 3)."""
        x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
        side = np.where(points[:, 0] < 0, np.float32(-1), np.float32(1))
        whole, stem = self._cerebrum(x, y, z), self._stem(x, y, z)
        cerebellum = self._cerebellum(x, y, z)
        gap = 1.0 + self.sulcus_mm + 0.02 * np.maximum(-y - 40, 0)
        hemisphere = _intersection(whole, _plane(gap - x, (-1, 0, 0)), 7.0)
        depth = -hemisphere[0]
        pial, ribbon = depth.copy(), np.full_like(depth, self.ribbon_mm)
        folded = np.flatnonzero((depth > -1.5) & (depth < 32.0))
        pial[folded], ribbon[folded] = self._cortex(
            points[folded], x[folded], y[folded], z[folded], side[folded], depth[folded], hemisphere[1][:, folded]
        )
        folia = -cerebellum[0]
        leaved = np.flatnonzero(folia > -1.5)
        folia[leaved] = self._folia(points[leaved], x[leaved], y[leaved], z[leaved], folia[leaved])
        core = _ellipsoid(x, y, z, (0, -12, 9), (33, 38, 20))[0]
        bridge = _ellipsoid(x, y, z, (0, 4, -6), (17, 20, 13))[0]  # diencephalon, on to the midbrain
        inner = -smooth_minimum(core, bridge, 6.0)
        callosal_top = 26 - 0.011 * (y + 12) ** 2
        falx = _sheet(x, callosal_top + 7 + 0.3 * np.maximum(-y, 0) - z)
        tentorium = _sheet(z - self._tentorium(x, y) + 1.1, 24 - x - 0.35 * np.maximum(y - 30, 0), 18 - y)
        return Layout(
            pial=np.maximum(pial, inner),
            white=np.maximum(pial - ribbon, inner),
            folia=folia,
            stem=stem,
            hull=np.minimum(smooth_minimum(whole[0], cerebellum[0], 6.0), stem),
            falx=np.minimum(falx, tentorium),
        )

    def _cortex(self, points, x, y, z, side, depth, normal) -> tuple[np.ndarray, np.ndarray]:
        """Depth under the folded surface and thickness of the cortex, n points under the hemisphere's hull."""
        outward = normal.T * np.stack([side, np.ones_like(side), np.ones_like(side)], -1)
        below = np.clip(depth, 0, 30)[:, None]
        # Pushed out only in part, and swayed the more the deeper, a sulcus curves on its way down.
        sway = np.stack([gaussian_field(points, 16.0, self.seed + i) for i in (6, 7)], -1)
        surface = points + 0.72 * below * outward
        surface[:, 1:] += np.float32(0.22) * below * sway
        sheets = fold_distance(surface, self.fold_mm, self.seed)
        shallow = fold_distance(surface, 0.62 * self.fold_mm, self.seed + 1)
        reach = self.sulcus_depth_mm + 5.0 * gaussian_field(surface, 24.0, self.seed + 2)
        medial = np.maximum(-normal[0], 0)  # sulci of the medial face and of the temporal lobe are shallower
        reach -= 5.0 * medial + 5.0 * _gate(-10 - z, 6)
        twig = -1.0 + 6.0 * gaussian_field(surface, 15.0, self.seed + 3)
        open_mm = self.sulcus_mm * (1 + 1.2 * np.exp(-np.maximum(depth, 0) / 3))
        sulci = np.minimum(_sheet(sheets, depth - reach), _sheet(shallow, depth - twig)) - open_mm
        wave = 2.2 * gaussian_field(points, 13.0, self.seed + 4)
        fissure_z = -6 + 0.36 * (y + 35) + 0.004 * (x - 40) ** 2 + wave
        bottom = 38 - 0.006 * (y + 4) ** 2 - 0.02 * (z - fissure_z) ** 2 + 0.6 * wave
        sylvian = _sheet(z - fissure_z, bottom - x, y - 38, -37 - y)
        insula = _sheet(x - bottom, np.abs(z - fissure_z - 2) - 10, np.abs(y + 5) - 18)
        fissures = np.minimum(sylvian, insula) - 1.5 * self.sulcus_mm
        return np.minimum(np.minimum(depth, sulci), fissures), self.ribbon_mm * (1.1 - 0.015 * np.clip(depth, 0, 20))

    def _folia(self, points, x, y, z, depth) -> np.ndarray:
        """Cerebellum: leaves around a left-right axis by the fourth ventricle, wound so that every plane cuts them."""
        across, up = y - 27 + 0.006 * x**2, z + 33
        radius = np.hypot(across, up)
        turns = np.arctan2(up, across) / (2 * np.pi) + 0.06 * gaussian_field(points, 18.0, self.seed + 5)
        phase = 17 * turns + radius / 17 + 0.012 * x
        spacing = 1 / np.sqrt((17 / (2 * np.pi * np.maximum(radius, 6))) ** 2 + 17.0**-2)
        wide = np.abs(phase - np.round(phase)) * spacing
        fine = np.abs(3 * phase - np.round(3 * phase)) * spacing / 3
        uneven = gaussian_field(points, 8.0, self.seed + 8)
        fissures = np.minimum(_sheet(wide, depth - 15 - 5 * uneven), _sheet(fine, depth - 3 - 4 * uneven))
        return np.minimum(depth, fissures - 0.25 - 0.3 * self.sulcus_mm)


def smooth_minimum(a: np.ndarray, b: np.ndarray, blend_mm: float) -> np.ndarray:
    """Union of two signed distances whose crease is filled over a width (polynomial smooth minimum)."""
    share = np.clip(0.5 + 0.5 * (b - a) / blend_mm, 0, 1)
    return b + (a - b) * share - blend_mm * share * (1 - share)
