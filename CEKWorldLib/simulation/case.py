"""A simulated exam: one patient, one protocol, one grid, with the truth at any time kept beside the acquired volume."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk

from CEKWorldLib import __version__
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.exam import Exam
from CEKWorldLib.exam.protocol import ANATOMIES, Acquisition, Anatomy, Injection
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.simulation import abdomen, brain, breast
from CEKWorldLib.simulation.anatomy import Subject
from CEKWorldLib.simulation.artefacts import Receiver, coil_sensitivity, fat_saturation, point_spread
from CEKWorldLib.simulation.canvas import Canvas
from CEKWorldLib.simulation.enhancement import ConcentrationTable
from CEKWorldLib.simulation.lesion import Lesion
from CEKWorldLib.simulation.protocol import draw_protocol
from CEKWorldLib.simulation.redraw import patient_rng
from CEKWorldLib.simulation.spgr import spgr_signal
from CEKWorldLib.simulation.splits import Split, global_seed, lesion_families
from CEKWorldLib.simulation.tissue import PARAMETERS, Texture, Tissue

View = Literal["axial", "sagittal", "coronal"]

# LPS directions of columns (i), rows (j) and slices (k) of each canonical view, right-handed as DICOM has them.
AXES: dict[View, tuple[tuple[int, int, int], ...]] = {
    "axial": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "sagittal": ((0, 1, 0), (0, 0, -1), (-1, 0, 0)),
    "coronal": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
}
FAT_T1_S: dict[float | None, float] = {1.5: 0.296, 3.0: 0.367}  # Rakow-Penner et al., J Magn Reson Imaging 2006;23:87
DrawSubject = Callable[[np.random.Generator, float, Sequence[str]], Subject]
SUBJECTS: dict[Anatomy, tuple[DrawSubject, Sequence[str]]] = {
    "breast": (breast.draw_breast, breast.FAMILIES),
    "abdomen": (abdomen.draw_abdomen, abdomen.FAMILIES),
    "brain": (brain.draw_brain, brain.FAMILIES),
}
FORMAT = 1  # of the saved folder


@dataclass(frozen=True)
class Case:
    """A simulated exam and its truth. Arrays are (slices, rows, columns); times are s after injection start.

    Attributes:
        anatomy: body region.
        seed: number of the case within its split.
        split: see ``splits``.
        view: orientation of the slices; rows and columns run as ``AXES`` says.
        acquisition: sequence settings.
        injection: agent, dose, arrival and circulation.
        aif: name of the arterial input function.
        injection_duration_s: how long the injection takes.
        pre: the acquired pre-contrast volume: noiseless ``signal(0)`` with Rician noise.
        labels: uint8 codes of ``Label``; lesion n of ``lesions`` has ``Label.LESION + n``.
        maps: parameter of ``Tissue`` to float32 map.
        lesions: the patient's lesions, whether or not the slices meet them.
        receiver: coil, fat saturation, resolution and noise.
    """

    anatomy: Anatomy
    seed: int
    split: Split
    view: View
    acquisition: Acquisition
    injection: Injection
    aif: str
    injection_duration_s: float
    pre: Volume
    labels: np.ndarray
    maps: dict[str, np.ndarray]
    lesions: tuple[Lesion, ...]
    receiver: Receiver

    def signal(self, t: float, slices: slice = slice(None)) -> np.ndarray:
        """Noiseless signal at any time, float32, in the scale of ``pre``; before arrival it equals ``signal(0)``.

        Args:
            t: s after injection start.
            slices: which of the volume's slices.
        """
        if t <= self.injection.arrival_s:
            return self._baseline[slices].copy()
        return self._signal(t, (slices, slice(None), slice(None)))

    def enhancement(self, t: float, slices: slice = slice(None)) -> np.ndarray:
        """``signal(t) - signal(0)``: exactly zero before arrival and away from enhancing tissue."""
        return self.signal(t, slices) - self._baseline[slices]

    def curve(self, mask: np.ndarray, times: Sequence[float]) -> np.ndarray:
        """Mean noiseless signal inside a mask.

        Args:
            mask: boolean array of the volume's shape.
            times: n times.

        Returns:
            (n,) float64 array.

        Raises:
            ValueError: nothing in the mask, or another shape than the volume's.
        """
        if mask.shape != self.labels.shape or not mask.any():
            raise ValueError(f"the mask must hold voxels and have shape {self.labels.shape}, not {mask.shape}")
        reach = len(self.receiver.kernel) // 2
        extent = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
        region = tuple(slice(max(e[0] - reach, 0), e[-1] + reach + 1) for e in extent)
        inside = mask[region]
        values = [self._baseline[region] if t <= self.injection.arrival_s else self._signal(t, region) for t in times]
        return np.array([value[inside].mean(dtype=float) for value in values])

    def to_exam(self) -> Exam:
        """The exam a user would have: the acquired volume and its header, without the truth."""
        return Exam(pre=self.pre, acquisition=self.acquisition, anatomy=self.anatomy)

    def save(self, folder: Path | str, maps: bool = True) -> None:
        """Writes pre.nrrd, labels.nrrd, maps/*.nrrd and case.json; the folder appears whole or not at all.

        Args:
            folder: new or empty, or an earlier case, which is replaced.
            maps: whether to keep the truth as maps (about 1 MB a slice). Without them the case is simulated again from
                its seed when it is loaded, and the pre-contrast volume is kept as integers, as scanners write it.

        Raises:
            CEKWorldError: the folder holds something else, or cannot be written.
        """
        folder = Path(folder)
        if folder.exists() and not (folder / "case.json").exists() and (folder.is_file() or any(folder.iterdir())):
            raise CEKWorldError(f"{folder} exists and is not a simulated case; choose another output folder.")
        partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
        try:
            (partial / "maps" if maps else partial).mkdir(parents=True)
            images = {"pre": self.pre.voxels if maps else np.rint(self.pre.voxels).astype(np.int16)}
            if maps:
                images |= {"labels": self.labels}
                images |= {f"maps/{name}": values for name, values in self._saved_maps().items()}
            for name, values in images.items():
                sitk.WriteImage(self.pre.like(values).to_image(), partial / f"{name}.nrrd", useCompression=True)
            (partial / "case.json").write_text(json.dumps(self._constants(), indent=2), encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
        except (OSError, RuntimeError) as error:
            raise CEKWorldError(f"Cannot write the case to {folder}: {error}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    @classmethod
    def load(cls, folder: Path | str) -> Case:
        """Reads what ``save`` wrote; ``signal(t)`` is the same. Only a case saved without maps is simulated again.

        Raises:
            CEKWorldError: the folder is not a case, or is damaged.
        """
        folder = Path(folder)
        try:
            constants = json.loads((folder / "case.json").read_text(encoding="utf-8"))
            if constants.get("format") != FORMAT:
                raise CEKWorldError(f"{folder} was written by another version of CEKWorld; simulate the case again.")
            pre = Volume.from_image(sitk.ReadImage(folder / "pre.nrrd"))
            if not (folder / "maps").exists():
                return _simulated_again(constants, pre, folder)
            labels = sitk.GetArrayFromImage(sitk.ReadImage(folder / "labels.nrrd"))
            maps = {
                name: sitk.GetArrayFromImage(sitk.ReadImage(folder / "maps" / f"{name}.nrrd"))
                for name in (*PARAMETERS, "gain", "fat_residual")
            }
            return cls(
                **{name: constants[name] for name in ("anatomy", "seed", "split", "view", "aif")},
                acquisition=Acquisition(**constants["acquisition"]),
                injection=Injection(**constants["injection"]),
                injection_duration_s=constants["injection_duration_s"],
                pre=pre,
                labels=labels,
                lesions=tuple(_lesion(values) for values in constants["lesions"]),
                receiver=Receiver(
                    gain=maps.pop("gain"),
                    fat_residual=maps.pop("fat_residual"),
                    kernel=np.array(constants["kernel"], np.float32),
                    noise_sd=constants["noise_sd"],
                ),
                maps=maps,
            )
        except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
            raise CEKWorldError(f"{folder} is not a complete simulated case; simulate it again.") from error

    def _saved_maps(self) -> dict[str, np.ndarray]:
        return self.maps | {"gain": self.receiver.gain, "fat_residual": self.receiver.fat_residual}

    def _constants(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "cekworld": __version__,
            "anatomy": self.anatomy,
            "seed": self.seed,
            "split": self.split,
            "view": self.view,
            "aif": self.aif,
            "injection_duration_s": self.injection_duration_s,
            "injection": asdict(self.injection),
            "acquisition": asdict(self.acquisition),
            "noise_sd": self.receiver.noise_sd,
            "kernel": self.receiver.kernel.tolist(),
            "lesions": [asdict(lesion) for lesion in self.lesions],
        }

    def _signal(self, t: float, region: tuple[slice, ...]) -> np.ndarray:
        """Signal of a region; right where the region's border is the volume's or lies a blur's reach away."""
        active = self._active[region]
        magnetization = self._unenhanced[region].copy()
        maps = {name: values[region][active] for name, values in self.maps.items()}
        concentration = self._table.concentration(maps, t)
        magnetization[active] = self._water(maps, concentration) + self._fat[region][active]
        return self.receiver.image(magnetization, region)

    def _water(self, maps: dict[str, np.ndarray], concentration: np.ndarray | np.float32) -> np.ndarray:
        density = maps["proton_density"] * (1 - maps["fat"])
        return spgr_signal(
            density, maps["t1_s"], concentration, self.acquisition, self.injection.relaxivity, maps["t2star_s"]
        )

    @cached_property
    def _table(self) -> ConcentrationTable:
        return ConcentrationTable.for_injection(self.aif, self.injection, self.injection_duration_s)

    @cached_property
    def _active(self) -> np.ndarray:
        return (self.maps["vp"] > 0) | (self.maps["ktrans"] > 0)

    @cached_property
    def _fat(self) -> np.ndarray:
        """Magnetization of fat, which takes up no contrast."""
        density = self.maps["proton_density"] * self.maps["fat"]
        t1 = np.full_like(density, FAT_T1_S[self.acquisition.field_strength_t])
        fat = spgr_signal(
            density, t1, np.float32(0), self.acquisition, self.injection.relaxivity, self.maps["t2star_s"]
        )
        return fat * self.receiver.fat_residual

    @cached_property
    def _unenhanced(self) -> np.ndarray:
        return self._water(self.maps, np.float32(0)) + self._fat

    @cached_property
    def _baseline(self) -> np.ndarray:
        return self.receiver.image(self._unenhanced)


def simulate(
    anatomy: Anatomy,
    seed: int,
    split: Split = "train",
    shape: tuple[int, int, int] = (24, 256, 256),
    view: View = "axial",
    slice_mm: float | None = None,
    centre_on_lesion: bool = True,
    kinetics: int = 0,
) -> Case:
    """Simulates an exam; equal arguments give an equal case, and a patient is the same in every view and shape.

    Args:
        anatomy: body region.
        seed: number of the case within its split, from 0.
        split: see ``splits``.
        shape: slices, rows, columns.
        view: orientation of the slices.
        slice_mm: distance between slices; drawn from 2 to 5 mm when None.
        centre_on_lesion: puts a lesion (when there is one) into the slices; else the stack lies anywhere in the body.
        kinetics: 0 for the patient's own; n for another draw of everything that the pre-contrast image does not show.

    Raises:
        ValueError: unknown anatomy, split or view, or a seed outside the split's range.
    """
    if anatomy not in ANATOMIES or view not in AXES:
        raise ValueError(f"no {view} {anatomy}; anatomies are {ANATOMIES}, views are {tuple(AXES)}")
    streams = np.random.SeedSequence((global_seed(split, seed), ANATOMIES.index(anatomy))).spawn(5)
    protocol_rng, subject_rng = (patient_rng(stream, kinetics) for stream in streams[:2])
    place_rng, scanner_rng, noise_rng = map(np.random.default_rng, streams[2:])

    acquisition, injection, aif, duration = draw_protocol(protocol_rng, anatomy, split)
    assert acquisition.field_strength_t is not None  # draw_protocol sets it
    draw, families = SUBJECTS[anatomy]
    subject = draw(subject_rng, acquisition.field_strength_t, lesion_families(anatomy, families, split))
    grid = _place(subject, shape, view, slice_mm, centre_on_lesion, place_rng)
    canvas = Canvas(_points(grid), pixel_mm=grid.spacing[0], kinetics=kinetics)
    subject.paint(canvas)
    level = scanner_rng.uniform(200.0, 600.0)
    receiver = _receiver(subject, canvas.points, acquisition, level, scanner_rng)
    case = Case(
        anatomy=anatomy,
        seed=seed,
        split=split,
        view=view,
        acquisition=acquisition,
        injection=injection,
        aif=aif,
        injection_duration_s=duration,
        pre=grid,
        labels=canvas.labels,
        maps=canvas.maps,
        lesions=tuple(subject.lesions),
        receiver=receiver,
    )
    return replace(case, pre=grid.like(receiver.acquire(case.signal(0.0), noise_rng)))


def _simulated_again(constants: dict[str, Any], pre: Volume, folder: Path) -> Case:
    """The case of a volume saved without maps, with the volume as saved.

    Raises:
        CEKWorldError: this version's simulator draws another patient from the seed.
    """
    case = simulate(
        constants["anatomy"], constants["seed"], constants["split"], pre.shape, constants["view"], pre.spacing[2]
    )
    if np.abs(case.pre.voxels - pre.voxels).max() > 1.0:
        raise CEKWorldError(f"{folder} was simulated by another version of CEKWorld; simulate the case again.")
    return replace(case, pre=pre)


def _place(
    subject: Subject,
    shape: tuple[int, int, int],
    view: View,
    slice_mm: float | None,
    centre_on_lesion: bool,
    rng: np.random.Generator,
) -> Volume:
    """Lays the stack of slices into the patient: an empty volume with its geometry."""
    directions = np.array(AXES[view], float)
    centre = np.array(subject.centre_mm)
    columns_mm, rows_mm, depth_mm = np.abs(directions) @ np.array(subject.extent_mm)
    pixel = rng.uniform(0.85, 1.15) * max(columns_mm / shape[2], rows_mm / shape[1])
    thickness = rng.uniform(2.0, 5.0)
    thickness = thickness if slice_mm is None else slice_mm
    field = pixel * np.array([shape[2], shape[1]])
    target = directions @ centre
    target[:2] += rng.uniform(-0.03, 0.03, 2) * field
    target[2] += rng.uniform(-0.5, 0.5) * max(0.8 * depth_mm - shape[0] * thickness, 0.0)
    where, which = rng.uniform(0.25, 0.75), rng.random()
    if centre_on_lesion and subject.lesions:
        lesion = directions @ np.array(subject.lesions[int(which * len(subject.lesions))].centre_mm)
        target[:2] = np.clip(target[:2], lesion[:2] - 0.42 * field, lesion[:2] + 0.42 * field)
        target[2] = lesion[2] + (0.5 - where) * (shape[0] - 1) * thickness
    spacing = np.array([pixel, pixel, thickness])
    start = target - spacing * (np.array(shape[::-1]) - 1) / 2
    return Volume(
        voxels=np.zeros(shape, np.float32),
        spacing=tuple(spacing.tolist()),
        origin=tuple((directions.T @ start).tolist()),
        direction=tuple(directions.T.ravel().tolist()),
    )


def _points(grid: Volume) -> np.ndarray:
    """LPS positions of the voxels of a volume, float32 (slices, rows, columns, 3)."""
    steps = np.array(grid.direction).reshape(3, 3) * grid.spacing
    k, j, i = np.ogrid[tuple(slice(n) for n in grid.shape)]
    points = np.empty((*grid.shape, 3), np.float32)
    for axis in range(3):
        points[..., axis] = grid.origin[axis] + i * steps[axis, 0] + j * steps[axis, 1] + k * steps[axis, 2]
    return points


def _receiver(
    subject: Subject, points: np.ndarray, acquisition: Acquisition, level: float, rng: np.random.Generator
) -> Receiver:
    """Draws the receive chain so that muscle-like tissue has signal ``level`` before the coil's bias."""
    tissue_t1 = 1.0 if acquisition.field_strength_t == 1.5 else 1.4
    reference = float(spgr_signal(np.array([0.8]), np.array([tissue_t1]), 0.0, acquisition, 0.0, np.array([0.03]))[0])
    where = (points, subject.centre_mm, subject.extent_mm, rng)
    gain = coil_sensitivity(*where, surface_coil=subject.anatomy == "breast") * np.float32(level / reference)
    residual = fat_saturation(*where)
    return Receiver(
        gain=gain,
        fat_residual=residual if acquisition.fat_saturated else np.ones_like(residual),
        kernel=point_spread(rng),
        noise_sd=level * rng.uniform(0.01, 0.04),
    )


def _lesion(values: dict[str, Any]) -> Lesion:
    """A lesion from its JSON form: a record of its shape and kinetics, whichever class of lesion drew it."""
    record = {field.name: values[field.name] for field in fields(Lesion)}
    parts = {"rim": Tissue(**values["rim"]), "core": Tissue(**values["core"]), "texture": Texture(**values["texture"])}
    return Lesion(**record | parts | {"centre_mm": tuple(values["centre_mm"])})
