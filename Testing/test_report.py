"""The report: one page with everything, honest about its origin, silent about the patient."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_exam import synthesized, write_exam
from pydicom.uid import generate_uid

from CEKWorldLib.cli.main import USER_ERROR, main
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.reading import read_exam
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.export.region_picture import write_region_picture
from CEKWorldLib.export.report import write_report
from CEKWorldLib.export.seq_nrrd import write_sequence
from CEKWorldLib.kinetics.roi import RoiResult, roi_curves, with_uncertainty
from CEKWorldLib.kinetics.uncertainty import map_uncertainty

NASTY = '<script>alert(1)</script> & "lesion"'
VOID = {"meta", "img", "link", "br"}


class Page(HTMLParser):
    """Text, pictures, tables and every address of a page; refuses tags that do not match."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.cells: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data

    def value(self, label: str) -> str:
        return self.cells[self.cells.index(label) + 1]

    @property
    def pictures(self) -> list[np.ndarray]:
        data = [address.removeprefix("data:image/png;base64,") for address in self.addresses]
        return [matplotlib.image.imread(io.BytesIO(base64.b64decode(text)), format="png") for text in data]


@pytest.fixture(scope="module")
def series(tmp_path_factory) -> TimeSeries:
    folder = tmp_path_factory.mktemp("exam")
    write_exam(folder)
    return synthesized(folder)


def measured(series: TimeSeries, name: str = "lesion") -> list[RoiResult]:
    masks = {key: np.zeros(series.grid.shape, bool) for key in (name, "muscle")}
    masks[name][3, 10:14, 20:23] = True
    masks["muscle"][4:6, 12:20, 5:22] = True
    return roi_curves(series.frames, series.times_s, masks, voxel_mm3=float(np.prod(series.grid.spacing)))


@pytest.fixture(scope="module")
def page(series, tmp_path_factory) -> Page:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, replace(series, made_by={"model": "compact", "seed": "7"}), measured(series))
    return Page(path)


def test_the_page_needs_nothing_but_itself(page):
    assert page.addresses and all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert "script" not in page.tags and "link" not in page.tags


def test_one_picture_shows_the_curves_and_one_each_region(page):
    assert len(page.pictures) == 3
    for picture in page.pictures:
        assert picture.std() > 0.05  # something is drawn


def test_the_numbers_are_those_measured(page, series):
    lesion = measured(series)[0]
    assert page.value("Enhancement at t_e") == f"{float(lesion.statistics.percent_enhancement):.4g} %"
    assert page.value("Time to peak after injection") == f"{float(lesion.statistics.ttp_s):.4g} s"
    assert page.value("Delayed phase") == lesion.curve_type.name.lower()
    assert page.value("Voxels above the gate").startswith(f"{lesion.enhancing_voxels}: ")
    assert page.value("240") == f"{lesion.signal[-1]:.4g}"  # the table of curve values
    assert (page.value("Model"), page.value("Seed")) == ("compact", "7")


def test_the_definitions_that_decide_the_class_are_stated(page, series):
    assert measured(series)[0].settings.description() in page.text
    assert (page.value("definition"), page.value("reference"), page.value("band_percent")) == ("signal", "t_e", "10.0")


def test_where_nothing_tells_the_injection_no_time_is_said_to_count_from_it(page, series, tmp_path):
    assert "s after the start of the injection" in page.text
    path = tmp_path / "report.html"
    write_report(path, series, [replace(result, from_injection=False) for result in measured(series)])
    unknown = Page(path)
    assert unknown.value("Phases").endswith("s after the first phase")
    assert "Time to peak after the first phase" in unknown.cells
    assert "times count from the first phase" in unknown.text and "injection" not in unknown.text


@pytest.mark.parametrize("synthetic", [True, False])
def test_the_origin_stands_in_title_header_and_footer_and_never_the_other(synthetic, series, tmp_path):
    path = tmp_path / "report.html"
    write_report(path, replace(series, synthetic=synthetic), measured(series))
    page, word, other = Page(path), *(("SYNTHETIC", "ACQUIRED") if synthetic else ("ACQUIRED", "SYNTHETIC"))
    assert page.text.count(word) == 3 and other not in page.text
    assert "not for diagnosis or treatment" in " ".join(page.text.split())


def test_names_of_regions_notes_and_facts_are_text_never_markup(series, tmp_path):
    path = tmp_path / "report.html"
    write_report(path, replace(series, notes=(NASTY,)), measured(series, NASTY), {NASTY: NASTY})
    page = Page(path)
    assert "script" not in page.tags
    assert page.text.count(NASTY) >= 5


def test_a_curve_that_cannot_be_judged_is_reported_as_such(series, tmp_path):
    falling = replace(series, frames=np.stack([series.frames[0] * f for f in (1, 1, 0.8, 0.7)]).astype(np.float32))
    path = tmp_path / "report.html"
    write_report(path, falling, measured(falling))
    page = Page(path)
    assert page.value("Delayed phase") == "not evaluable" and page.value("Voxels above the gate") == "none"
    assert "not evaluable" in page.text


