"""Files that the browser viewer gives: what cannot be written, is broken off or cancelled, and what is left of it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("aiohttp", reason="aiohttp is not installed")
pytest.importorskip("slicer", reason="slicer-core is not installed")

from aiohttp import ClientSession
from served_routes import Told, answered, served

from CEKWorldLib.dicom import phases
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.scene.provenance import Provenance
from CEKWorldLib.web.downloads import Downloads


def test_a_file_that_cannot_be_written_is_answered_with_the_reason(tmp_path):

    def gone():
        raise FileNotFoundError(2, "No such file or directory", "/session/upload-1/scan.nrrd")

    page = Told()
    downloads = Downloads(page, tmp_path, lambda: None, gone, lambda: [])  # type: ignore[arg-type]
    status, text = answered(downloads.routes(), "GET", "files/phases.seq.nrrd")
    assert status == 409 and "phases.seq.nrrd cannot be written (No such file or directory)" in text
    assert page.values == {"exporting": "", "error": text} and not list(tmp_path.iterdir())


def test_a_download_without_a_folder_to_write_it_in_is_answered_with_the_reason(tmp_path):

    page = Told()
    downloads = Downloads(page, tmp_path / "gone", lambda: None, lambda: None, lambda: [])  # type: ignore[arg-type, return-value]
    status, text = answered(downloads.routes(), "GET", "files/curves.csv")
    assert status == 409 and "curves.csv cannot be written (No such file or directory)" in text
    assert page.values == {"exporting": "", "error": text}


def test_a_download_that_the_browser_breaks_off_is_no_error(tmp_path, monkeypatch, caplog):

    page = Told()
    downloads = Downloads(page, tmp_path, lambda: None, lambda: None, lambda: [])  # type: ignore[arg-type, return-value]
    monkeypatch.setitem(downloads._files, "phases.seq.nrrd", lambda: lambda path: path.write_bytes(bytes(50_000_000)))

    async def break_off() -> None:
        async with served(downloads.routes()) as address:
            async with ClientSession() as client, client.get(f"{address}files/phases.seq.nrrd") as response:
                await response.content.read(1000)
                response.close()
            while page.values["exporting"]:
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(break_off(), 30))
    assert not list(tmp_path.iterdir()) and not caplog.records and "error" in page.values and not page.values["error"]


@pytest.mark.parametrize("name", ["phases.seq.nrrd", "dicom.zip"])
def test_a_cancel_stops_what_is_written_and_packed_and_leaves_nothing(tmp_path, monkeypatch, name):

    grid = Volume(np.random.default_rng(0).uniform(1, 999, (2, 8, 8)).astype(np.float32), (1.0, 1.0, 3.0))
    frames = np.stack([grid.voxels] * 3)
    series = TimeSeries(frames, np.arange(3.0), grid, True, time_sources=("synthesized",) * 3, zero_source="injection")
    exam = SimpleNamespace(exam=None, path=tmp_path / "pre.nrrd")
    exam.path.write_bytes(b"NRRD")
    made = Provenance("m", "5" * 64, 0)
    session = tmp_path / "session"
    session.mkdir()
    downloads = Downloads(Told(), session, lambda: exam, lambda: (series, made), lambda: [])  # type: ignore[arg-type]
    export = phases.export_phases

    def cancelled_then(*args, **options):
        exported = export(*args, **options)
        downloads.cancel()
        return exported

    monkeypatch.setattr(phases, "export_phases", cancelled_then)  # all images are there, none is packed
    if name == "phases.seq.nrrd":
        monkeypatch.setattr("CEKWorldLib.web.downloads.series_attributes", lambda _: downloads.cancel() or {})

    async def ask() -> int:
        async with served(downloads.routes()) as address, ClientSession() as client:
            downloads._loop = asyncio.get_running_loop()
            async with client.get(f"{address}files/{name}") as response:
                return response.status

    assert asyncio.run(ask()) == 204
    assert list(session.iterdir()) == [] and downloads._page.values == {"exporting": "", "error": ""}
