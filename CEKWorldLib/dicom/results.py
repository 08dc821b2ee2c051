"""What was measured on a series, as one folder of DICOM objects: regions, curves and classes, maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from CEKWorldLib.dicom.codes import QUANTITIES
from CEKWorldLib.dicom.marking import Provenance
from CEKWorldLib.dicom.measurements import SERIES, measurement_report
from CEKWorldLib.dicom.parametric_maps import FIRST_SERIES, parametric_map
from CEKWorldLib.dicom.segmentation import (
    CURVE_TYPES_SERIES,
    REGIONS_SERIES,
    curve_region,
    curve_type_segmentation,
    region_names,
    region_segmentation,
)
from CEKWorldLib.dicom.series_numbers import free_offset
from CEKWorldLib.dicom.source import Source
from CEKWorldLib.dicom.writing import new_folder, write_dataset
from CEKWorldLib.errors import Cancelled
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.kinetics.roi import RoiResult
from CEKWorldLib.synthesis.progress import Cancel, is_cancelled

# SeriesNumbers of a first export; later ones take the next free ones.
NUMBERS = (REGIONS_SERIES, CURVE_TYPES_SERIES, SERIES, *range(FIRST_SERIES, FIRST_SERIES + len(QUANTITIES)))


def export_results(
    source: Source,
    grid: Volume,
    results: Sequence[RoiResult],
    maps: Mapping[str, np.ndarray],
    output: Path | str,
    provenance: Provenance | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancel: Cancel | None = None,
) -> Path:
    """Writes a segmentation of the regions, the report of their curves, and maps, each a series of the source's study.

    Args:
        source: images of the series.
        grid: geometry of regions and maps.
        results: one per region.
        maps: of ``kinetics.maps``; those without a code of their own, as the initial phase, are left out. May be empty.
        output: folder the new folder goes to.
        provenance: what made the series; None where it was acquired.
        progress: told how many objects are written, and how many there will be.
        cancel: asked before each object.

    Returns:
        The new folder; it appears when it is complete.

    Raises:
        CEKWorldError: regions, maps and source do not belong together, or the folder cannot be written.
        Cancelled: ``cancel`` asked for it; nothing is left.
    """
    masks = _masks(results, grid)
    segmentation = region_segmentation(source, grid, masks, provenance, masks.keys() - {r.name for r in results})
    settings = results[0].settings.description()
    made: dict[str, Callable[[], Dataset]] = {
        "regions.dcm": lambda: segmentation,
        "curves.dcm": partial(measurement_report, source, segmentation, results, provenance),
    }
    if "curve_type" in maps:
        made["curve_types.dcm"] = partial(
            curve_type_segmentation, source, grid, maps["curve_type"], settings, provenance
        )
    for name in (name for name in QUANTITIES if name in maps):
        made[f"{name}.dcm"] = partial(parametric_map, source, grid, name, maps[name], settings, provenance)
    offset = free_offset(NUMBERS, source, Path(output))
    with new_folder(Path(output)) as folder:
        for done, (name, make) in enumerate(made.items(), start=1):
            if is_cancelled(cancel):
                raise Cancelled("Stopped; nothing was written.")
            dataset = make()
            dataset.SeriesNumber += offset
            write_dataset(dataset, folder.staging / name)
            if progress:
                progress(done, len(made))
    return folder.target


def _masks(results: Sequence[RoiResult], grid: Volume) -> dict[str, np.ndarray]:
    voxels = {result.name: result.positions for result in results}
    voxels |= {curve_region(result): result.positions[result.in_curve] for result in results}
    masks = {name: np.zeros(grid.shape, bool) for name in region_names(results)}
    for name, positions in voxels.items():
        masks[name][tuple(positions.T)] = True
    return masks
