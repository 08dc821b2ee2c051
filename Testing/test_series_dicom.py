"""DICOM time series: each vendor's way to tell the time, phases in order, and nothing guessed."""

from __future__ import annotations

import datetime

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_series_writer import CANARY, STUDY, clock, frames_of, item, write_classic, write_enhanced

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.dicom_clock import across_midnight, between, date_time, day, time_of_day
from CEKWorldLib.exam.phase_times import UnknownTimesError
from CEKWorldLib.exam.series_reading import read_series

TIMES_S = np.array([0.0, 62.5, 95.25, 210.0])
FRAMES = frames_of(4)
NINE = 9 * 3600.0


def refusal(path, error=CEKWorldError, **how):
    with pytest.raises(error) as caught:
        read_series(path, **how)
    message = str(caught.value)
    assert CANARY not in message and "\n" not in message and len(message) < 500
    return message


def at(start, tag="time"):
    """Values of a TM or DT tag over the phases, seconds after midnight of 29 February 2024."""
    date = "20240229" if tag == "datetime" else ""
    return lambda phase, _k: date + clock(start + TIMES_S[phase])


# How the times of four phases are written by: Siemens; a scanner with AcquisitionDateTime; GE (AcquisitionTime stays,
# all images are reconstructed within seconds); Philips (one AcquisitionTime, numbered positions); an older GE.
VENDORS = {
    "AcquisitionTime": {"AcquisitionTime": at(NINE), "ContentTime": at(NINE + 20)},
    "AcquisitionDateTime": {"AcquisitionDateTime": at(NINE, "datetime"), "AcquisitionTime": clock(NINE)},
    "TriggerTime": {
        "TriggerTime": lambda phase, _k: 1000 * TIMES_S[phase],
        "AcquisitionTime": clock(NINE),
        "ContentTime": lambda phase, _k: clock(NINE + 400 + phase),
        "TemporalPositionIdentifier": lambda phase, _k: phase + 1,
    },
    "ContentTime": {"AcquisitionTime": clock(NINE), "ContentTime": at(NINE)},
}


@pytest.mark.parametrize("source", VENDORS)
@pytest.mark.parametrize("series", [lambda _phase: 5, lambda phase: 9 + phase], ids=["one series", "series per phase"])
def test_each_vendors_times_are_found_and_named(tmp_path, source, series):
    write_classic(tmp_path, FRAMES, series, **VENDORS[source])
    read = read_series(tmp_path)
    assert np.array_equal(read.frames, FRAMES) and read.frames.dtype == np.float32
    assert read.times_s == pytest.approx(TIMES_S, abs=1e-6)
    assert read.time_sources == (source,) * 4
    assert read.series_numbers == tuple(str(series(phase)) for phase in range(4))
    assert read.zero_source == "" and any("injection" in note for note in read.notes)
    assert read.grid.spacing == (0.75, 1.5, 2.5) and read.grid.origin == (-12.0, -20.0, 30.0)
    assert read.acquisition.flip_angle_deg == 12 and not read.synthetic


@pytest.mark.parametrize("resolution", [45_000, 45, 45_000_000])
def test_positions_times_resolution_in_ms_s_or_us_with_a_note(tmp_path, resolution):
    tags = {"TemporalPositionIdentifier": lambda phase, _k: phase + 1, "TemporalResolution": resolution}
    write_classic(tmp_path, FRAMES, **tags)
    read = read_series(tmp_path)
    assert read.times_s.tolist() == [0, 45, 90, 135]
    assert read.time_sources[0] == "TemporalPositionIdentifier x TemporalResolution"
    assert any("TemporalResolution of 45 s" in note for note in read.notes)


@pytest.mark.parametrize(
    ("source", "groups"),
    [
        ("TemporalPositionTimeOffset", lambda p: {"TemporalPositionSequence": item(
            TemporalPositionTimeOffset=float(TIMES_S[p]))}),
        ("FrameReferenceDateTime", lambda p: {"FrameContentSequence": item(
            FrameReferenceDateTime="20240229" + clock(NINE + TIMES_S[p]), TemporalPositionIndex=p + 1)}),
        ("FrameAcquisitionDateTime", lambda p: {"FrameContentSequence": item(
            FrameReferenceDateTime="20240229080000", FrameAcquisitionDateTime="20240229" + clock(NINE + TIMES_S[p]))}),
    ],
)  # fmt: skip
def test_enhanced_mr_tells_the_time_of_each_frame(tmp_path, source, groups):
    write_enhanced(tmp_path / "all.dcm", FRAMES, groups)
    for path in (tmp_path, tmp_path / "all.dcm"):
        read = read_series(path)
        assert np.array_equal(read.frames, FRAMES)
        assert read.times_s == pytest.approx(TIMES_S, abs=1e-6) and read.time_sources == (source,) * 4


