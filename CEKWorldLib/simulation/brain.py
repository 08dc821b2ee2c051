"""A procedural head: brain with folded cortex, deep nuclei, ventricles, cerebellum, vessels, skull, scalp and face.

What a neuroradiologist expects of a T1-weighted gradient echo: bright white and darker grey matter, black CSF, bright
scalp fat and marrow; after contrast dural sinuses, arteries, choroid plexus, pituitary, mucosa and dura light up, while
the intact blood-brain barrier keeps the agent in the vessels of the brain. About one head in three is skull-stripped,
as public data sets are.

Grey matter and blood have about the T1 of Stanisz 2005 (Magn Reson Med); white matter is set shorter than there (0.65
and 0.90 s against 0.88 and 1.08 s), so that it stands out from grey matter as in clinical pictures. The plasma volume
of brain is set to 0.5-0.7 %, so that grey matter enhances by less than 10 % half a minute after arrival. Positions
are those of the MNI atlas; tissue values without a source here are typical ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from CEKWorldLib.exam.protocol import Anatomy
from CEKWorldLib.simulation.brain_geometry import BrainShape, smooth_minimum
from CEKWorldLib.simulation.brain_head import head_distance, paint_head, part_of
from CEKWorldLib.simulation.brain_lesions import LESION_FAMILIES, draw_lesion, draw_radius, mass_effect, paint_lesion
from CEKWorldLib.simulation.brain_vessels import CENTRE, Vessels, on_cranium, tubes_distance
from CEKWorldLib.simulation.canvas import Canvas
from CEKWorldLib.simulation.fields import gaussian_field
from CEKWorldLib.simulation.labels import Label
from CEKWorldLib.simulation.lesion import Lesion
from CEKWorldLib.simulation.shapes import ellipsoid, soft, tube
from CEKWorldLib.simulation.tissue import SMOOTH, Texture, Tissue

FAMILIES: tuple[str, ...] = tuple(LESION_FAMILIES)
_STRIPPED_SHARE = 1 / 3
_LESION_COUNTS = (0.03, 0.52, 0.24, 0.13, 0.08)  # chance of 0 to 4 lesions
_T1_RATIO = 0.76  # of tumours, 1.5 T over 3 T, as in grey and white matter
_PLASMA = 0.58  # of blood, 1 - haematocrit

# T1 at 1.5 T in seconds, and the median tissue at 3 T.
_TISSUES: dict[str, tuple[float, Tissue]] = {
    "white": (0.650, Tissue(0.900, 0.71, 0.050, vp=0.005, delay_s=4.0)),
    "grey": (1.124, Tissue(1.680, 0.82, 0.055, vp=0.006, delay_s=3.0)),
    "striatum": (1.000, Tissue(1.350, 0.80, 0.045, vp=0.007, delay_s=3.0)),
    "thalamus": (0.920, Tissue(1.260, 0.77, 0.048, vp=0.007, delay_s=3.0)),
    "pallidum": (0.820, Tissue(1.080, 0.72, 0.030, vp=0.006, delay_s=3.0)),
    "stem": (0.830, Tissue(1.080, 0.73, 0.048, vp=0.006, delay_s=4.0)),
    "oedema": (1.150, Tissue(1.500, 0.84, 0.080, vp=0.004, delay_s=5.0)),
    "csf": (4.000, Tissue(4.200, 1.00, 0.300)),
    "artery": (1.441, Tissue(1.630, 0.90, 0.060, vp=_PLASMA)),
    "sinus": (1.441, Tissue(1.630, 0.85, 0.050, vp=_PLASMA, delay_s=6.0)),
    "choroid": (1.150, Tissue(1.450, 0.85, 0.050, vp=0.12, ktrans=0.22, kep=0.45, delay_s=2.0)),
    "pituitary": (0.950, Tissue(1.250, 0.82, 0.050, vp=0.15, ktrans=0.30, kep=0.55, delay_s=2.0)),
    "mucosa": (1.100, Tissue(1.400, 0.88, 0.040, vp=0.08, ktrans=0.28, kep=0.45, delay_s=3.0)),
    "dura": (1.000, Tissue(1.200, 0.60, 0.015, vp=0.05, ktrans=0.06, kep=0.30, delay_s=3.0)),
    "muscle": (1.008, Tissue(1.412, 0.78, 0.030, vp=0.015, ktrans=0.020, kep=0.20, delay_s=6.0)),
    "skin": (0.745, Tissue(0.850, 0.75, 0.015, vp=0.05, ktrans=0.030, kep=0.15, delay_s=5.0)),
    "fat": (0.296, Tissue(0.367, 0.60, 0.030, fat=0.93)),  # adipose tissue holds some water
    "bone": (0.900, Tissue(1.000, 0.07, 0.003)),
    "marrow": (0.450, Tissue(0.550, 0.50, 0.012, fat=0.6, vp=0.02, ktrans=0.02, kep=0.30, delay_s=6.0)),
    "sclera": (1.000, Tissue(1.300, 0.55, 0.020, vp=0.04, ktrans=0.06, kep=0.30, delay_s=4.0)),
    "vitreous": (4.000, Tissue(4.200, 1.00, 0.300)),
    "air": (1.000, Tissue(1.000, 0.0, 0.030)),
}
_WHITE_TEXTURE = Texture(14.0, 0.025, 0.01, 0.15, 0.0)
_GREY_TEXTURE = Texture(5.0, 0.03, 0.015, 0.25, 0.0)

# Lateral ventricle in head mm on one side: vertices (x, y, z, radius).
_VENTRICLE = (
    (
        (3.8, -44, 4, 2.6),
        (3.9, -34, 10, 3.6),
        (3.9, -18, 16, 3.6),
        (5, 0, 20, 3.4),
        (12, 18, 18, 4.2),
        (21, 32, 9, 6.5),
    ),
    ((9, -48, 5, 1.8), (8, -35, 13, 2.8), (8, -18, 19, 2.8), (9, 0, 22, 2.8), (14, 18, 20, 3.4)),
    ((14, -50, 5, 1.2), (12, -37, 15, 1.8), (12, -18, 21, 1.8), (13, 0, 23.5, 2.0), (17, 18, 20, 2.6)),
    ((21, 32, 9, 6.0), (24, 48, 4, 3.8), (22, 62, 4, 1.4)),
    ((21, 32, 9, 5.0), (30, 24, -8, 2.6), (33, 4, -17, 2.0), (30, -8, -20, 1.6)),
)
_CHOROID = (((5, -8, 12, 0.7), (8, 6, 16, 1.1), (15, 22, 14, 1.5), (21, 31, 8, 2.6), (27, 26, -4, 1.0)),)


@dataclass(frozen=True)
class BrainSubject:
    """One simulated patient.

    Attributes:
        lesions: in label order.
        shape: form of head and brain.
        vessels: arteries and veins.
        tissues: this patient's tissues by name.
        rotation: from head axes to LPS.
        shift_mm: where the head's origin lies, LPS.
        ventricles: size of the ventricles relative to the mean.
        stripped: whether everything outside the brain was cut away.
    """

    lesions: tuple[Lesion, ...]
    shape: BrainShape
    vessels: Vessels
    tissues: Mapping[str, Tissue]
    rotation: np.ndarray
    shift_mm: tuple[float, float, float]
    ventricles: float
    stripped: bool
    anatomy: Anatomy = "brain"
    centre_mm: tuple[float, float, float] = (0.0, 0.0, 10.0)
    extent_mm: tuple[float, float, float] = (220.0, 220.0, 160.0)

    def head_points(self, points: np.ndarray) -> np.ndarray:
        """Head coordinates of LPS points (n, 3)."""
        return (points - np.asarray(self.shift_mm, np.float32)) @ self.rotation.astype(np.float32)

    def lps_points(self, head: np.ndarray) -> np.ndarray:
        """LPS positions of head points (n, 3)."""
        return head @ self.rotation.T + self.shift_mm

    def paint(self, canvas: Canvas) -> None:
        """Paints head, brain and lesions."""
        head = self.head_points(canvas.points.reshape(-1, 3))
        at = np.flatnonzero((self.shape.main_ellipsoid(head / self.shape.scale) < 34.0) | (head[:, 2] < -5.0))
        points = self.shape.warped(head[at])
        cranium = self.shape.cranium(points)
        if not self.stripped:
            skin = head_distance(points, self.shape.main_ellipsoid(points))
            outside = (skin < 3.0) & (cranium > -3.0 * canvas.pixel_mm)
            with part_of(canvas, at[outside]) as outer:
                paint_head(outer, self.tissues, points[outside], skin[outside], cranium[outside], self.shape.seed)
                self._paint_vessels(outer, points[outside])
        inside = cranium < 2.0 * canvas.pixel_mm
        with part_of(canvas, at[inside]) as brain:
            self._paint_brain(brain, points[inside], cranium[inside])

    def _paint_brain(self, canvas: Canvas, points: np.ndarray, cranium: np.ndarray) -> None:
        tissues, seed = self.tissues, self.shape.seed
        points = points + mass_effect(canvas.points, self.lesions) @ self.rotation.astype(np.float32)
        layout = self.shape.layout(points)
        fluid = canvas.coverage(cranium)
        canvas.paint(fluid, tissues["csf"], Label.CSF)
        sheets = np.minimum(np.abs(cranium), layout.falx)  # dura is a fraction of a voxel thick
        canvas.paint(0.5 * soft(sheets - 0.25, canvas.pixel_mm), tissues["dura"], Label.CSF)
        grey = fluid * canvas.coverage(-np.maximum(layout.pial, layout.folia))
        canvas.paint(grey, tissues["grey"], Label.GREY_MATTER, _GREY_TEXTURE, seed)
        white = soft(-np.maximum(layout.white, layout.folia - 1.7), 1.2 * canvas.pixel_mm)
        canvas.paint(white, tissues["white"], Label.WHITE_MATTER, _WHITE_TEXTURE, seed + 3)
        canvas.paint(canvas.coverage(layout.stem), tissues["stem"], Label.WHITE_MATTER)
        central = np.abs(points - np.array([0, 6, 0], np.float32)) < np.array([48, 76, 46], np.float32)
        at = np.flatnonzero(central.all(-1))
        if at.size:
            with part_of(canvas, at) as deep:
                self._paint_deep(deep, points[at])
        self._paint_vessels(canvas, points)
        for index, lesion in enumerate(self.lesions):
            slack = 0.4 if LESION_FAMILIES[lesion.family].site == "dura" else 2.2
            paint_lesion(canvas, lesion, index, cranium + slack, white, tissues)
        if self.stripped:
            margin = layout.hull - 0.9 - 0.7 * gaussian_field(points, 20.0, seed + 9)
            cut = np.maximum(np.maximum(margin, -64.0 - points[:, 2]), cranium + canvas.pixel_mm)
            outside = np.flatnonzero(cut > 0)
            blank = Canvas(canvas.points[outside], canvas.pixel_mm, canvas.kinetics)
            for name, values in canvas.maps.items():
                values[outside] = blank.maps[name]
            canvas.labels[outside] = Label.AIR

    def _paint_deep(self, canvas: Canvas, points: np.ndarray) -> None:
        """Basal ganglia, thalami, hippocampi, ventricles and choroid plexus."""
        folded = np.stack([np.abs(points[:, 0]), points[:, 1], points[:, 2]], -1)
        tissues, seed = self.tissues, self.shape.seed

        def lay(distance: np.ndarray, name: str, label: int, edge_mm: float = 0.0, texture: Texture = SMOOTH) -> None:
            canvas.paint(soft(distance, max(edge_mm, canvas.pixel_mm)), tissues[name], label, texture, seed + 31)

        tail = _tubes(folded, (((14, -34, 8, 5.5), (14.5, -16, 16, 4), (17, 4, 19, 2.5), (23, 24, 12, 1.5)),))
        caudate = np.minimum(ellipsoid(folded, (13, -34, 5), (6.5, 11, 9)), tail)
        slanted = folded + np.stack([0.28 * (folded[:, 1] + 12), *np.zeros((2, len(points)), np.float32)], -1)
        putamen = ellipsoid(slanted, (27, -14, 2), (5.5, 18, 11))
        pallidum = ellipsoid(slanted, (20, -11, 0), (4.5, 10, 7))
        thalamus = ellipsoid(folded - 0.25 * np.maximum(folded[:, 1:2] - 8, 0) * (1, 0, 0), (9.5, 8, 6), (8.5, 15, 9.5))
        lay(caudate, "striatum", Label.GREY_MATTER, 1.5, _GREY_TEXTURE)
        lay(putamen, "striatum", Label.GREY_MATTER, 1.5, _GREY_TEXTURE)
        lay(pallidum, "pallidum", Label.GREY_MATTER, 2.5, _GREY_TEXTURE)
        lay(thalamus, "thalamus", Label.GREY_MATTER, 3.0, _GREY_TEXTURE)
        hippocampus = _tubes(folded, (((24, -10, -19, 5.5), (28, 4, -19, 4), (27, 20, -11, 3)),))
        lay(hippocampus, "striatum", Label.GREY_MATTER, 1.2, _GREY_TEXTURE)
        size = self.ventricles
        lateral = _tubes(folded, _VENTRICLE) - 2.2 * (size - 1)
        lateral = np.maximum(np.maximum(lateral, np.minimum(caudate, thalamus) * -1 - 0.5), 0.35 - folded[:, 0])
        third = ellipsoid(folded, (0, 2, -3), (1.9 * size, 14, 11))
        third = np.maximum(third, 0.6 - ellipsoid(folded, (0, 4, 0), (4, 3.0, 3.0)))
        aqueduct = _tubes(folded, (((0, 15, -8, 1.0), (0, 19, -16, 1.0), (0, 24, -24, 1.2)),))
        fourth = ellipsoid(folded + np.maximum(folded[:, 1:2] - 26, 0) * (1.0, 0, 0), (0, 25, -33), (8, 6.5, 11))
        lay(np.minimum(np.minimum(lateral, third), np.minimum(aqueduct, fourth)), "csf", Label.CSF)
        plexus = _tubes(folded, _CHOROID) + 0.9 * gaussian_field(points, 3.5, seed + 33)
        plexus = np.minimum(plexus, ellipsoid(folded, (3, 29, -38), (5, 1.6, 3)))
        lay(np.maximum(plexus, np.minimum(lateral, fourth) + 0.3), "choroid", Label.CHOROID_PLEXUS, 0.0, _GREY_TEXTURE)
        lay(ellipsoid(folded, (0, 26, 3), (2.2, 3.5, 2.2)), "choroid", Label.CHOROID_PLEXUS)  # pineal gland

    def _paint_vessels(self, canvas: Canvas, points: np.ndarray) -> None:
        """Vessels and pituitary gland, which lie on both sides of the dura."""
        reach = 2.0 * canvas.pixel_mm
        sinuses = canvas.coverage(tubes_distance(points, self.vessels.veins, reach))
        canvas.paint(sinuses, self.tissues["sinus"], Label.SINUS)
        arteries = canvas.coverage(tubes_distance(points, self.vessels.arteries, reach))
        canvas.paint(arteries, self.tissues["artery"], Label.ARTERY)
        sella = np.flatnonzero(np.abs(points - np.array([0, -17, -24], np.float32)).max(-1) < 16)
        if sella.size:
            with part_of(canvas, sella) as part:
                stalk = tube(points[sella], np.array([[0, -18, -29], [0, -14, -16]], float), np.array([1.2, 0.9]))
                gland = np.minimum(ellipsoid(points[sella], (0, -19, -31), (7, 5.5, 4)), stalk)
                part.paint(part.coverage(gland), self.tissues["pituitary"], Label.PITUITARY)


def draw_brain(rng: np.random.Generator, field_strength_t: float, families: Sequence[str] = FAMILIES) -> BrainSubject:
    """Draws a patient with none to four lesions, nearly always at least one.

    Args:
        rng: source of all choices.
        field_strength_t: B0, on which T1 depends.
        families: lesion families that may occur.

    Raises:
        ValueError: a family that is not known.
    """
    unknown = set(families) - set(FAMILIES)
    if unknown:
        raise ValueError(f"no brain lesion family {sorted(unknown)}; there are {FAMILIES}")
    share = np.log2(field_strength_t / 1.5)
    tissues = {}
    for name, (t1_low, tissue) in _TISSUES.items():
        t1 = t1_low * (tissue.t1_s / t1_low) ** share
        drawn = replace(tissue, t1_s=t1).drawn(rng, spread=0.03, perfusion_spread=0.12)
        tissues[name] = replace(drawn, proton_density=tissue.proton_density) if name == "air" else drawn
    shape = BrainShape.draw(rng)
    subject = BrainSubject(
        lesions=(),
        shape=shape,
        vessels=Vessels.draw(rng, shape.cranium),
        tissues=tissues,
        rotation=_small_rotation(rng, 4.0),
        shift_mm=tuple(rng.uniform(-4, 4, 3).tolist()),
        ventricles=float(np.exp(rng.normal(0.2, 0.3))),
        stripped=bool(rng.random() < _STRIPPED_SHARE),
    )
    lesions: list[Lesion] = []
    t1_factor = _T1_RATIO ** (1 - share)
    for _ in range(rng.choice(len(_LESION_COUNTS), p=_LESION_COUNTS)):
        name = str(rng.choice(list(families)))
        radius = draw_radius(rng, name)
        centre = _site(rng, subject, name, radius, lesions)
        if centre is not None:
            lesions.append(draw_lesion(rng, name, centre, radius, t1_factor))
    return replace(subject, lesions=tuple(lesions))


def _site(
    rng: np.random.Generator, subject: BrainSubject, name: str, radius: float, taken: Sequence[Lesion]
) -> np.ndarray | None:
    """An LPS position where a lesion of this family grows, away from the others; None where none was met."""
    shape, site = subject.shape, LESION_FAMILIES[name].site
    if site == "dura":
        directions = rng.standard_normal((64, 3)) * (1, 1, 0.7) + (0, 0, 0.45)
        directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        head = on_cranium(lambda p: shape.cranium(shape.warped(p)), CENTRE, directions, 0.45 * radius)
        fits = np.abs(head[:, 0]) > 0.5 * radius
    else:
        head = rng.uniform((-62, -80, -58), (62, 84, 70), (800, 3)).astype(np.float32)
        points = shape.warped(head)
        layout = shape.layout(points)
        inside, stem = -shape.cranium(points), layout.stem
        folded = np.abs(points) * (1, 0, 0) + points * (0, 1, 1)
        wall = _tubes(folded, _VENTRICLE)
        if site == "junction":
            depth = np.maximum(layout.pial, layout.folia)
            fits = (np.abs(depth - 2.5) < 1.5) & (inside > radius + 2.5) & (stem > radius + 2) & (wall > radius)
        elif site == "white":
            fits = (layout.white > 2) & (inside > 0.75 * radius + 7) & (wall > 0.5 * radius) & (stem > radius + 4)
        else:
            fits = (layout.white > 1) & (wall > 0.35 * radius) & (wall < 0.8 * radius) & (stem > radius)
    for place in subject.lps_points(head[fits]):
        if all(np.linalg.norm(place - other.centre_mm) > 1.4 * (radius + other.radius_mm) + 4 for other in taken):
            return place
    return None


def _tubes(points: np.ndarray, paths: Sequence[Sequence[tuple[float, ...]]]) -> np.ndarray:
    """Signed distance to tubes given by vertices (x, y, z, radius), right where it is below about 6 mm."""
    distance = np.full(len(points), 1e3, np.float32)
    for path in paths:
        vertices = np.array(path, float)
        low, high = vertices[:, :3].min(0) - 13, vertices[:, :3].max(0) + 13
        near = np.flatnonzero(((points > low) & (points < high)).all(-1))
        if near.size:
            distance[near] = smooth_minimum(distance[near], tube(points[near], vertices[:, :3], vertices[:, 3]), 2.5)
    return distance


def _small_rotation(rng: np.random.Generator, degrees: float) -> np.ndarray:
    a, b, c = np.radians(rng.normal(0, degrees, 3))
    turns = (
        [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]],
        [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]],
        [[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]],
    )
    return np.array(turns[0]) @ np.array(turns[1]) @ np.array(turns[2])
