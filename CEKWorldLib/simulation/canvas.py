"""The canvas an anatomy paints on: tissue parameter maps over any set of points, a slice or a volume alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from CEKWorldLib.simulation.fields import gaussian_field
from CEKWorldLib.simulation.shapes import soft
from CEKWorldLib.simulation.tissue import PARAMETERS, SMOOTH, Texture, Tissue

_AIR = {"t1_s": 1.0, "t2star_s": 0.03, "kep": 0.2}
_NOTHING = 1e-6
_DRY = 0.02  # water density below which a voxel's water means nothing: fat, with a trace of what lies under it


@dataclass
class Canvas:
    """Tissue maps over points, painted back to front.

    Partial volume comes from soft edges one pixel wide. Signal densities of water and fat add up by coverage; what
    belongs to the water alone (relaxation, kinetics) blends by its share of the voxel's water, so that a voxel half
    fat, half gland keeps the gland's relaxation and only half of its signal. R1 blends rather than T1. What describes
    a flow blends by its share of that flow, or the edge of a portal vein would light up with the arteries.

    Attributes:
        points: LPS positions in mm, (..., 3): x to the left, y to the back, z to the head.
        pixel_mm: edge width, about the in-plane pixel size.
        kinetics: which draw of the textures that only kinetics have, see ``redraw``.
        maps: parameter name (of ``Tissue``) to float32 map of shape ``points.shape[:-1]``.
        labels: uint8 label of the tissue that covers most of each voxel.
    """

    points: np.ndarray
    pixel_mm: float
    kinetics: int = 0

    def __post_init__(self) -> None:
        self.points = self.points.astype(np.float32, copy=False)
        shape = self.points.shape[:-1]
        self.maps = {name: np.full(shape, _AIR.get(name, 0.0), np.float32) for name in PARAMETERS}
        self.labels = np.zeros(shape, np.uint8)

    def coverage(self, distance_mm: np.ndarray) -> np.ndarray:
        """Soft coverage of a shape given by its signed distance."""
        return soft(distance_mm, self.pixel_mm)

    def field(self, length_mm: float | tuple[float, float, float], seed: int) -> np.ndarray:
        """A zero-mean, unit-variance random field over the canvas's points."""
        return gaussian_field(self.points, length_mm, seed)

    def paint(self, coverage: np.ndarray, tissue: Tissue, label: int, texture: Texture = SMOOTH, seed: int = 0) -> None:
        """Lays a tissue over what is there.

        Args:
            coverage: opacity in [0, 1] per point, as ``coverage()`` or ``soft()`` give it.
            tissue: its parameters in this case.
            label: code written where coverage is above one half.
            texture: variation inside the tissue; ``seed`` fixes it.
        """
        touched = coverage > 1e-3
        if not touched.any():
            return
        alpha = coverage[touched]
        factors = self._texture_factors(touched, texture, seed)
        above = {name: getattr(tissue, name) * factors.get(name, 1.0) for name in PARAMETERS}
        below = {name: self.maps[name][touched] for name in PARAMETERS}
        density = (1 - alpha) * below["proton_density"] + alpha * above["proton_density"]
        fat = (1 - alpha) * below["proton_density"] * below["fat"] + alpha * above["proton_density"] * above["fat"]
        water_above = alpha * above["proton_density"] * (1.0 - above["fat"])
        water = density - fat
        share = np.where(water > _DRY, water_above / np.maximum(water, _DRY), alpha)
        flow = _share(share, above["ktrans"], below["ktrans"])
        arrival = _share(share, above["ktrans"] + above["vp"], below["ktrans"] + below["vp"])
        shares = {"kep": flow, "portal": flow, "delay_s": arrival}
        for name in PARAMETERS:
            if name == "proton_density":
                mixed = density
            elif name == "fat":
                mixed = fat / np.maximum(density, _NOTHING)
            elif name == "t1_s":
                mixed = 1.0 / ((1 - share) / below[name] + share / above[name])
            else:
                part = shares.get(name, share)
                mixed = (1 - part) * below[name] + part * above[name]
            self.maps[name][touched] = mixed
        self.labels[coverage > 0.5] = label

    def _texture_factors(self, where: np.ndarray, texture: Texture, seed: int) -> dict[str, np.ndarray]:
        """Multiplicative variation per parameter; structure and perfusion fields are partly shared, as in tissue."""
        if texture == SMOOTH:
            return {}
        points = self.points[where]
        structure = gaussian_field(points, texture.length_mm, seed)
        flow = 0.5 * structure + 0.866 * gaussian_field(points, texture.length_mm, self._kinetic_seed(seed + 1))
        rate = gaussian_field(points, 1.5 * texture.length_mm, self._kinetic_seed(seed + 2))
        perfusion = np.exp(texture.perfusion * flow)
        return {
            "t1_s": np.exp(texture.t1 * structure),
            "proton_density": np.exp(-texture.proton_density * structure),
            "vp": perfusion,
            "ktrans": perfusion,
            "kep": np.exp(texture.kep * rate),
        }

    def _kinetic_seed(self, seed: int) -> int:
        return seed + 15_485_863 * self.kinetics


def _share(share: np.ndarray, above, below) -> np.ndarray:
    """Share of the upper tissue in a quantity that both bring; its share of water where neither brings any."""
    total = share * above + (1 - share) * below
    return np.where(total > _NOTHING, share * above / np.maximum(total, _NOTHING), share)