def test_a_series_that_passes_midnight_runs_on_with_and_without_dates(tmp_path):
    start = 86_400 - 70.0
    same_day = {"AcquisitionDate": "20240229", "AcquisitionTime": at(start)}
    next_day = same_day | {"AcquisitionDate": lambda phase, _k: "20240229" if phase < 2 else "20240301"}
    bolus = {"ContrastBolusStartTime": clock(start + 80)}
    for name, tags in {"none": {"AcquisitionTime": at(start)}, "same": same_day, "next": next_day}.items():
        write_classic(tmp_path / name, FRAMES, **tags, **bolus)
        read = read_series(tmp_path / name)
        assert np.array_equal(read.frames, FRAMES)
        assert read.times_s == pytest.approx(TIMES_S - 80, abs=1e-6), name


@pytest.mark.parametrize("series", [lambda _phase: 5, lambda phase: 9 + phase], ids=["one series", "series per phase"])
def test_time_zero_is_the_start_of_the_bolus_also_where_only_later_phases_name_it(tmp_path, series):
    bolus = {"ContrastBolusStartTime": lambda phase, _k: clock(NINE + 30) if phase else None}
    write_classic(tmp_path, FRAMES, series, **VENDORS["AcquisitionTime"], **bolus)
    read = read_series(tmp_path)
    assert read.times_s == pytest.approx(TIMES_S - 30) and read.zero_source == "ContrastBolusStartTime"
    assert read.notes == ()
    assert read_series(tmp_path, injection_s=10).times_s == pytest.approx(TIMES_S - 10)


def test_enhanced_mr_names_the_bolus_in_its_administration_profile(tmp_path):
    path = tmp_path / "all.dcm"
    write_enhanced(path, FRAMES, lambda p: {
        "FrameContentSequence": item(FrameReferenceDateTime="20240229" + clock(NINE + TIMES_S[p]))})  # fmt: skip
    data = pydicom.dcmread(path)
    profile = item(ContrastBolusStartTime=clock(NINE + 12.5))
    data.ContrastBolusAgentSequence = [item(ContrastAdministrationProfileSequence=[profile])]
    data.save_as(path)
    assert read_series(path).times_s == pytest.approx(TIMES_S - 12.5)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        (VENDORS["TriggerTime"] | {"ContrastBolusStartTime": clock(NINE)}, "cannot be compared with TriggerTime"),
        (VENDORS["AcquisitionTime"] | {"ContrastBolusStartTime": clock(NINE - 7200)}, "120 minutes"),
        (VENDORS["AcquisitionTime"] | {"ContrastBolusStartTime": lambda p, _k: clock(NINE + p)}, "several"),
    ],
)
def test_a_bolus_time_that_cannot_be_believed_leaves_time_zero_open(tmp_path, tags, words):
    write_classic(tmp_path, FRAMES, **tags)
    read = read_series(tmp_path)
    assert read.times_s[0] == 0 and read.zero_source == ""
    assert any(words in note for note in read.notes)


BRUKER = {"AcquisitionTime": clock(NINE), "AcquisitionNumber": lambda phase, _k: phase + 1}


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        (BRUKER, "AcquisitionTime does not rise"),
        ({"TriggerTime": lambda phase, _k: 200 * phase}, "TriggerTime spans only 0.6 s"),
        ({"ContentTime": lambda phase, _k: clock(NINE + 2 * phase)}, "ContentTime spans only 6 s"),
        ({"AcquisitionTime": lambda phase, _k: clock(NINE + 60 * phase) if phase != 2 else None}, "missing in some"),
        ({}, "no time or interval"),
    ],
)
def test_times_nobody_wrote_are_asked_for_and_never_guessed(tmp_path, tags, words):
    write_classic(tmp_path, FRAMES, **tags)
    assert words in refusal(tmp_path, UnknownTimesError)
    with pytest.raises(UnknownTimesError) as caught:
        read_series(tmp_path, injection_s=30)
    assert np.isnan(caught.value.times.times_s).all() and caught.value.series_numbers == ("5",) * 4
    read = read_series(tmp_path, times_s=[-60, 30, 90, 150])
    assert read.times_s.tolist() == [-60, 30, 90, 150] and read.time_sources == ("given",) * 4
    assert np.array_equal(read.frames, FRAMES)


