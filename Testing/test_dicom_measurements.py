"""Curves as structured reports: every number with its unit and time, the class in DICOM's code, the region it is of."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from dciodvfy import complaints
from dicom_exam import NAME, PROVENANCE, write_exam
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from CEKWorldLib.dicom.codes import CURVE_TYPE, INITIAL_PHASE, QUANTITIES, SHARES, SIGNAL, VOXELS
from CEKWorldLib.dicom.measurements import measurement_report
from CEKWorldLib.dicom.results import export_results
from CEKWorldLib.dicom.segmentation import region_segmentation
from CEKWorldLib.dicom.source import read_source
from CEKWorldLib.dicom.writing import write_dataset
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.reading import read_exam
from CEKWorldLib.kinetics.curve_type import CurveType
from CEKWorldLib.kinetics.roi import RoiResult, from_first_phase, roi_curves
from CEKWorldLib.kinetics.settings import Settings

TIMES_S = np.array([-30.0, 0.0, 30.0, 60.5, 90.0, 150.0, 240.0, 360.0])
PEAK = {"washout": (0, 0, 1.2, 1.9, 2.0, 1.6, 1.2, 0.9), "rising": (0, 0, 0.1, 0.2, 0.4, 0.6, 0.9, 1.2)}
CODES = {"washout": "130599", "rising": "130597"}


@pytest.fixture(scope="module")
def exam(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exam")
    write_exam(folder)
    return folder


@pytest.fixture(scope="module")
def masks(exam) -> dict[str, np.ndarray]:
    regions = {name: np.zeros(read_exam(exam).pre.shape, bool) for name in PEAK}
    regions["washout"][2:4, 5:9, 6:9] = True
    regions["rising"][3:5, 20:24, 6:9] = True
    return regions


@pytest.fixture(scope="module")
def results(masks) -> list[RoiResult]:
    frames = np.full((len(TIMES_S), *masks["washout"].shape), 200.0, np.float32)
    for name, mask in masks.items():
        frames[:, mask] += 200 * np.array(PEAK[name], np.float32)[:, None]
    return roi_curves(frames, TIMES_S, masks, Settings())


@pytest.fixture(scope="module")
def segmentation(exam, masks):
    return region_segmentation(read_source(exam), read_exam(exam).pre, masks)


@pytest.fixture(scope="module")
def path(exam, results, segmentation, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("report") / "sr.dcm"
    write_dataset(measurement_report(read_source(exam), segmentation, results), path)
    return path


@pytest.fixture(scope="module")
def groups(path):
    """The measurement groups of each region as highdicom reads them: one per time, the curve's, the voxels'."""
    read = highdicom.sr.srread(path).content
    every = read.get_volumetric_roi_measurement_groups()
    return {name: [g for g in every if g.tracking_identifier == name] for name in PEAK}


def number(group, quantity) -> float:
    (measurement,) = group.get_measurements(quantity.concept)
    assert measurement.unit == quantity.unit
    return measurement.value


@pytest.mark.parametrize("name", PEAK)
def test_the_curve_comes_back_with_its_times(name, groups, results):
    result = next(r for r in results if r.name == name)
    samples = groups[name][:-2]
    assert len(samples) == len(TIMES_S)
    offsets = [g.get_measurements(Code("128740", "DCM", "Longitudinal Temporal Offset from Event")) for g in samples]
    assert [offset[0].value for offset in offsets] == list(TIMES_S)
    assert {offset[0].unit for offset in offsets} == {codes.UCUM.Second}
    np.testing.assert_allclose([number(g, SIGNAL) for g in samples], result.signal, rtol=1e-6)
    percent = [number(g, QUANTITIES["percent_enhancement"]) for g in samples]
    np.testing.assert_allclose(percent, 100 * np.array(PEAK[name]), atol=1e-3)
    assert samples[0].get_measurements(SIGNAL.concept)[0].derivation == codes.SCT.Mean


@pytest.mark.parametrize("name", PEAK)
def test_statistics_and_class_come_back_in_standard_codes(name, groups, results):
    result, summary = next(r for r in results if r.name == name), groups[name][-2]
    for key, value in result.statistics.numbers().items():
        if np.isfinite(value):
            assert number(summary, QUANTITIES[key]) == pytest.approx(value, rel=1e-6), key
        else:
            assert summary.get_measurements(QUANTITIES[key].concept) == []
    (kind,) = summary.get_qualitative_evaluations(CURVE_TYPE)
    assert (kind.value.value, kind.value.scheme_designator) == (CODES[name], "DCM")
    (initial,) = summary.get_qualitative_evaluations(INITIAL_PHASE)
    assert initial.value.meaning == f"{result.initial_phase.name.capitalize()} initial phase"


def test_shares_of_the_curve_types_are_given_where_voxels_enhance(groups, results):
    washout, rising = groups["washout"][-1], groups["rising"][-1]
    assert [number(washout, SHARES[kind]) for kind in SHARES] == [0.0, 0.0, 100.0]
    # 40 % at t_e is below the gate: the curve keeps its type, its voxels have none.
    assert results[1].curve_type == CurveType.PERSISTENT
    assert rising.get_measurements(SHARES[CurveType.PERSISTENT].concept) == []


def test_every_group_points_to_the_segment_of_its_region(groups, segmentation):
    for label, segment in zip(PEAK, segmentation.SegmentSequence, strict=True):
        for group in groups[label]:
            reference = group.referenced_segment
            assert reference.referenced_sop_instance_uid == segmentation.SOPInstanceUID
            assert reference[0].referenced_segment_numbers == [segment.SegmentNumber]
            assert group.tracking_uid == segment.TrackingUID


def test_the_definitions_stand_beside_the_numbers(path, results):
    texts = [element.value for element in pydicom.dcmread(path).iterall() if element.keyword == "TextValue"]
    assert texts.count(results[0].settings.description()) == 4  # curve and voxels of two regions
    assert "curve: mean of 24 voxels; t_e=90 s; t_l=360 s" in texts
    assert "weak enhancement" in texts  # what the reader must know of the rising curve


def test_curves_of_synthetic_frames_say_so_first_and_those_of_acquired_ones_do_not(exam, results, segmentation, path):
    made = measurement_report(read_source(exam), segmentation, results, PROVENANCE)
    assert (made.SyntheticData, made.ContentQualification) == ("YES", "RESEARCH")
    assert made.SeriesDescription == "SYNTHETIC Curve kinetics"
    assert [e.PurposeOfReferenceCodeSequence[0].CodeValue for e in made.ContributingEquipmentSequence] == [
        "109100", "109101",
    ]  # fmt: skip
    comments = [item for item in made.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "121106"]
    assert [item.TextValue.split()[0] for item in comments] == ["SYNTHETIC"]
    acquired = highdicom.sr.srread(path)
    assert "SyntheticData" not in acquired
    assert not [e.value for e in acquired.iterall() if e.VR in ("LO", "UT", "ST") and "SYNTHETIC" in str(e.value)]


@pytest.mark.parametrize("provenance", [None, PROVENANCE], ids=["acquired", "synthetic"])
def test_dciodvfy_finds_nothing(provenance, exam, results, segmentation, tmp_path):
    path = tmp_path / "sr.dcm"
    write_dataset(measurement_report(read_source(exam), segmentation, results, provenance), path)
    assert complaints(path) == []


def test_a_region_that_is_not_in_the_segmentation_is_named(exam, results, masks):
    other = region_segmentation(read_source(exam), read_exam(exam).pre, {"washout": masks["washout"]})
    with pytest.raises(CEKWorldError, match="'rising' is not in the segmentation"):
        measurement_report(read_source(exam), other, results)
    with pytest.raises(CEKWorldError, match="at least one region"):
        measurement_report(read_source(exam), other, [])


def test_nothing_of_the_patient_reaches_screen_or_log(exam, results, segmentation, caplog, capfd, recwarn):
    caplog.set_level(logging.DEBUG)
    source = read_source(exam)
    source.common.PatientName = "ZZPHI CANARY"  # highdicom quotes a name without ^ in its log
    assert NAME not in str(measurement_report(source, segmentation, results).PatientName)
    shown = [caplog.text, *capfd.readouterr(), *(str(w.message) for w in recwarn)]
    assert not [text for text in shown if "ZZPHI" in text]


def test_a_curve_of_chosen_voxels_points_to_these_and_shares_to_the_region(exam, masks, tmp_path):
    """The hottest 3x3 window of a region of 4x3 voxels."""
    grid = read_exam(exam).pre
    frames = np.full((len(TIMES_S), *grid.shape), 200.0, np.float32)
    frames[:, masks["washout"]] += 200 * np.array(PEAK["washout"], np.float32)[:, None]
    frames[2:, 2, 6:9, 6:9] += 50.0
    measured = roi_curves(frames, TIMES_S, {"washout": masks["washout"]}, Settings(), "hottest")
    folder = export_results(read_source(exam), grid, measured, {}, tmp_path)
    drawn, hottest = pydicom.dcmread(folder / "regions.dcm").SegmentSequence
    assert [hottest.SegmentLabel, hottest.SegmentAlgorithmType] == ["washout (hottest)", "SEMIAUTOMATIC"]
    volume = highdicom.seg.segread(folder / "regions.dcm").get_volume(segment_numbers=[2], combine_segments=True)
    assert (volume.array > 0).sum() == 9
    read = highdicom.sr.srread(folder / "curves.dcm").content.get_volumetric_roi_measurement_groups()
    assert [g.tracking_uid for g in read] == [hottest.TrackingUID] * (len(TIMES_S) + 1) + [drawn.TrackingUID]
    assert number(read[-1], VOXELS) == 24
    assert [complaints(path) for path in folder.iterdir()] == [[], []]


def test_times_from_the_first_phase_are_not_called_times_after_injection(exam, segmentation, results):
    unknown = [from_first_phase(result) for result in results]
    text = " ".join(str(e.value) for e in measurement_report(read_source(exam), segmentation, unknown).iterall())
    assert "First phase of the series" in text and "Start of contrast injection" not in text
    assert "nothing tells when the injection began" in text


def test_curves_of_regions_with_long_names_refer_each_to_its_own_segment(exam, masks, results):
    names = {name: f"{'ISPY2-' * 11}{name}" for name in masks}
    long = [replace(result, name=names[result.name]) for result in results]
    segmentation = region_segmentation(
        read_source(exam), read_exam(exam).pre, {names[name]: mask for name, mask in masks.items()}
    )
    labels = [segment.SegmentLabel for segment in segmentation.SegmentSequence]
    assert len(set(labels)) == 2 and all(len(label) <= 64 for label in labels)
    report = measurement_report(read_source(exam), segmentation, long)
    numbers = [
        int(item.ReferencedSOPSequence[0].ReferencedSegmentNumber)
        for group in report.ContentSequence[-1].ContentSequence
        for item in group.ContentSequence
        if "ReferencedSOPSequence" in item and "ReferencedSegmentNumber" in item.ReferencedSOPSequence[0]
    ]
    assert set(numbers) == {1, 2}


def test_enhancement_relative_to_a_reference_tissue_is_reported_with_its_name(exam, segmentation, results):
    relative = [replace(result, relative_enhancement=2.5, reference="muscle") for result in results]
    values = [str(e.value) for e in measurement_report(read_source(exam), segmentation, relative).iterall()]
    assert "Enhancement relative to a reference tissue" in values and "reference tissue: muscle" in values
