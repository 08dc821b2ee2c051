"""Maps of kinetic quantities as DICOM Parametric Maps (PS3.3 A.75): float pixels that say what they measure."""

from __future__ import annotations

import numpy as np
from highdicom import VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from pydicom.sr.codedict import codes

from CEKWorldLib.dicom.codes import QUANTITIES, coding_scheme
from CEKWorldLib.dicom.derived import complete_image, discreet, identity, on_grid, source_arguments
from CEKWorldLib.dicom.marking import Provenance
from CEKWorldLib.dicom.source import Source
from CEKWorldLib.exam.volume import Volume

FIRST_SERIES = 9211  # one series per quantity, in the order of ``QUANTITIES``


@discreet
def parametric_map(
    source: Source, grid: Volume, name: str, values: np.ndarray, settings: str, provenance: Provenance | None = None
) -> ParametricMap:
    """One quantity over the volume.

    Voxels where it is not defined are NaN, which float pixels may be (PS3.5 section 8).

    Args:
        source: images of the series.
        grid: geometry of the map.
        name: a key of ``codes.QUANTITIES``.
        values: (slices, rows, columns), NaN where not defined.
        settings: the definitions it depends on, in words.
        provenance: what made the series; None where it was acquired.

    Raises:
        CEKWorldError: a map of another shape, or a grid outside the source.
    """
    quantity = QUANTITIES[name]
    values = np.asarray(values, np.float32)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    mapping = RealWorldValueMapping(
        lut_label=quantity.label,
        lut_explanation=quantity.concept.meaning,
        unit=quantity.unit,
        value_range=(low, high),
        slope=1.0,
        intercept=0.0,
        quantity_definition=quantity.concept,
    )
    description = f"{quantity.label} [{quantity.unit.value}]"
    result = ParametricMap(
        **source_arguments(source),
        pixel_array=on_grid(values, grid, source, name),
        contains_recognizable_visual_features=source.may_show_face,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[_window(finite)],
        content_qualification="RESEARCH",
        content_description=description,
        derivation=codes.DCM.PerfusionImageAnalysis,
        coding_schemes=[coding_scheme()],
        **identity(FIRST_SERIES + list(QUANTITIES).index(name), description, provenance is not None),
    )
    if "Laterality" in source.common:  # type 2C here, not wanted in a segmentation
        result.Laterality = source.common.Laterality
    elif "ImageLaterality" in source.common:
        side = source.common.ImageLaterality
        result.Laterality = side if side in ("L", "R") else ""
    complete_image(result, source, provenance, f"{quantity.concept.meaning}; {settings}.")
    return result


def _window(finite: np.ndarray) -> VOILUTTransformation:
    """All but the outermost 1 % at either end; exact, as the linear function wants a width of 1 or more."""
    low, high = np.percentile(finite, [1.0, 99.0]) if finite.size else (0.0, 1.0)
    width = max(float(high - low), 1e-6)
    return VOILUTTransformation(float(low) + width / 2, width, voi_lut_function="LINEAR_EXACT")
