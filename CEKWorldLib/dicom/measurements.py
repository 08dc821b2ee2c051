"""Curves, statistics and curve types of regions as a structured report (TID 1500, PS3.16)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from highdicom.seg import Segmentation
from highdicom.sr import (
    AlgorithmIdentification,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    LongitudinalTemporalOffsetFromEvent,
    Measurement,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    ReferencedSegment,
    RelationshipTypeValues,
    SourceSeriesForSegmentation,
    TextContentItem,
    TimePointContext,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from CEKWorldLib import __version__
from CEKWorldLib.dicom.codes import (
    CURVE_TYPE,
    CURVE_TYPES,
    ENHANCING_VOXELS,
    FIRST_PHASE,
    INITIAL_PHASE,
    INITIAL_PHASES,
    INJECTION_START,
    PROCEDURE,
    QUANTITIES,
    RELATIVE,
    SHARES,
    SIGNAL,
    VOXELS,
    Quantity,
    coding_scheme,
)
from CEKWorldLib.dicom.derived import discreet, identity, reference_images
from CEKWorldLib.dicom.marking import IMAGE_COMMENTS, MANUFACTURER, PRODUCT, Provenance, mark_synthetic
from CEKWorldLib.dicom.segmentation import curve_region, region_names, segment_labels
from CEKWorldLib.dicom.source import Source
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.kinetics.roi import RoiResult

SERIES = 9203
_Group = VolumetricROIMeasurementsAndQualitativeEvaluations


@discreet
def measurement_report(
    source: Source, segmentation: Segmentation, results: Sequence[RoiResult], provenance: Provenance | None = None
) -> ComprehensiveSR:
    """The regions' curves and what they were judged to be.

    Each region has one group of measurements per time, with the time as numeric offset from the start of the injection,
    one that sums up the curve, and one on all its voxels. The last points to the region's segment; the others to that
    of the voxels the curve is the mean of, where these are fewer. Statistics that are not defined are left out.

    Args:
        source: images of the series.
        segmentation: the regions, of ``segmentation.region_segmentation``; the measurements point to its segments.
        results: one per region.
        provenance: what made the series; None where it was acquired.

    Raises:
        CEKWorldError: no result, or one of a region that the segmentation does not hold.
    """
    if not results:
        raise CEKWorldError("There is no curve to report; give at least one region.")
    labels = segment_labels(region_names(results))
    segments = {name: _segment(name, label, segmentation) for name, label in labels.items()}
    groups = [group for result in results for group in _groups(result, segments)]
    report = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=_observer()),
        procedure_reported=PROCEDURE,
        imaging_measurements=groups,
        title=codes.DCM.DynamicContrastMRMeasurementReport,
    )
    # The first thing a reader of the document sees of it.
    statement = IMAGE_COMMENTS if provenance else "Measured on acquired images - research use only - not for diagnosis"
    comment = TextContentItem(codes.DCM.Comment, statement, RelationshipTypeValues.CONTAINS)
    report[0].ContentSequence.insert(len(report[0].ContentSequence) - 1, comment)
    document = ComprehensiveSR(
        evidence=[*reference_images(source), segmentation],
        content=report,
        is_complete=True,
        content_qualification="RESEARCH",
        coding_schemes=[coding_scheme()],
        **identity(SERIES, "Curve kinetics", provenance is not None),
    )
    if provenance is not None:
        mark_synthetic(document, source, provenance)
    return document


def _observer() -> ObserverContext:
    device = DeviceObserverIdentifyingAttributes(
        uid=generate_uid(prefix=None, entropy_srcs=[PRODUCT, __version__]),  # one per version, wherever it runs
        name=PRODUCT,
        manufacturer_name=MANUFACTURER,
        model_name=PRODUCT,
        serial_number=__version__,
    )
    return ObserverContext(codes.DCM.Device, device)


def _groups(result: RoiResult, segments: Mapping[str, dict[str, Any]]) -> Iterator[_Group]:
    """The groups of one region: its signal at each time and its statistics, then what its voxels add."""
    curve = segments[curve_region(result)]
    samples = zip(result.times_s, result.signal, result.enhancement, strict=True)
    for order, (t, signal, percent) in enumerate(samples, start=1):
        values = [(SIGNAL, signal), (QUANTITIES["percent_enhancement"], percent)]
        yield _Group(
            **curve,
            time_point_context=_time_point(float(t), order, INJECTION_START if result.from_injection else FIRST_PHASE),
            measurements=_measurements(values, derivation=codes.SCT.Mean),
        )
    yield _Group(
        **curve,
        algorithm_id=_algorithm(result),
        measurements=_measurements(
            [
                *((quantity, result.statistics.numbers()[name]) for name, quantity in QUANTITIES.items()),
                (RELATIVE, result.relative_enhancement),
            ]
        ),
        qualitative_evaluations=_evaluations(result),
    )
    shares = [(SHARES[kind], share) for kind, share in result.type_shares.items()] if result.enhancing_voxels else []
    yield _Group(
        **segments[result.name],
        algorithm_id=_algorithm(result),
        measurements=_measurements([(VOXELS, result.voxels), (ENHANCING_VOXELS, result.enhancing_voxels), *shares]),
    )


def _segment(name: str, label: str, segmentation: Segmentation) -> dict[str, Any]:
    """The arguments by which a group points to a segment.

    highdicom's own ``ReferencedSegment.from_segmentation`` fails where there is only one segment (0.28.2).
    """
    segment = next((item for item in segmentation.SegmentSequence if item.SegmentLabel == label), None)
    if segment is None:
        raise CEKWorldError(f"The region '{name}' is not in the segmentation; write its mask with it.")
    series = SourceSeriesForSegmentation(segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID)
    number = int(segment.SegmentNumber)
    return {
        "tracking_identifier": TrackingIdentifier(uid=segment.TrackingUID, identifier=segment.TrackingID),
        "referenced_segment": ReferencedSegment(
            segmentation.SOPClassUID, segmentation.SOPInstanceUID, number, source_series=series
        ),
    }


def _time_point(t_s: float, order: int, event: Code) -> TimePointContext:
    offset = LongitudinalTemporalOffsetFromEvent(t_s, codes.UCUM.Second, event)
    return TimePointContext(f"t={t_s:+.3f} s", time_point_order=order, temporal_offset_from_event=offset)


def _evaluations(result: RoiResult) -> list[QualitativeEvaluation]:
    evaluations = []
    if result.curve_type in CURVE_TYPES:
        evaluations.append(QualitativeEvaluation(CURVE_TYPE, CURVE_TYPES[result.curve_type]))
    if result.initial_phase in INITIAL_PHASES:
        evaluations.append(QualitativeEvaluation(INITIAL_PHASE, INITIAL_PHASES[result.initial_phase]))
    return evaluations


def _algorithm(result: RoiResult) -> AlgorithmIdentification:
    """Definitions and notes: without them neither class nor number can be read."""
    statistics = result.statistics
    times = f"t_e={statistics.t_e_s:g} s; t_l={statistics.t_l_s:g} s"
    curve = f"curve: {result.mode} of {result.curve_voxels} voxels; {times}"
    notes = [f"reference tissue: {result.reference}", *result.notes] if result.reference else result.notes
    return AlgorithmIdentification(
        name=f"{PRODUCT} kinetics",
        version=__version__,
        manufacturer=MANUFACTURER,
        parameters=[result.settings.description(), curve, *notes],
    )


def _measurements(values: Sequence[tuple[Quantity, float]], derivation: Code | None = None) -> list[Measurement]:
    """Those that are defined: a structured report has no number for the others."""
    return [
        Measurement(quantity.concept, float(value), quantity.unit, derivation=derivation)
        for quantity, value in values
        if math.isfinite(value)
    ]
