"""Which regions of interest get a curve: the user's masks, a simulated case's own, or two found automatically."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import uniform_filter

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.grid import slice_axis
from CEKWorldLib.exam.image_files import format_of, read_header, read_voxels
from CEKWorldLib.exam.intensity import body_mask
from CEKWorldLib.exam.itk_names import itk_name
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.simulation.labels import Label

if TYPE_CHECKING:
    from CEKWorldLib.simulation.case import Case

Regions = dict[str, np.ndarray]

# The organs a reader looks at first, per anatomy. No vessels: their 800 % would flatten every other line of the plot.
_ORGANS: dict[str, tuple[Label, ...]] = {
    "breast": (Label.GLAND, Label.MUSCLE),
    "abdomen": (Label.LIVER, Label.SPLEEN, Label.PANCREAS, Label.KIDNEY_CORTEX),
    "brain": (Label.GREY_MATTER, Label.WHITE_MATTER, Label.MUSCLE),
}
_MOST_REGIONS = 7
_FEWEST_VOXELS = 9  # a radiologist's 3x3 region
_SUFFIXES = (".seg.nrrd", ".nii.gz", ".nrrd", ".nhdr", ".nii", ".mha", ".mhd")


def mask_regions(paths: Sequence[Path], volume: Volume) -> Regions:
    """Reads masks on the volume's own grid; each label of a file is a region.

    Raises:
        CEKWorldError: a file cannot be read, is empty, or lies on another grid.
    """
    regions: Regions = {}
    for path in paths:
        labels = _labels(path, volume)
        values = np.unique(labels[labels > 0])
        if not len(values):
            raise CEKWorldError(f"The mask {path} is empty; draw a region, or leave out --roi.")
        if len(values) > _MOST_REGIONS:
            raise CEKWorldError(f"The mask {path} holds {len(values)} labels; give at most {_MOST_REGIONS}.")
        for value in values:
            name = _stem(path) if len(values) == 1 else f"{_stem(path)} {value:g}"
            regions[_unused(name, regions)] = labels == value
    return regions


def case_regions(case: Case) -> Regions:
    """A simulated case's lesions and main organs, as far as they lie in the volume."""
    regions = {
        f"lesion {index + 1} ({lesion.family.replace('_', ' ')})": case.labels == Label.LESION + index
        for index, lesion in enumerate(case.lesions)
    }
    regions |= {label.name.lower().replace("_", " "): case.labels == label for label in _ORGANS[case.anatomy]}
    present = {name: mask for name, mask in regions.items() if np.count_nonzero(mask) >= _FEWEST_VOXELS}
    return dict(list(present.items())[:_MOST_REGIONS])


def automatic_regions(volume: Volume, enhancement: np.ndarray) -> Regions:
    """The 3x3 pixels that enhance most, where a radiologist would put his region, and the whole body.

    Args:
        volume: the pre-contrast volume.
        enhancement: largest enhancement of each voxel over time, in the volume's scale.
    """
    body = body_mask(volume.voxels)
    size = [3, 3, 3]
    size[slice_axis(volume)] = 1
    inside = uniform_filter(body.astype(np.float32), size) > 0.999
    if not inside.any():
        return {"whole body": body}
    mean = np.where(inside, uniform_filter(enhancement, size), -np.inf)
    centre = np.unravel_index(int(mean.argmax()), mean.shape)
    spot = np.zeros(volume.shape, bool)
    spot[tuple(slice(max(c - s // 2, 0), c + s // 2 + 1) for c, s in zip(centre, size, strict=True))] = True
    return {"strongest enhancement (3x3)": spot, "whole body": body}


def _labels(path: Path, volume: Volume) -> np.ndarray:
    format_name = format_of(path)
    try:
        if not path.is_file():
            raise FileNotFoundError(path)
        reader = read_header(path, format_name) if format_name else _header_of_another_format(path)
    except (OSError, RuntimeError) as error:
        raise CEKWorldError(f"Cannot read the mask {path}; give it as NRRD or NIfTI.") from error
    if reader.GetDimension() != 3 or reader.GetNumberOfComponents() != 1 or not _same_grid(reader, volume):
        raise CEKWorldError(
            f"The mask {path} lies on another grid than the volume; export it with the volume as reference."
        )
    return sitk.GetArrayFromImage(read_voxels(reader, path, format_name or "an image"))


def _header_of_another_format(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(itk_name(path))
    reader.ReadImageInformation()
    return reader


def _same_grid(image: sitk.ImageFileReader, volume: Volume) -> bool:
    """Within a tenth of a voxel, which is more than the rounding of text headers and less than a shift."""
    near = 0.1 * min(volume.spacing)
    return (
        image.GetSize() == volume.shape[::-1]
        and np.allclose(image.GetSpacing(), volume.spacing, rtol=1e-3)
        and np.allclose(image.GetOrigin(), volume.origin, rtol=0, atol=near)
        and np.allclose(image.GetDirection(), volume.direction, rtol=0, atol=1e-3)
    )


def _stem(path: Path) -> str:
    for suffix in _SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def _unused(name: str, regions: Regions) -> str:
    number, free = 2, name
    while free in regions:
        free, number = f"{name} ({number})", number + 1
    return free