def test_sources_that_disagree_are_named(tmp_path):
    write_classic(tmp_path, FRAMES, AcquisitionTime=at(NINE), TriggerTime=lambda phase, _k: 20_000 * phase)
    notes = read_series(tmp_path).notes
    assert any("TriggerTime disagrees with AcquisitionTime" in note and "60 s" in note for note in notes)


def test_slices_with_times_of_their_own_form_phases_that_start_with_the_first(tmp_path):
    write_classic(tmp_path, FRAMES, AcquisitionTime=lambda phase, k: clock(NINE + TIMES_S[phase] + 2.0 * ((k + 1) % 3)))
    read = read_series(tmp_path)
    assert np.array_equal(read.frames, FRAMES) and read.times_s == pytest.approx(TIMES_S)
    assert any("differ by up to 4.0 s" in note for note in read.notes)


def test_every_phase_is_rescaled_by_its_own_slope(tmp_path):
    write_classic(tmp_path, FRAMES, AcquisitionTime=at(NINE), RescaleSlope=lambda phase, _k: 0.5 * (phase + 1))
    expected = FRAMES * (0.5 * np.arange(1, 5))[:, None, None, None]
    assert np.allclose(read_series(tmp_path).frames, expected)


def test_a_pre_contrast_series_joins_the_series_of_later_phases(tmp_path):
    write_classic(tmp_path, FRAMES, lambda phase: 20 if phase == 0 else 8, **VENDORS["AcquisitionTime"])
    read = read_series(tmp_path)
    assert np.array_equal(read.frames, FRAMES) and read.series_numbers == ("20", "8", "8", "8")


def test_scouts_subtractions_and_other_flip_angles_beside_the_series_are_left_out_with_a_note(tmp_path):
    write_classic(tmp_path, FRAMES, AcquisitionTime=at(NINE))
    scout = {"ImageOrientationPatient": lambda _p, k: [1, 0, 0, 0, 1, 0] if k else [0, 1, 0, 0, 0, -1]}
    write_classic(tmp_path, FRAMES[:1], lambda _p: 1, "scout", **scout)
    write_classic(tmp_path, FRAMES[:1], lambda _p: 2, "fa", FlipAngle=5, AcquisitionTime=clock(NINE - 60))
    subtraction = {"ImageType": ["DERIVED", "PRIMARY", "M", "SUB"], "AcquisitionTime": at(NINE)}
    write_classic(tmp_path, FRAMES, lambda _p: 3, "sub", **subtraction)
    write_classic(tmp_path, FRAMES[:1], lambda _p: 4, "ct", Modality="CT")
    read = read_series(tmp_path)
    assert np.array_equal(read.frames, FRAMES)
    left_out = [note for note in read.notes if "left out" in note]
    assert [note.split(" was")[0] for note in left_out] == ["Series 1", "Series 2", "Series 3"]
    assert "orientations" in left_out[0] and "FlipAngle" in left_out[1] and "ImageType" in left_out[2]


def test_several_time_series_are_listed_and_one_is_chosen_by_number_or_uid(tmp_path):
    other = frames_of(2, seed=1)
    write_classic(tmp_path, FRAMES, AcquisitionTime=at(NINE))
    write_classic(tmp_path, other, lambda phase: 11 + phase, "b", AcquisitionTime=at(NINE), FlipAngle=30)
    assert "choose the series 5 or 11,12" in refusal(tmp_path)
    for series in ("11,12", f"{STUDY}.11, {STUDY}.12"):
        assert np.array_equal(read_series(tmp_path, series=series).frames, other)
    assert np.array_equal(read_series(tmp_path, series=5).frames, FRAMES)
    assert "no series 99" in refusal(tmp_path, series=99)
    assert "one phase only" in refusal(tmp_path, series=11)
    assert "FlipAngle" in refusal(tmp_path, series="5,11")


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"EchoTime": lambda phase, _k: 1.2 * (phase + 1), "AcquisitionTime": at(NINE)}, "EchoTime"),
        ({"ImageType": lambda p, _k: ["ORIGINAL", "PRIMARY", "M", "WF"[p % 2]], "AcquisitionTime": at(NINE)},
         "ImageType"),
        ({"InstanceNumber": 1}, "nothing in their headers puts them in order"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "phase image"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"], "AcquisitionTime": at(NINE)}, "mosaic"),
    ],
)  # fmt: skip
def test_what_is_no_series_over_time_is_refused_naming_why(tmp_path, tags, words):
    write_classic(tmp_path, FRAMES, **tags)
    assert words in refusal(tmp_path)


