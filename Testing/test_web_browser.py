"""The viewer in a real headless Chromium: what a user does, and what must not happen meanwhile."""

from __future__ import annotations

import csv
import io
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from web_page import PATIENCE_S, TIMES, Session

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("trame_slicer", reason="trame-slicer is not installed")

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.web.bench import TOLERANCE_S, add_bench, drag, opened_page, wait_for_exam, write_brightening
from CEKWorldLib.web.running import RunningViewer, running_browser, running_viewer

ROOT = Path(__file__).resolve().parents[1]
SLICES = slice(2, 5)  # of the sample exam, through its lesion

VIEWPORT = {"width": 1600, "height": 900}
# Where the orange caption at the upper edge of the sagittal view begins and ends, and the width of the view.
CAPTION = """() => {
    const canvas = document.querySelector("canvas[data-view=Sagittal]");
    const copy = new OffscreenCanvas(canvas.width, 30).getContext("2d");
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, 30);
    const orange = [];
    for (let i = 0; i < data.length; i += 4) if (data[i] - data[i + 2] > 80) orange.push((i / 4) % canvas.width);
    return [Math.min(...orange), Math.max(...orange), canvas.width];
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        with running_browser() as browser:
            yield browser
    except CEKWorldError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def exam_file(tmp_path_factory) -> Path:
    """Three slices of the sample exam: the shipped model synthesizes them in seconds."""
    image = sitk.ReadImage(str(ROOT / "Resources" / "sample" / "breast" / "pre.nrrd"))
    path = tmp_path_factory.mktemp("exam") / "pre.nrrd"
    sitk.WriteImage(image[:, :, SLICES], str(path))
    return path


@pytest.fixture(scope="module")
def viewer(exam_file, browser) -> Iterator[RunningViewer]:
    with running_viewer([str(exam_file)]) as viewer:
        yield viewer


@pytest.fixture(scope="module")
def session(viewer, browser) -> Session:
    """The page that the tests go through in the order of this file; the first has its exam synthesized."""
    return Session(opened_page(browser, viewer.address, PATIENCE_S))


def test_arrow_keys_leave_the_time_of_a_volume_without_phases(session):
    session.page.keyboard.press("ArrowRight")
    session.page.wait_for_timeout(300)
    assert session.get("time_s") == 0 and session.page.locator(".mark").inner_text() == "acquired"


def test_a_synthesis_with_the_shipped_model_shows_its_times_and_says_that_it_is_synthetic(session):
    session.page.wait_for_timeout(1000)
    pre = session.picture()
    session.set(preset="list", times_text=TIMES)
    session.page.click(".synthesize")
    session.wait(lambda: session.get("live") and session.get("progress_percent") > 0, "the first slice")
    session.page.wait_for_timeout(1000)
    if session.get("live"):  # not where all slices are there within a second
        assert session.page.locator(".mark").inner_text() == "in progress" and session.picture() != pre
    session.wait(lambda: not session.get("busy"), "the synthesis")
    assert session.get("times_s") == [0, 20, 80, 160, 240, 320, 400]
    assert session.page.locator(".time-tick").count() == 7
    assert session.page.locator(".time-unit").text_content() == "seconds after injection start"
    assert session.get("model").startswith("compact")
    assert "synthetic" in session.page.locator(".banner").inner_text()
    assert "SYNTHETIC" in session.page.locator(".panel-right").inner_text()


def test_dragging_to_another_time_changes_the_pixels_and_marks_what_is_interpolated(session):
    session.show(0.0)
    session.page.wait_for_timeout(500)
    before = session.picture()
    session.show(100.0)
    session.page.wait_for_timeout(500)
    assert session.picture() != before
    assert session.page.locator(".mark").inner_text() == "interpolated"
    assert session.page.locator(".time-clock").inner_text() == "01:40"
    session.show(80.0)
    session.wait(lambda: session.page.locator(".mark").inner_text() == "synthesized", "the mark")


def test_keys_step_through_phases_and_seconds_and_play(session):
    session.show(80.0)
    for key, expected in (("Shift+ArrowRight", 160), ("Shift+ArrowLeft", 80), ("ArrowRight", 81), ("ArrowLeft", 80)):
        session.page.keyboard.press(key)
        session.wait(lambda expected=expected: session.get("time_s") == expected, key)
    session.page.keyboard.press(" ")
    session.wait(lambda: session.get("time_s") > 85, "playing")
    session.page.keyboard.press(" ")
    session.wait(lambda: not session.get("playing"), "the pause")


def test_a_key_pressed_at_a_control_is_for_the_control(session):
    session.show(80.0)
    session.page.keyboard.press("Tab")
    session.page.get_by_role("button", name="Subtraction").focus()
    for expected in (True, False):
        session.page.keyboard.press(" ")
        session.wait(lambda expected=expected: session.get("subtracted") is expected, "subtraction")
    assert not session.get("playing")
    session.page.locator(".view-slider").first.focus()
    session.page.keyboard.press("ArrowRight")
    session.page.wait_for_timeout(300)
    assert session.get("time_s") == 80


def test_a_menu_that_is_open_takes_the_keys(session):
    session.page.locator(".speed").focus()
    menu = session.page.locator(".v-overlay--active .v-list")
    session.page.keyboard.press("Enter")
    session.wait(lambda: menu.count() == 1, "the menu")
    session.press("ArrowDown", lambda: session.page.evaluate("document.activeElement.matches('.v-list-item')"))
    session.page.keyboard.press("Home")
    session.page.keyboard.press(" ")
    session.wait(lambda: session.get("speed") == 1, "the first speed")
    assert not session.get("playing")
    session.wait(lambda: menu.count() == 0, "the end of the menu")
    session.page.wait_for_timeout(800)  # it fades out, and takes no key meanwhile
    session.page.locator(".speed").focus()
    session.page.wait_for_timeout(300)
    session.page.keyboard.press("Enter")
    session.wait(lambda: menu.count() == 1, "the menu again")
    session.press("Escape", lambda: menu.count() == 0)
    session.set(speed=20)


def test_a_small_window_has_room_for_the_slider_and_does_not_cut_the_caption_off(session):
    session.show(100.0)
    with session.sized(1024, 600):
        session.page.wait_for_timeout(2000)
        slider, bar = (session.page.locator(name).bounding_box() for name in (".time-slider", ".time-bar"))
        left, right, width = session.page.evaluate(CAPTION)
    assert slider["width"] > 0.8 * bar["width"]
    assert 3 < left < right < width - 3


def test_a_page_magnified_threefold_shows_the_images_in_full_width_and_the_panels_by_scrolling(session):
    page = session.page
    with session.sized(640, 360):
        page.wait_for_function(
            "[...document.querySelectorAll('.view')].filter(view => view.offsetWidth > 200).length == 3"
        )
        stage = page.locator(".stage").bounding_box()
        # The head above wraps into as many lines as the machine's fonts need.
        assert stage["width"] == 640 and stage["y"] < 120
        page.locator(".panel-right h2").first.scroll_into_view_if_needed()
        panel = page.locator(".panel-right").bounding_box()
        assert panel["width"] > 600 and panel["y"] < 360
        page.evaluate("scrollTo(0, 0)")


def test_a_painted_region_and_a_box_get_curves_and_classes_that_follow_the_drawing(session):
    session.show(80.0)
    session.page.click(".tool-brush")
    session.wait(lambda: session.get("region"), "a region to paint")
    session.stroke([(0.45, 0.62), (0.50, 0.62)])
    session.wait(lambda: len(session.classes()) == 1 and session.classes()[0], "the class of the painted region")
    painted = session.get("regions")[0]["voxels"]
    session.stroke([(0.45, 0.66), (0.52, 0.66)])
    session.wait(lambda: session.get("regions")[0]["voxels"] > painted, "a larger region")
    session.page.click(".tool-box")
    session.wait(lambda: session.get("tool") == "box", "the box tool")
    session.stroke([(0.30, 0.60), (0.38, 0.66)])
    session.wait(lambda: len(session.classes()) == 2 and session.classes()[1], "the class of the box")
    session.wait(lambda: session.get("tool") == "none", "the end of the box tool")
    assert session.page.locator(".region .chip").first.inner_text() in (
        "I persistent", "II plateau", "III washout", "not evaluable",
    )  # fmt: skip
    curves = [trace for trace in session.get("figure")["data"] if trace["mode"] == "lines+markers"]
    assert len(curves) == 2 and all(trace["x"] == session.get("times_s") for trace in curves)
    assert session.page.locator(".plot .scatterlayer .trace").count() == 2


def test_a_region_is_chosen_with_the_keyboard(session):
    painted, box = (one["id"] for one in session.get("regions"))
    session.page.keyboard.press("Tab")
    for id, key in ((painted, "Enter"), (box, " ")):
        name = next(one["name"] for one in session.get("regions") if one["id"] == id)
        session.page.get_by_role("button", name=name, exact=True).focus()
        session.page.keyboard.press(key)
        session.wait(lambda id=id: session.get("region") == id, f"the choice of {name}")
    assert session.page.get_by_role("button", name=name, pressed=True).count() == 1
    assert not session.get("playing")


def test_removing_a_region_does_not_choose_it(session):
    session.page.click(".tool-box")
    session.wait(lambda: session.get("tool") == "box", "the box tool")
    session.stroke([(0.55, 0.60), (0.62, 0.66)])
    session.wait(lambda: len(session.classes()) == 3 and session.get("tool") == "none", "a third region")
    session.page.locator(".region-name").first.click()
    kept = session.get("regions")[0]["id"]
    session.wait(lambda: session.get("region") == kept, "the choice of the first region")
    session.page.locator(".region .remove").last.click()
    session.wait(lambda: len(session.get("regions")) == 2, "two regions")
    assert session.get("region") == kept


def test_tables_dicom_and_sequence_come_as_downloads(session, tmp_path):
    saved = {}
    for name in ("curves.csv", "dicom.zip", "phases.seq.nrrd"):
        with session.page.expect_download(timeout=1000 * PATIENCE_S) as download:
            session.page.click(f".download-{name.split('.')[0]}")
        saved[name] = tmp_path / name
        download.value.save_as(saved[name])
        session.wait(lambda: not session.get("exporting"), "the end of the export")
    lines = saved["curves.csv"].read_text().splitlines()
    assert lines[0].startswith("# SYNTHETIC")
    rows = list(csv.reader(line for line in lines if not line.startswith("#")))
    assert [float(row[0]) for row in rows[1:]] == session.get("times_s")
    with zipfile.ZipFile(saved["dicom.zip"]) as archive:
        images = [name for name in archive.namelist() if name.endswith(".dcm")]
        first = pydicom.dcmread(io.BytesIO(archive.read(images[0])))
    assert len(images) == 3 * 7
    assert (first.SyntheticData, first.Modality) == ("YES", "MR")
    assert saved["phases.seq.nrrd"].read_bytes().startswith(b"NRRD")


def test_maps_subtraction_and_projection_change_the_picture_and_give_it_back(session):
    session.show(80.0)
    session.page.wait_for_timeout(1000)
    for name, on, off in (("overlay", "types", "none"), ("subtracted", True, False), ("projected", True, False)):
        before = session.picture()
        session.set(**{name: on})
        session.wait(lambda before=before: session.picture() != before, f"a picture with {name}")
        session.wait(lambda: not session.get("overlay_busy"), "the map")
        session.set(**{name: off})
        session.page.wait_for_timeout(1000)
    assert session.get("error") == ""


def test_the_3d_view_follows_the_slider_at_rest_and_turns_with_the_mouse(session):
    session.show(0.0)
    session.page.click(".layout-volume")
    view = session.page.locator(".layout-grid-item").nth(1)
    session.wait(lambda: session.page.locator("canvas[data-time]").count() == 2, "the slice and the 3-D view")
    session.page.wait_for_timeout(1500)
    before = view.screenshot()
    session.show(80.0)
    session.wait(lambda: view.screenshot() != before, "the other time")
    session.page.wait_for_timeout(1500)
    before = view.screenshot()
    session.stroke([(0.5, 0.5), (0.7, 0.6)], view=1)
    session.wait(lambda: view.screenshot() != before, "the view from elsewhere")
    coloured = session.page.evaluate(
        """() => { const small = new OffscreenCanvas(50, 50).getContext("2d");
                   small.drawImage(document.querySelector("canvas[data-view=Volume]"), 0, 0, 50, 50);
                   const rgba = small.getImageData(0, 0, 50, 50).data;
                   let n = 0;
                   for (let i = 0; i < rgba.length; i += 4) n += Math.abs(rgba[i] - rgba[i + 2]) > 60 ? 1 : 0;
                   return n / 2500; }"""
    )
    assert coloured < 0.1, "but for regions and the caption, images are grey"
    session.page.click(".layout-three")
    session.wait(lambda: session.page.locator("canvas[data-time]").count() == 3, "the slices")
    assert session.get("error") == ""


def test_reloading_the_page_keeps_exam_regions_and_time(session):
    session.show(160.0)
    classes = session.classes()
    session.page.reload()
    wait_for_exam(session.page)
    assert (session.get("time_s"), session.get("synthetic"), session.classes()) == (160, True, classes)
    session.show(240.0)


def test_a_page_whose_connection_broke_says_so_and_goes_on_by_itself(session):
    sockets = []
    session.page.route_web_socket("**/ws", lambda socket: sockets.append((socket, socket.connect_to_server())))
    session.page.reload()
    wait_for_exam(session.page)
    shown = session.get("times_s"), session.classes()
    session.page.evaluate("() => { window.isBeforeTheBreak = true; }")
    sockets[-1][0].close()
    assert "connection to the viewer is lost" in session.page.locator(".lost").inner_text()
    session.page.wait_for_function("() => !window.isBeforeTheBreak")
    wait_for_exam(session.page)
    assert (session.get("times_s"), session.classes()) == shown
    session.set(subtracted=True)
    session.wait(lambda: session.page.evaluate("window.trame.trigger('fit').then(() => true)"), "an answer")
    session.set(subtracted=False)


def test_several_samples_add_their_spread_to_curves_and_as_a_map(session):
    session.synthesize(samples=2)
    session.wait(lambda: session.get("samples_ready") == 2, "the second sample")
    spread = session.wait(lambda: session.get("regions")[0].get("spread"), "the spread")
    assert spread.endswith("of 2 samples")
    session.show(240.0)
    session.page.wait_for_timeout(1000)
    before = session.picture()
    session.set(overlay="uncertainty")
    session.wait(lambda: session.picture() != before, "a picture with the map")
    assert session.page.locator(".legend-scale").inner_text().endswith("%")
    session.set(overlay="none")
    session.wait(lambda: session.picture() == before, "the picture without it")
    assert session.get("error") == ""


def test_a_worker_killed_while_it_works_is_named_and_comes_back_and_what_was_shown_stays(session, viewer):
    shown = session.get("times_s")
    session.set(samples=1, seed=5, error="")
    session.page.click(".synthesize")
    session.wait(lambda: session.get("progress_percent") > 0, "progress")
    (worker,) = viewer.processes("CEKWorldLib.worker")
    worker.send_signal(signal.SIGKILL)
    session.wait(lambda: "ended unexpectedly" in session.get("error"), "the message")
    assert session.get("times_s") == shown and session.get("synthetic")
    session.synthesize(error="")
    assert session.get("error") == ""


def test_a_synthesis_can_be_cancelled_and_started_again(session):
    session.set(seed=6)
    session.page.click(".synthesize")
    session.wait(lambda: session.get("busy"), "the synthesis")
    session.page.click(".cancel")
    session.wait(lambda: not session.get("busy"), "the end")
    assert session.get("error") == ""


def test_another_session_sees_nothing_of_the_first_and_shows_an_uploaded_series_on_the_same_slider(
    session, viewer, browser, tmp_path
):
    other = Session(opened_page(browser, viewer.address, PATIENCE_S))
    assert (other.get("regions"), other.get("synthetic"), other.get("times_s")) == ([], False, [0])
    path = tmp_path / "brightening.seq.nrrd"
    write_brightening(path, (4, 64, 64))
    other.page.set_input_files(".upload-file", str(path))
    other.wait(lambda: other.get("title") == path.name, "the uploaded series")
    assert not other.get("synthetic") and not other.get("can_synthesize")
    assert session.get("title") == "pre.nrrd"

    add_bench(other.page)
    dragged = drag(other.page, moves=60)
    assert abs(other.page.evaluate("window.bench.time()") - 100.0) <= TOLERANCE_S
    shown = np.array([time_s for time_s, _ in dragged["lags"]])
    assert np.all(np.diff(shown) > -2 * TOLERANCE_S), "a later picture showed an earlier time"
    other.page.close()


def test_what_cannot_be_read_is_said_and_leaves_what_is_open(session, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no image")
    session.page.set_input_files(".upload-file", str(path))
    message = session.wait(lambda: session.get("error"), "the message")
    assert "notes.txt is not in a format CEKWorld reads" in message
    assert session.get("title") == "pre.nrrd" and session.get("synthetic")
