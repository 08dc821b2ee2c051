"""Regions, curve types and maps as DICOM objects: right place, right values, right codes, marked where synthetic."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from dciodvfy import complaints
from dicom_exam import NAME, NORMAL, PATIENT_ID, PROVENANCE, START, STEP_MM, synthesized, write_exam

from CEKWorldLib.dicom.anonymize import anonymized
from CEKWorldLib.dicom.codes import QUANTITIES
from CEKWorldLib.dicom.parametric_maps import parametric_map
from CEKWorldLib.dicom.phases import export_phases
from CEKWorldLib.dicom.segmentation import curve_type_segmentation, region_segmentation
from CEKWorldLib.dicom.source import Source, new_study, read_source
from CEKWorldLib.dicom.writing import write_dataset
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.reading import read_exam
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.kinetics import quantities
from CEKWorldLib.kinetics.curve_type import CurveType
from CEKWorldLib.kinetics.settings import Settings

CANARY = "ZZPHI"
SETTINGS = Settings().description()


@pytest.fixture(scope="module")
def exam(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exam")
    write_exam(folder)
    return folder


@pytest.fixture(scope="module")
def source(exam) -> Source:
    return read_source(exam)


@pytest.fixture(scope="module")
def grid(exam) -> Volume:
    return read_exam(exam).pre


def regions(grid: Volume) -> dict[str, np.ndarray]:
    """Two regions that overlap, on other slices than the first, so that a flipped stack would show."""
    lesion, muscle = (np.zeros(grid.shape, bool) for _ in range(2))
    lesion[3:5, 10:14, 20:23] = True
    muscle[4:6, 12:20, 5:22] = True
    return {"lesion": lesion, "muscle\\left": muscle}


def curve_types(grid: Volume) -> np.ndarray:
    types = np.zeros(grid.shape, np.uint8)
    types[2, 5:9, 6:9], types[4, 5:9, 10:12] = CurveType.PERSISTENT, CurveType.WASHOUT
    return types


def values(grid: Volume) -> np.ndarray:
    """A map with undefined voxels."""
    numbers = np.random.default_rng(3).normal(80, 60, grid.shape).astype(np.float32)
    numbers[:, :7] = np.nan
    return numbers


def saved(dataset: pydicom.Dataset, folder: Path) -> Path:
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    write_dataset(dataset, path)
    return path


def places(volume: highdicom.Volume, chosen: np.ndarray) -> np.ndarray:
    """LPS mm of the chosen voxels, in a fixed order."""
    return in_order(volume.map_indices_to_reference(np.argwhere(chosen)))


def grid_places(grid: Volume, chosen: np.ndarray) -> np.ndarray:
    """As ``places``, by SimpleITK."""
    image = grid.to_image()
    return in_order([image.TransformIndexToPhysicalPoint([int(n) for n in kji[::-1]]) for kji in np.argwhere(chosen)])


def in_order(points) -> np.ndarray:
    points = np.round(np.asarray(points), 3)
    return points[np.lexsort(points.T)]


def test_regions_come_back_with_their_voxels_in_place_also_where_they_overlap(source, grid, tmp_path):
    masks = regions(grid)
    path = saved(region_segmentation(source, grid, masks), tmp_path)
    read = highdicom.seg.segread(path)
    for number, mask in enumerate(masks.values(), start=1):
        volume = read.get_volume(segment_numbers=[number], combine_segments=True)
        np.testing.assert_allclose(places(volume, volume.array > 0), grid_places(grid, mask), atol=2e-3)


def test_each_frame_of_a_region_names_the_source_image_it_lies_on(source, grid, exam):
    segmentation = region_segmentation(source, grid, {"lesion": regions(grid)["lesion"]})
    originals = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, exam.iterdir())}
    frames = segmentation.PerFrameFunctionalGroupsSequence
    found = []
    for frame in frames:
        named = originals[frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID]
        found.append(frame.PlanePositionSequence[0].ImagePositionPatient)
        np.testing.assert_allclose(found[-1], named.ImagePositionPatient, atol=1e-3)
    np.testing.assert_allclose(in_order(found), in_order([START + k * STEP_MM * NORMAL for k in (3, 4)]), atol=2e-3)


def test_regions_can_be_tracked_and_claim_nothing_but_tissue(source, grid):
    segments = region_segmentation(source, grid, regions(grid)).SegmentSequence
    assert [s.SegmentLabel for s in segments] == [s.TrackingID for s in segments] == ["lesion", "muscle/left"]
    assert len({s.TrackingUID for s in segments}) == 2
    for segment in segments:
        assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Tissue"
        assert segment.SegmentAlgorithmType == "MANUAL"


def test_curve_types_carry_the_codes_of_dicom_the_colours_of_readers_and_their_definition(source, grid, tmp_path):
    types = curve_types(grid)
    read = highdicom.seg.segread(saved(curve_type_segmentation(source, grid, types, SETTINGS), tmp_path))
    segments = read.SegmentSequence
    codes = [segment.SegmentedPropertyTypeCodeSequence[0] for segment in segments]
    assert [(c.CodeValue, c.CodingSchemeDesignator) for c in codes] == [
        ("130597", "DCM"), ("130598", "DCM"), ("130599", "DCM"),
    ]  # fmt: skip
    colours = [highdicom.color.CIELabColor.from_dicom_value(s.RecommendedDisplayCIELabValue).to_rgb() for s in segments]
    assert [int(np.argmax(colour)) for colour in colours] == [2, 1, 0]  # blue, green, red
    for segment in segments:
        (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
        assert "plateau within ±10 % of the signal" in algorithm.AlgorithmParameters
    for kind in (CurveType.PERSISTENT, CurveType.WASHOUT):
        volume = read.get_volume(segment_numbers=[int(kind)], combine_segments=True)
        np.testing.assert_allclose(places(volume, volume.array > 0), grid_places(grid, types == kind), atol=2e-3)


def test_a_map_without_any_classified_voxel_is_written_all_the_same(source, grid, tmp_path):
    path = saved(curve_type_segmentation(source, grid, np.zeros(grid.shape, np.uint8), SETTINGS), tmp_path)
    assert not highdicom.seg.segread(path).pixel_array.any()
    assert complaints(path) == []


@pytest.mark.parametrize("name", QUANTITIES)
def test_maps_come_back_to_the_bit_with_unit_and_meaning(name, source, grid, tmp_path):
    numbers = values(grid)
    path = saved(parametric_map(source, grid, name, numbers, SETTINGS), tmp_path)
    volume = highdicom.imread(path).get_volume(apply_real_world_transform=True)
    back = volume.array[::-1]  # highdicom stacks the slices against the normal, with the affine to match
    np.testing.assert_array_equal(back, numbers)  # NaN equals NaN here
    np.testing.assert_allclose(places(volume, volume.array > 150), grid_places(grid, numbers > 150), atol=2e-3)

    shared = pydicom.dcmread(path).SharedFunctionalGroupsSequence[0]
    (mapping,) = shared.RealWorldValueMappingSequence
    quantity = QUANTITIES[name]
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == quantity.unit.value
    assert mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue == quantity.concept.value
    assert complaints(path) == []


def test_a_map_that_is_nowhere_defined_is_written_as_such(source, grid, tmp_path):
    path = saved(parametric_map(source, grid, "ser", np.full(grid.shape, np.nan), SETTINGS), tmp_path)
    assert np.isnan(highdicom.imread(path).get_volume().array).all()
    assert complaints(path) == []


def test_every_statistic_has_a_code_and_the_unit_it_is_computed_in():
    assert set(QUANTITIES) == set(quantities.QUANTITIES)
    ucum = {name: q.unit.value.replace(".", "·") for name, q in QUANTITIES.items()}
    assert ucum == {name: q.unit or "1" for name, q in quantities.QUANTITIES.items()}
    assert all(len(q.label) <= 16 and len(q.concept.value) <= 16 for q in QUANTITIES.values())
    assert len({q.concept.value for q in QUANTITIES.values()}) == len(QUANTITIES)


def test_quantities_dicom_has_codes_for_use_them():
    own = {name: (q.concept.value, q.concept.scheme_designator) for name, q in QUANTITIES.items()}
    assert own["ttp_s"] == ("113069", "DCM") and own["arrival_s"] == ("126371", "DCM")
    assert own["max_slope"] == ("126375", "DCM") and own["iauc180"] == ("126323", "DCM")
    assert own["iauc60"] == ("126321", "DCM") and own["iauc90"] == ("126322", "DCM")


def objects(source: Source, grid: Volume, provenance) -> dict[str, pydicom.Dataset]:
    """One of each kind."""
    return {
        "regions": region_segmentation(source, grid, regions(grid), provenance),
        "types": curve_type_segmentation(source, grid, curve_types(grid), SETTINGS, provenance),
        "map": parametric_map(source, grid, "percent_enhancement", values(grid), SETTINGS, provenance),
    }


def test_objects_from_synthetic_frames_are_marked_and_those_from_acquired_ones_are_not(source, grid):
    for made in objects(source, grid, PROVENANCE).values():
        assert (made.SyntheticData, made.ContentQualification) == ("YES", "RESEARCH")
        assert made.SeriesDescription.startswith("SYNTHETIC ")
        purposes = [e.PurposeOfReferenceCodeSequence[0].CodeValue for e in made.ContributingEquipmentSequence]
        assert purposes == ["109100", "109101"]
        assert PROVENANCE.model_sha256 in made.DerivationDescription
    for made in objects(source, grid, None).values():
        assert "SyntheticData" not in made and "SYNTHETIC" not in made.SeriesDescription
        assert made.ContentQualification == "RESEARCH"


@pytest.mark.parametrize("provenance", [None, PROVENANCE], ids=["acquired", "synthetic"])
def test_dciodvfy_finds_nothing(provenance, source, grid, tmp_path):
    for kind, made in objects(source, grid, provenance).items():
        assert complaints(saved(made, tmp_path)) == [], kind


def test_dciodvfy_finds_nothing_where_the_source_is_a_real_scan_with_a_dirty_header(shared_data, tmp_path):
    folder = shared_data / "dicom_t1_real"
    for kind, made in objects(read_source(folder), read_exam(folder).pre, PROVENANCE).items():
        assert complaints(saved(made, tmp_path)) == [], kind


def test_every_attribute_the_standard_requires_is_there(source, grid):
    tables = Path(highdicom.__file__).parent / "_standard"
    names = json.loads((tables / "sop_class_iod_map.json").read_text())
    modules = json.loads((tables / "iod_module_map.json").read_text())
    attributes = json.loads((tables / "module_attribute_map.json").read_text())
    for made in objects(source, grid, PROVENANCE).values():
        required = [
            attribute
            for module in modules[names[made.SOPClassUID]]
            if module["usage"] == "M"
            for attribute in attributes[module["key"]]
            if not attribute["path"] and attribute["type"] in ("1", "2")
        ]
        assert len(required) > 30
        assert [
            a["keyword"]
            for a in required
            if a["keyword"] not in made or (a["type"] == "1" and made[a["keyword"]].is_empty)
        ] == []


def test_objects_join_the_study_of_the_source_and_no_uid_occurs_twice(source, grid):
    made = [*objects(source, grid, PROVENANCE).values(), *objects(source, grid, PROVENANCE).values()]
    for one in made:
        assert one.StudyInstanceUID == source.common.StudyInstanceUID
        assert one.get("FrameOfReferenceUID", source.common.FrameOfReferenceUID) == source.common.FrameOfReferenceUID
        assert (one.PatientID, str(one.PatientName)) == (PATIENT_ID, NAME)
    assert len({one.SOPInstanceUID for one in made}) == len({one.SeriesInstanceUID for one in made}) == len(made)


def test_slices_along_another_axis_of_the_array_stay_in_place(source, grid, tmp_path):
    # As NIfTI files and resampled volumes may have it: the same voxels, slices last and counted from the other end.
    turned = np.moveaxis(np.arange(np.prod(grid.shape), dtype=np.float32).reshape(grid.shape), 0, 2)[:, :, ::-1]
    i, j, k = np.reshape(grid.direction, (3, 3)).T
    spacing = (grid.spacing[2], grid.spacing[0], grid.spacing[1])
    origin = np.array(grid.origin) + (grid.shape[0] - 1) * grid.spacing[2] * k
    other = Volume(np.ascontiguousarray(turned), spacing, tuple(origin), tuple(np.stack([-k, i, j], 1).ravel()))
    path = saved(parametric_map(source, other, "ttp_s", other.voxels, SETTINGS), tmp_path)
    volume = highdicom.imread(path).get_volume()
    chosen = other.voxels % 997 == 0
    np.testing.assert_allclose(places(volume, volume.array % 997 == 0), grid_places(other, chosen), atol=2e-3)


def test_what_cannot_be_right_is_refused_in_one_sentence(source, grid):
    x, y, z = grid.origin
    masks = regions(grid)
    elsewhere = Volume(grid.voxels, grid.spacing, (x + 30.0, y, z), grid.direction)
    for fault, arguments in {
        "at least one mask": (source, grid, {}),
        "'lesion' is empty": (source, grid, {"lesion": np.zeros(grid.shape, bool)}),
        "'lesion' does not have the shape": (source, grid, {"lesion": masks["lesion"][1:]}),
        "does not lie where": (source, elsewhere, masks),
        "refer to DICOM images": (new_study(), grid, masks),
    }.items():
        with pytest.raises(CEKWorldError, match=fault):
            region_segmentation(*arguments)


def test_nothing_of_the_patient_reaches_screen_log_or_messages(exam, tmp_path, caplog, capfd, recwarn):
    caplog.set_level(logging.DEBUG)
    # A name without ^ is what highdicom complains of in its log, quoting it; it refuses such a sex, quoting it.
    for path in exam.iterdir():
        data = pydicom.dcmread(path)
        data.PatientName = "ZZPHI CANARY"
        data.save_as(tmp_path / path.name)
    grid, source = read_exam(tmp_path).pre, read_source(tmp_path)
    objects(source, grid, PROVENANCE)
    source.common.PatientSex = "ZZPHI"
    with pytest.raises(CEKWorldError) as refused:
        objects(source, grid, None)
    shown = [str(refused.value), caplog.text, *capfd.readouterr(), *(str(w.message) for w in recwarn)]
    assert not [text for text in shown if CANARY in text]
    assert refused.value.__cause__ is None and refused.value.__suppress_context__


def test_objects_on_exported_phases_name_the_scanner_and_not_this_software(source, exam, tmp_path):
    done = export_phases(synthesized(exam), source, PROVENANCE, tmp_path)
    phase = done.folder / "phase_003"
    made = region_segmentation(read_source(phase), read_exam(phase).pre, regions(read_exam(phase).pre), PROVENANCE)
    synthesizer, scanner = made.ContributingEquipmentSequence
    assert (synthesizer.Manufacturer, scanner.Manufacturer) == ("CEKWorld project", "Scanner maker")


def test_anonymous_objects_on_exported_phases_name_the_scanner_and_not_its_place(source, exam, tmp_path):
    phase = export_phases(synthesized(exam), source, PROVENANCE, tmp_path).folder / "phase_003"
    grid = read_exam(phase).pre
    made = region_segmentation(anonymized(read_source(phase)), grid, regions(grid), PROVENANCE)
    assert made.ContributingEquipmentSequence[1].Manufacturer == "Scanner maker"
    assert CANARY not in str(made)


def test_objects_on_exported_phases_of_an_unknown_scanner_name_none(exam, tmp_path):
    phase = export_phases(synthesized(exam), new_study(), PROVENANCE, tmp_path).folder / "phase_003"
    grid = read_exam(phase).pre
    made = region_segmentation(read_source(phase), grid, regions(grid), PROVENANCE)
    assert [item.Manufacturer for item in made.ContributingEquipmentSequence] == ["CEKWorld project"]