def test_series_that_lie_elsewhere_are_no_phases_of_one_scan(tmp_path):
    moved = {"ImagePositionPatient": lambda phase, k: [-12.0 - phase, -20.0, 30.0 + 2.5 * k]}
    write_classic(tmp_path, FRAMES, lambda phase: 9 + phase, **VENDORS["AcquisitionTime"], **moved)
    assert "only single volumes (they differ in position or spacing)" in refusal(tmp_path)
    assert "position or spacing" in refusal(tmp_path, series="9,10")


def test_a_missing_slice_of_one_phase_is_refused_naming_its_place(tmp_path):
    files = write_classic(tmp_path, FRAMES, AcquisitionTime=at(NINE))
    files[2][1].unlink()
    message = refusal(tmp_path)
    assert "3 images of one slice" in message and "4 of others" in message and "_01.dcm" in message


def test_a_phase_in_a_series_of_its_own_that_lacks_a_slice_is_left_out_with_a_note(tmp_path):
    files = write_classic(tmp_path, FRAMES, lambda phase: 9 + phase, **VENDORS["AcquisitionTime"])
    files[1][2].unlink()
    read = read_series(tmp_path)
    assert read.series_numbers == ("9", "11", "12")
    assert "Series 10 was left out: it differs in matrix." in read.notes


def test_a_truncated_header_is_left_out_and_named(tmp_path):
    files = write_classic(tmp_path, frames_of(4, slices=1), AcquisitionTime=at(NINE))
    files[2][0].write_bytes(files[2][0].read_bytes()[:300])
    read = read_series(tmp_path)
    assert len(read.times_s) == 3 and any(files[2][0].name in note for note in read.notes)


def test_two_phases_of_the_same_time_are_refused(tmp_path):
    write_classic(tmp_path, FRAMES[:2], lambda phase: 9 + phase, AcquisitionTime=clock(NINE))
    assert "AcquisitionTime does not rise" in refusal(tmp_path, UnknownTimesError)


def synthetic_tags(times_s):
    """As CEKWorld marks synthesized phases: the exact time in words, the source's clock plus t in the time tags."""
    return {
        "SyntheticData": "YES",
        "ImageType": ["DERIVED", "SECONDARY", "OTHER"],
        "DerivationDescription": lambda p, _k: (
            f"SYNTHETIC: t={times_s[p]:+.3f} s after the start of the virtual "
            "injection; generated by CEKWorld 0.1.0; model=compact; seed=0; no contrast agent given"
        ),
        "AcquisitionDate": "20240229",
        "AcquisitionTime": lambda p, _k: clock(NINE + times_s[p]),
        "TemporalPositionIdentifier": lambda p, _k: p + 1,
        "AcquisitionNumber": lambda p, _k: p + 1,
    }


def test_synthesized_phases_read_back_with_their_times_and_mark_beside_their_source(tmp_path):
    times_s = (-30.0, 0.0, 45.5, 240.0)
    write_classic(tmp_path, FRAMES, lambda phase: 9001 + phase, **synthetic_tags(times_s))
    write_classic(tmp_path, FRAMES[:1], lambda _p: 3, "source", AcquisitionTime=clock(NINE))
    read = read_series(tmp_path)
    assert read.synthetic and np.array_equal(read.frames, FRAMES)
    assert read.times_s.tolist() == list(times_s)
    assert read.time_sources == ("DerivationDescription",) * 4 and read.zero_source == "DerivationDescription"
    assert "Series 3 was left out: it differs in SyntheticData." in read.notes


