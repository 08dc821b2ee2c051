"""Regions and curve types as DICOM Segmentations (PS3.3 A.51)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import highdicom
import numpy as np
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from CEKWorldLib import __version__
from CEKWorldLib.dicom.codes import CLASSIFICATION, CURVE_TYPES, SELECTION, coding_scheme
from CEKWorldLib.dicom.derived import complete_image, discreet, identity, on_grid, source_arguments
from CEKWorldLib.dicom.marking import PRODUCT, Provenance
from CEKWorldLib.dicom.source import Source
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.export.style import region_colour
from CEKWorldLib.export.type_colours import PALETTES
from CEKWorldLib.kinetics.roi import RoiResult

_LABEL = 64
REGIONS_SERIES, CURVE_TYPES_SERIES = 9201, 9202


@discreet
def region_segmentation(
    source: Source,
    grid: Volume,
    masks: Mapping[str, np.ndarray],
    provenance: Provenance | None = None,
    chosen: Collection[str] = (),
) -> Segmentation:
    """Regions of interest, one binary segment each, which may overlap.

    A region is called tissue and nothing more: that it is a lesion is for the reader to say.

    Args:
        source: images of the series.
        grid: geometry of the masks.
        masks: region name to mask (slices, rows, columns).
        provenance: what made the series; None where it was acquired.
        chosen: names of those that were not drawn, but chosen from a drawn one by a rule.

    Raises:
        CEKWorldError: no region, an empty one, one of another shape, or a grid outside the source.
    """
    if not masks:
        raise CEKWorldError("There is no region to write; give at least one mask.")
    for name, mask in masks.items():
        if not np.any(mask):
            raise CEKWorldError(f"The region '{name}' is empty; draw it or leave it out.")
        if np.shape(mask) != grid.shape:
            raise CEKWorldError(f"The region '{name}' does not have the shape of the series; draw it on the series.")
    labels = segment_labels(masks)
    segments = [
        SegmentDescription(
            segment_number=number,
            segment_label=labels[name],
            segmented_property_category=codes.SCT.Tissue,
            segmented_property_type=codes.SCT.Tissue,
            algorithm_type="SEMIAUTOMATIC" if name in chosen else "MANUAL",
            algorithm_identification=_algorithm(SELECTION) if name in chosen else None,
            tracking_uid=generate_uid(prefix=None),
            tracking_id=labels[name],
            display_color=CIELabColor.from_string(region_colour(number - 1)),
        )
        for number, name in enumerate(masks, start=1)
    ]
    stack = np.stack([np.asarray(mask, bool) for mask in masks.values()], axis=-1)
    return _segmentation(
        source, grid, stack, segments, provenance, REGIONS_SERIES, "Regions of interest",
        "Regions drawn by the user, and parts of them chosen by a rule.",
    )  # fmt: skip


@discreet
def curve_type_segmentation(
    source: Source, grid: Volume, types: np.ndarray, definition: str, provenance: Provenance | None = None
) -> Segmentation:
    """The map of curve types: one segment per type, coded as DICOM codes the curve, in the standard colours.

    Args:
        source: images of the series.
        grid: geometry of the map.
        types: (slices, rows, columns) of ``CurveType``; voxels of none belong to no segment.
        definition: the settings that the types depend on, in words.
        provenance: what made the series; None where it was acquired.

    Raises:
        CEKWorldError: a map of another shape, or a grid outside the source.
    """
    algorithm = _algorithm(CLASSIFICATION, {"definition": definition})
    segments = [
        SegmentDescription(
            segment_number=number,
            segment_label=code.meaning,
            segmented_property_category=codes.SCT.Function,
            segmented_property_type=code,
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
            tracking_uid=generate_uid(prefix=None),
            tracking_id=code.meaning,
            display_color=CIELabColor.from_rgb(*PALETTES["standard"][kind]),
        )
        for number, (kind, code) in enumerate(CURVE_TYPES.items(), start=1)
    ]
    stack = np.stack([types == kind for kind in CURVE_TYPES], axis=-1)
    return _segmentation(
        source, grid, stack, segments, provenance, CURVE_TYPES_SERIES, "Curve types", f"Curve types; {definition}."
    )


def _algorithm(family: Code, parameters: dict[str, str] | None = None) -> highdicom.AlgorithmIdentificationSequence:
    return highdicom.AlgorithmIdentificationSequence(
        name=f"{PRODUCT} kinetics", family=family, version=__version__, parameters=parameters
    )


def curve_region(result: RoiResult) -> str:
    """Name of the voxels that a region's curve is the mean of: the region, or the part of it its mode chose."""
    return result.name if result.in_curve.all() else f"{result.name} ({result.mode})"


def region_names(results: Sequence[RoiResult]) -> list[str]:
    """Every region, and where a curve is the mean of a part of it, that part."""
    names = [*(result.name for result in results), *(curve_region(result) for result in results)]
    return list(dict.fromkeys(names))


def segment_labels(names: Iterable[str]) -> dict[str, str]:
    """Names as values of LO, at most 64 characters without a backslash (PS3.5 6.2); those cut alike get numbers."""
    labels: dict[str, str] = {}
    for name in names:
        clean = name.replace("\\", "/").strip() or "region"
        label, number = clean[:_LABEL].strip(), 1
        while label in labels.values():
            number += 1
            label = f"{clean[: _LABEL - 4].strip()} ({number})"
        labels[name] = label
    return labels


def _segmentation(
    source: Source,
    grid: Volume,
    stack: np.ndarray,
    segments: list[SegmentDescription],
    provenance: Provenance | None,
    series_number: int,
    description: str,
    derivation: str,
) -> Segmentation:
    segmentation = Segmentation(
        **source_arguments(source),
        pixel_array=on_grid(stack, grid, source, description),
        segmentation_type="BINARY",
        segment_descriptions=segments,
        content_label="SEGMENTATION",
        content_description=description,
        coding_schemes=[coding_scheme()],
        **identity(series_number, description, provenance is not None),
    )
    complete_image(segmentation, source, provenance, derivation)
    return segmentation