def test_the_picture_shows_each_phase_in_one_window(series, tmp_path):
    """More signal at t_e alone must brighten that cell alone."""
    result = measured(series)[0]
    brighter = series.frames.copy()
    brighter[2] *= 1.5
    pictures = []
    for name, frames in (("a", series.frames), ("b", brighter)):
        write_region_picture(tmp_path / f"{name}.png", replace(series, frames=frames), result)
        picture = matplotlib.image.imread(tmp_path / f"{name}.png")[..., :3].mean(-1)
        height, width = picture.shape
        cells = picture[height // 4 : height * 3 // 4, : width // 5 * 5].reshape(-1, 5, width // 5)
        pictures.append(cells.mean(axis=(0, 2)))
    _, before, early, late, _ = pictures[1] / pictures[0]
    assert early > 1.1 * before and early > 1.1 * late


def test_the_command_writes_the_page_from_a_sequence_and_a_mask(series, tmp_path, capsys):
    sequence, mask, page = tmp_path / "phases.seq.nrrd", tmp_path / "lesion.nrrd", tmp_path / "report.html"
    facts = {"CEKWorld.Synthetic": "1", "CEKWorld.model": "compact", "CEKWorld.seed": "7"}
    write_sequence(sequence, series.grid, series.times_s, list(series.frames), facts)
    labels = np.zeros(series.grid.shape, np.float32)
    labels[3, 10:14, 20:23] = 1
    sitk.WriteImage(series.grid.like(labels).to_image(), str(mask))
    command = ["report", str(sequence), "--roi", str(mask), "--title", "study 17", "--output", str(page)]
    assert main(command) == 0
    read = Page(page)
    assert read.value("Title") == "study 17" and read.value("Model") == "compact"
    assert "SYNTHETIC" in read.text and "lesion" in read.text
    before = page.read_bytes()
    assert main(command) == USER_ERROR and "--overwrite" in capsys.readouterr().err
    assert page.read_bytes() == before
    assert main([*command[:-1], str(tmp_path / "report.pdf")]) == USER_ERROR


def test_samples_give_the_share_of_each_type_and_the_spread_of_each_number(series, tmp_path):
    rng = np.random.default_rng(5)
    samples = [series.frames * rng.uniform(0.9, 1.1, series.frames.shape) for _ in range(4)]
    results = with_uncertainty(measured(series), samples, series.times_s)
    spread = map_uncertainty(samples, series.times_s, names=("percent_enhancement",))
    write_report(tmp_path / "report.html", series, results, spread=spread)
    page, lesion = Page(tmp_path / "report.html"), results[0].uncertainty
    kind, share = max(lesion.type_shares.items(), key=lambda item: item[1])
    assert f"{kind.name.lower()} in {share:.0f} %" in page.value("Delayed phase")
    assert page.value("Delayed phase").endswith("of 4 samples")
    assert len(page.pictures) == 5 and page.pictures[2].std() > 0.05  # the curves, and two of each region
    assert f"sd {lesion.sd['peak_enhancement']:.4g} %" in page.value("Peak enhancement")


def test_the_command_takes_samples(series, tmp_path):
    facts = {"CEKWorld.Synthetic": "1"}
    for name, gain in (("a", 1.0), ("b", 1.1)):
        frames = [series.frames[0], *(frame * gain for frame in series.frames[1:])]
        write_sequence(tmp_path / f"{name}.seq.nrrd", series.grid, series.times_s, frames, facts)
    labels = np.zeros(series.grid.shape, np.float32)
    labels[3, 10:14, 20:23] = 1
    sitk.WriteImage(series.grid.like(labels).to_image(), str(tmp_path / "lesion.nrrd"))
    command = ["report", str(tmp_path / "a.seq.nrrd"), "--sample", str(tmp_path / "b.seq.nrrd")]
    command += ["--roi", str(tmp_path / "lesion.nrrd"), "--output", str(tmp_path / "report.html")]
    assert main(command) == 0
    assert Page(tmp_path / "report.html").value("Delayed phase").endswith("of 2 samples")


def test_the_patient_is_not_named_in_page_screen_or_messages(tmp_path, capfd, recwarn):
    """An acquired series of a patient whose name must not get about."""
    write_exam(tmp_path / "pre")
    acquired = tmp_path / "acquired"
    acquired.mkdir()
    for phase, (clock, gain) in enumerate((("120000", 1.0), ("120100", 2.2), ("120200", 2.0), ("120600", 1.6))):
        series_uid = generate_uid()
        for file in (tmp_path / "pre").iterdir():
            data = pydicom.dcmread(file)
            data.SOPInstanceUID, data.SeriesInstanceUID, data.SeriesNumber = generate_uid(), series_uid, 10 + phase
            data.AcquisitionTime, data.ContrastBolusStartTime = clock, "120000"
            data.PixelData = (data.pixel_array * gain).astype(np.uint16).tobytes()
            data.save_as(acquired / f"{phase}{file.name}", enforce_file_format=True)
    grid = read_exam(tmp_path / "pre").pre
    labels = np.zeros(grid.shape, np.float32)
    labels[3, 10:14, 20:23] = 1
    sitk.WriteImage(grid.like(labels).to_image(), str(tmp_path / "lesion.nrrd"))
    page = tmp_path / "report.html"
    assert main(["report", str(acquired), "--roi", str(tmp_path / "lesion.nrrd"), "--output", str(page)]) == 0
    read = Page(page)
    assert "ACQUIRED" in read.text and read.value("Delayed phase") == "washout"
    shown = [page.read_text(encoding="utf-8"), *capfd.readouterr(), *(str(w.message) for w in recwarn)]
    assert not [text for text in shown if "ZZPHI" in text]


def test_a_full_disk_leaves_no_page(series, tmp_path, monkeypatch):
    path = tmp_path / "report.html"

    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    results = measured(series)
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(CEKWorldError, match="No space left"):
        write_report(path, series, results)
    assert list(tmp_path.iterdir()) == []