def test_acquired_and_synthetic_phases_are_never_mixed(tmp_path):
    write_classic(tmp_path, FRAMES[:2], lambda phase: 9001 + phase, **synthetic_tags((0.0, 60.0)))
    write_classic(tmp_path, FRAMES, lambda _p: 5, "real", AcquisitionTime=at(NINE))
    assert "several time series" in refusal(tmp_path)
    assert not read_series(tmp_path, series=5).synthetic
    assert read_series(tmp_path, series="9001,9002").synthetic
    assert "SyntheticData" in refusal(tmp_path, series="5,9001")


def test_progress_is_told_and_what_it_raises_ends_the_reading(tmp_path):
    write_classic(tmp_path, FRAMES, AcquisitionTime=at(NINE))
    told = []
    read_series(tmp_path, progress=lambda *report: told.append(report))
    assert {step for step, _, _ in told} == {"headers", "pixels"}
    assert [done for step, done, whole in told if step == "pixels"] == list(range(12))

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_series(tmp_path, progress=stop)


def test_frames_of_an_enhanced_file_are_told_one_by_one_and_what_that_raises_ends_the_reading(tmp_path):
    write_enhanced(
        tmp_path / "all.dcm", FRAMES, lambda phase: {"FrameContentSequence": item(TemporalPositionIndex=phase)}
    )
    frames = FRAMES.shape[0] * FRAMES.shape[1]

    class Cancelled(Exception):
        """Not to be taken for a damaged header."""

    def stop(step, done, whole):
        if (done, whole) == (5, frames):
            raise Cancelled(step)

    with pytest.raises(Cancelled, match="headers"):
        read_series(tmp_path, progress=stop)


def test_the_qiba_phantom_has_67_phases_five_seconds_apart(shared_data):
    read = read_series(shared_data / "dicom_qiba_dro_v4")
    assert read.frames.shape == (67, 1, 200, 60)
    assert read.times_s.tolist() == [5.0 * n for n in range(67)] and set(read.time_sources) == {"AcquisitionTime"}
    # The flip angles of its T1 map, studies of their own.
    assert "Series 10 was left out: it differs in StudyInstanceUID." in read.notes
    shifted = read_series(shared_data / "dicom_qiba_dro_v4" / "dcemri_testversion4_001.dcm", injection_s=60)
    assert shifted.times_s[0] == -60 and np.array_equal(shifted.frames, read.frames)


def test_four_siemens_enhanced_files_are_four_phases(shared_data):
    folder = shared_data / "dicom_enhanced_mr"
    read = read_series(folder)
    oracle = [sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"Siemens_XA10_6_{n}.dcm"))) for n in (1, 2, 3, 4)]
    assert np.array_equal(read.frames, np.array(oracle, np.float32))
    assert read.times_s == pytest.approx([0, 0.5, 1.0, 1.5]) and read.time_sources[0] == "FrameReferenceDateTime"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("09", 32400), ("0930", 34200), ("093015.25", 34215.25), ("09:30:15", 34215), (" 235960 ", 86400), ("", None),
     ("2500", None), ("0970", None), ("9", None), ("12h30", None), ("093015.1234567", None)],
)  # fmt: skip
def test_times_of_day_in_all_spellings(text, seconds):
    assert time_of_day(text) == (pytest.approx(seconds) if seconds is not None else pytest.approx(np.nan, nan_ok=True))


def test_dates_and_date_times():
    assert day("20240301") - day("20240228") == 2 * 86_400 and day("2024.03.01") == day("20240301")
    assert np.isnan([day("20241301"), day(""), day("2024"), date_time("20240229"), date_time("x")]).all()
    moment = datetime.datetime(2024, 3, 1, 0, 0, 5, 500_000) - datetime.datetime(2000, 1, 1)
    assert date_time("20240301000005.5") == pytest.approx(moment.total_seconds(), abs=1e-6)
    assert date_time("20240301000005.5+0100") == date_time("20240301000005.5")


def test_times_run_on_after_midnight_wherever_the_pause_is_longest():
    assert across_midnight(np.array([86_390.0, 5.0, 60.0])).tolist() == [86_390, 86_405, 86_460]
    assert across_midnight(np.array([60.0, 5.0])).tolist() == [60, 5]
    assert across_midnight(np.array([7.0])).tolist() == [7]
    assert np.isnan(across_midnight(np.array([np.nan, 1.0, 2.0]))[0])
    assert between(86_390, 10) == 20 and between(10, 86_390) == -20
