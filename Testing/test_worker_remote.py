"""A worker on another host, with real processes and sockets: what travels, who is let in, and what breaks."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal as signals
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import psutil
import pytest
import SimpleITK as sitk
from numpy_worker import COMMAND, DEADLY, SLOW, signal
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from worker_host import Department
from worker_viewer import Viewer, at_host

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.protocol import Acquisition
from CEKWorldLib.worker import bench
from CEKWorldLib.worker.command import HOST_VARIABLE, LOCAL, configured
from CEKWorldLib.worker.interface import Voxels, WorkerError
from CEKWorldLib.worker.messages import Failed, Geometry, Hello, Open, Prepare, ReadCurve, encode
from CEKWorldLib.worker.remote import access
from CEKWorldLib.worker.remote.service import RemoteService
from CEKWorldLib.worker.remote.wire import SESSION_HEADER, TOKEN_VARIABLE
from CEKWorldLib.worker.shared_folder import SharedFolder

SHAPE = (6, 72, 80)
TOKEN = "a token for the readers of this test"
CANARY = "Doe^Jane"


def volume(seed: int = 0, shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).uniform(1, 1000, shape).astype(np.float32)


def exam(seed: int = 0, shape=SHAPE) -> Voxels:
    return Voxels(volume(seed, shape), Geometry(shape, (0.7, 0.7, 3.0), (1.0, -2.0, 3.5)), Acquisition(5.0, 2.0, 12.0))


def wait_until(condition, patience_s: float = 60.0) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def department(tmp_path_factory):
    """A host with two seats."""
    with Department(tmp_path_factory.mktemp("host"), command=COMMAND, readers=2) as department:
        yield department


@pytest.fixture
def reader(department, tmp_path):
    """A reader who has an exam, at a host."""
    viewer = Viewer(tmp_path / "reader", "compact", at_host(department.url))
    viewer.prepare(exam())
    yield viewer
    viewer.close()
    assert list(viewer.temporary.iterdir()) == []


def failure(viewer: Viewer) -> WorkerError:
    """What a viewer that gets no model is told; nothing of it is left."""
    with pytest.raises(WorkerError) as caught:
        viewer.opened()
    assert viewer.client.status.state == "failed" and viewer.client.status.message == str(caught.value)
    viewer.close()
    assert len(viewer.transports) == 1 and list(viewer.temporary.iterdir()) == []
    return caught.value


# What travels


def test_frames_curves_and_geometry_are_those_of_a_local_worker(reader, tmp_path):
    local = Viewer(tmp_path / "local", "compact", COMMAND)
    mask = np.zeros(SHAPE, bool)
    mask[2:4, 10:20, 30:40] = True
    answers = []
    for viewer in (local, reader):
        prepared, seen = viewer.prepare(exam(3)), []
        viewer.synthesize(seed=2, on_progress=seen.append)
        curve = viewer.get(lambda viewer=viewer: viewer.client.curve(mask, (0.0, 45.0, 90.0)))
        frames = [viewer.frame(t).voxels.copy() for t in (0.0, 33.3, 120.0)]
        answers.append((prepared.geometry, prepared.warnings, curve.signal, [p.slices for p in seen], frames))
    local.close()
    np.testing.assert_array_equal(answers[0][-1], answers[1][-1])
    np.testing.assert_array_equal(answers[1][-1][1], signal(volume(3), 33.3, 2))
    assert answers[0][:-1] == answers[1][:-1]


def test_of_a_file_only_voxels_geometry_and_settings_leave_the_machine(reader, tmp_path, caplog):
    caplog.set_level("DEBUG")
    path = tmp_path / f"{CANARY}.nrrd"
    image = sitk.GetImageFromArray(volume())
    image.SetSpacing((0.5, 0.5, 2.0))
    image.SetMetaData("PatientName", CANARY)
    sitk.WriteImage(image, str(path))
    prepared = reader.prepare(path)
    told = reader.synthesize().metadata
    assert prepared.geometry == Geometry(SHAPE, (0.5, 0.5, 2.0))
    assert told["prepare"]["path"] is None and told["open"]["folder"] != str(reader.temporary)
    assert CANARY not in str(told) + caplog.text and str(tmp_path) not in str(told["prepare"])
    np.testing.assert_array_equal(reader.frame(0.0).voxels, volume())


def test_a_frame_of_many_pieces_is_whole(reader):
    shape = (32, 128, 128)  # 2 MB
    reader.prepare(exam(1, shape))
    reader.synthesize(seed=1)
    np.testing.assert_array_equal(reader.frame(60.0).voxels, signal(volume(1, shape), 60.0, 1))


def test_a_cancel_is_heard_over_the_network(reader):
    with pytest.raises(WorkerError) as caught:
        reader.synthesize(seed=SLOW, on_progress=lambda progress: reader.client.cancel())
    assert caught.value.kind == "cancelled"


def test_what_the_worker_refuses_arrives_as_its_sentence(reader):
    with pytest.raises(WorkerError, match="constant") as caught:
        reader.prepare(Voxels(np.zeros(SHAPE, np.float32), Geometry(SHAPE)))
    assert caught.value.kind == "input"
    reader.synthesize(seed=4)
    np.testing.assert_array_equal(reader.frame(10.0).voxels, signal(volume(), 10.0, 4))  # the exam before


# Who is let in


def test_two_readers_do_not_see_each_others_data(department, reader, tmp_path):
    other = Viewer(tmp_path / "other", "compact", at_host(department.url))
    told = []
    for seed, viewer in ((5, reader), (6, other)):
        viewer.prepare(exam(seed))
        told.append(viewer.synthesize(seed=1).metadata)
    for seed, viewer in ((5, reader), (6, other)):
        np.testing.assert_array_equal(viewer.frame(60.0).voxels, signal(volume(seed), 60.0, 1))
    folders = {telling["open"][what] for telling in told for what in ("folder", "cache")}
    assert len(folders) == 4 and told[0]["pid"] != told[1]["pid"]
    assert not told[1]["was_cached"]  # the same settings, and another reader's series
    refused = failure(Viewer(tmp_path / "third", "compact", at_host(department.url)))
    assert "serves 2 readers, as many as it can; try again later" in str(refused)
    other.close()


@pytest.mark.parametrize("shown", ["", "another token of that length, wrong"])
def test_without_the_right_token_nobody_is_served(tmp_path, monkeypatch, shown):
    with Department(tmp_path / "host", command=COMMAND, token=TOKEN) as department:
        monkeypatch.setenv(TOKEN_VARIABLE, shown)
        refused = failure(Viewer(tmp_path / "reader", "compact", at_host(department.url)))
        assert "does not accept the token" in str(refused) and TOKEN not in str(refused)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(department.url.replace("ws:", "http:"))
        assert department.workers() == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed (Debian: openssl)")
def test_with_the_token_images_travel_encrypted(tmp_path, monkeypatch):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "host.key", "-out", "host.pem"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    files = {"certificate": tmp_path / "host.pem", "key": tmp_path / "host.key"}
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    with Department(tmp_path / "host", command=COMMAND, token=TOKEN, **files) as department:
        assert department.url.startswith("wss://")
        assert "CERTIFICATE_VERIFY_FAILED" in str(
            failure(Viewer(tmp_path / "reader", "compact", at_host(department.url)))
        )
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "host.pem"))
        reader = Viewer(tmp_path / "reader", "compact", at_host(department.url))
        assert reader.prepare(exam()).geometry.shape == SHAPE
        reader.close()


def test_a_page_in_the_readers_browser_cannot_use_the_host(department):
    with pytest.raises(InvalidStatus, match="403"):
        connect(department.url, origin="https://page.example", additional_headers={SESSION_HEADER: "0" * 64})


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("0.0.0.0", "", None, None, False), "need a token"),
        (("0.0.0.0", "", None, None, True), "need a token"),
        (("gpu.example", TOKEN, None, None, False), "unencrypted"),
        (("127.0.0.1", "", Path(__file__), None, False), "cannot be used as a certificate"),
    ],
)
def test_a_host_that_would_give_images_away_does_not_start(settings, sentence):
    with pytest.raises(CEKWorldError, match=sentence):
        access.server_tls(*settings)
    assert access.server_tls("::1", "", None, None, False) is None


@pytest.mark.parametrize(
    ("url", "sentence"), [("ws://gpu.example:8471", "unencrypted"), ("gpu.example", "no GPU host's address")]
)
def test_a_reader_does_not_send_images_in_the_clear(tmp_path, url, sentence):
    assert sentence in str(failure(Viewer(tmp_path / "reader", "compact", at_host(url))))


def test_a_viewer_uses_a_host_only_where_the_environment_names_one(monkeypatch):
    monkeypatch.delenv(HOST_VARIABLE, raising=False)
    assert configured() == LOCAL
    monkeypatch.setenv(HOST_VARIABLE, "wss://gpu.example:8471")
    assert configured() == ("-m", "CEKWorldLib.worker.remote", "wss://gpu.example:8471")


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("hospital", "fewer than 16 characters"),
        ("Krankenhausschlüssel", "outside of ASCII"),
        (TOKEN + "\n", "white space"),
    ],
)
def test_a_token_that_can_be_guessed_or_that_no_header_carries_is_refused(monkeypatch, token, reason):
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    with pytest.raises(CEKWorldError, match=reason):
        access.token()


def test_a_model_that_is_not_offered_is_refused_with_those_that_are(department, tmp_path):
    refused = failure(Viewer(tmp_path / "reader", "/etc/secret", at_host(department.url)))
    assert "has no model 'secret'; choose compact" in str(refused)


def test_a_volume_over_the_limit_is_refused_and_the_reader_goes_on(tmp_path):
    with Department(tmp_path / "host", command=COMMAND, largest_exam_bytes=1 << 20) as department:
        reader = Viewer(tmp_path / "reader", "compact", at_host(department.url))
        with pytest.raises(WorkerError, match="has 2 MB, and the GPU host takes 1 MB at most") as caught:
            reader.prepare(exam(0, (32, 128, 128)))
        assert caught.value.kind == "input" and reader.prepare(exam()).geometry.shape == SHAPE
        reader.close()


def test_a_disk_that_fills_up_at_the_host_is_said_and_the_reader_goes_on(department, reader, monkeypatch):
    opened = Path.open

    def on_a_full_disk(path: Path, *mode: str):
        return opened(Path("/dev/full") if path.name == "incoming" else path, *mode)

    monkeypatch.setattr(Path, "open", on_a_full_disk)
    with pytest.raises(WorkerError, match="At the GPU host: .*No space left on device") as caught:
        reader.prepare(exam(1))
    monkeypatch.undo()
    assert caught.value.kind == "out_of_memory"
    assert reader.prepare(exam(1)).geometry.shape == SHAPE and len(reader.transports) == 1


def test_images_for_this_machine_do_not_go_through_a_proxy(department, tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    reader = Viewer(tmp_path / "reader", "compact", at_host(department.url))
    assert reader.prepare(exam()).geometry.shape == SHAPE
    reader.close()


def test_a_bug_at_the_reader_is_an_answer_too(tmp_path):
    service = RemoteService("ws://127.0.0.1:9", lambda event: None)
    service._folder = SharedFolder.create(tmp_path)
    answer = service.answer(ReadCurve(3, "mask-gone.u8", (0.0,)), lambda: False)
    assert isinstance(answer, Failed) and (answer.id, answer.kind) == (3, "internal")


def test_a_reader_with_a_client_of_his_own_gets_no_files_of_the_host(department):
    with connect(department.url, additional_headers={SESSION_HEADER: "5" * 64}) as connection:
        connection.send(encode(Open(1, "/", "compact", "cpu", "/")))
        connection.send(encode(Prepare(2, path="/etc/passwd")))
        replies = [connection.recv() for _ in range(3)]
    assert "takes voxels, not the names of files" in "".join(replies)


# What breaks


def test_a_lost_connection_costs_nothing_that_was_shown_or_finished(department, reader):
    first = reader.synthesize(seed=7).metadata
    shown = reader.frame(52.0)
    before = shown.voxels.copy()
    department.cut()
    reader.ended()
    assert reader.client.status.state == "restarting" and "connection lost" in reader.client.status.message
    assert reader.frame(52.0).slot == shown.slot  # at once
    np.testing.assert_array_equal(reader.frame(53.0).voxels, signal(volume(), 53.0, 7))
    np.testing.assert_array_equal(shown.voxels, before)
    again = reader.synthesize(seed=7).metadata
    assert reader.client.status.state == "ready" and again["pid"] != first["pid"] and again["was_cached"]
    wait_until(lambda: not psutil.pid_exists(first["pid"]))


def test_a_host_that_is_stopped_in_good_order_is_a_lost_connection_too(tmp_path):
    with Department(tmp_path / "host", command=COMMAND, readers=1) as department:
        viewer = Viewer(tmp_path / "reader", "compact", at_host(department.url))
        viewer.prepare(exam())
    viewer.ended()
    assert "connection lost" in viewer.client.status.message
    viewer.close()
    assert list(viewer.temporary.iterdir()) == []


def test_a_worker_that_dies_at_the_host_comes_back(department, reader):
    reader.synthesize(seed=1)
    with pytest.raises(WorkerError) as caught:
        reader.synthesize(seed=DEADLY)
    assert caught.value.kind == "died"
    np.testing.assert_array_equal(reader.frame(53.0).voxels, signal(volume(), 53.0, 1))


def test_a_reader_returns_to_his_seat_although_the_host_has_not_noticed_that_he_left(tmp_path):
    with Department(tmp_path / "host", command=COMMAND, readers=1) as department:
        reader = Viewer(tmp_path / "reader", "compact", at_host(department.url))
        reader.prepare(exam())
        os.kill(reader.transports[-1].pid, signals.SIGSTOP)  # the connection stays, and nobody is there
        frozen = reader.transports[-1].pid
        key = next(tmp_path.glob("reader/*/remote-session")).read_text()
        with connect(department.url, additional_headers={SESSION_HEADER: key}) as returned:
            assert "Hello" in returned.recv()
        os.kill(frozen, signals.SIGCONT)
        reader.ended()
        assert reader.prepare(exam()).geometry.shape == SHAPE
        reader.close()


def test_a_reader_who_left_leaves_nothing_at_the_host(tmp_path):
    with Department(tmp_path / "host", command=COMMAND) as department:
        reader = Viewer(tmp_path / "reader", "compact", at_host(department.url))
        reader.prepare(exam())
        reader.synthesize()
        (root,) = department.temporary.iterdir()
        assert len(list(root.iterdir())) == 2 and len(department.workers()) == 1  # shared folder and cache
        reader.close()
        wait_until(lambda: list(root.iterdir()) == [] and department.workers() == [])


def test_finished_series_wait_for_a_reader_whose_connection_broke_but_not_for_ever(tmp_path):
    with Department(tmp_path / "host", command=COMMAND, keep_s=1.0) as department:
        with connect(department.url, additional_headers={SESSION_HEADER: "7" * 64}) as connection:
            connection.recv()
        (root,) = department.temporary.iterdir()
        wait_until(lambda: list(root.iterdir()) == [])


def test_an_idle_reader_is_told_so_and_let_go(tmp_path):
    with Department(tmp_path / "host", command=COMMAND, idle_s=4.0) as department:
        reader = Viewer(tmp_path / "reader", "compact", at_host(department.url))
        reader.prepare(exam())
        reader.ended()
        assert "ended the session after 0 minutes without use" in reader.client.status.message
        reader.close()
        assert department.workers() == []


def test_a_host_that_is_not_there_is_named(tmp_path):
    refused = failure(Viewer(tmp_path / "reader", "compact", at_host("ws://127.0.0.1:9")))
    assert "ws://127.0.0.1:9 cannot be reached (ConnectionRefusedError" in str(refused)


@pytest.mark.parametrize("text", ["no message", encode(Hello(1, "another"))], ids=["no message", "no request"])
def test_what_is_no_request_ends_the_connection(department, text):
    with connect(department.url, additional_headers={SESSION_HEADER: "6" * 64}) as connection:
        connection.send(text)
        with pytest.raises(ConnectionClosed, match="1002"):
            while True:
                connection.recv()


# Recovery, as the benchmark measures it


def test_the_benchmark_sees_a_killed_worker_come_back_with_the_frame_on_screen_unharmed():
    cost = asyncio.run(bench.recover(COMMAND))
    assert cost.is_unharmed and cost.cpu_s > 0 and 0 < cost.wall_s < 60
