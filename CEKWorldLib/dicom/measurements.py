"""Curves, statistics and curve types of regions as a structured report (TID 1500, PS3.16)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

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
from pydicom.uid import generate_uid

from CEKWorldLib import __version__
from CEKWorldLib.dicom.codes import (
    CURVE_TYPE,
    CURVE_TYPES,
    INITIAL_PHASE,
    INITIAL_PHASES,
    INJECTION_START,
    PROCEDURE,
    QUANTITIES,
    SHARES,
    SIGNAL,
    VOXELS,
    Quantity,
    coding_scheme,
)
from CEKWorldLib.dicom.derived import discreet, identity, reference_images
from CEKWorldLib.dicom.marking import IMAGE_COMMENTS, MANUFACTURER, PRODUCT, Provenance, mark_synthetic
from CEKWorldLib.dicom.segmentation import segment_label
from CEKWorldLib.dicom.source import Source
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.kinetics.roi import RoiResult

SERIES = 9203


@discreet()
def measurement_report(
    source: Source, segmentation: Segmentation, results: Sequence[RoiResult], provenance: Provenance | None = None
) -> ComprehensiveSR:
    """The regions' curves and what they were judged to be.

    Each region has one group of measurements per time, with the time as numeric offset from the start of the injection,
    and one that sums up the curve. All refer to the region's segment. Statistics that are not defined are left out.

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
    groups = [group for result in results for group in _groups(result, segmentation)]
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


def _groups(
    result: RoiResult, segmentation: Segmentation
) -> Iterator[VolumetricROIMeasurementsAndQualitativeEvaluations]:
    """The groups of one region: its signal at each time, then its statistics."""
    label = segment_label(result.name)
    segment = next((item for item in segmentation.SegmentSequence if item.SegmentLabel == label), None)
    if segment is None:
        raise CEKWorldError(f"The region '{result.name}' is not in the segmentation; write its mask with it.")
    tracking = TrackingIdentifier(uid=segment.TrackingUID, identifier=segment.TrackingID)
    reference = ReferencedSegment(
        segmentation.SOPClassUID,
        segmentation.SOPInstanceUID,
        int(segment.SegmentNumber),
        source_series=SourceSeriesForSegmentation(segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID),
    )
    samples = zip(result.times_s, result.signal, result.enhancement, strict=True)
    for order, (t, signal, percent) in enumerate(samples, start=1):
        yield VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking,
            referenced_segment=reference,
            time_point_context=_time_point(float(t), order),
            measurements=_measurements([(SIGNAL, signal), (_ENHANCEMENT_AT_TIME, percent)], mean=True),
        )
    yield _summary(result, tracking, reference)


_ENHANCEMENT_AT_TIME = QUANTITIES["percent_enhancement"]


def _time_point(t_s: float, order: int) -> TimePointContext:
    offset = LongitudinalTemporalOffsetFromEvent(t_s, codes.UCUM.Second, INJECTION_START)
    return TimePointContext(f"t={t_s:+.3f} s", time_point_order=order, temporal_offset_from_event=offset)


def _summary(
    result: RoiResult, tracking: TrackingIdentifier, reference: ReferencedSegment
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    statistics = result.statistics
    evaluations = []
    if result.curve_type in CURVE_TYPES:
        evaluations.append(QualitativeEvaluation(CURVE_TYPE, CURVE_TYPES[result.curve_type]))
    if result.initial_phase in INITIAL_PHASES:
        evaluations.append(QualitativeEvaluation(INITIAL_PHASE, INITIAL_PHASES[result.initial_phase]))
    numbers = statistics.numbers()
    values = [(quantity, numbers[name]) for name, quantity in QUANTITIES.items()]
    if result.enhancing_voxels:
        values += [(SHARES[kind], share) for kind, share in result.type_shares.items()]
    curve = (
        f"curve: {result.mode} of {result.curve_voxels} voxels; t_e={statistics.t_e_s:g} s; t_l={statistics.t_l_s:g} s"
    )
    algorithm = AlgorithmIdentification(
        name=f"{PRODUCT} kinetics",
        version=__version__,
        manufacturer=MANUFACTURER,
        parameters=[result.settings.description(), curve, *result.notes],
    )
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking,
        referenced_segment=reference,
        algorithm_id=algorithm,
        measurements=_measurements([(VOXELS, result.voxels), *values]),
        qualitative_evaluations=evaluations,
    )


def _measurements(values: Sequence[tuple[Quantity, float]], mean: bool = False) -> list[Measurement]:
    """Those that are defined: a structured report has no number for the others."""
    derivation = codes.SCT.Mean if mean else None
    return [
        Measurement(quantity.concept, float(value), quantity.unit, derivation=derivation)
        for quantity, value in values
        if math.isfinite(value)
    ]
