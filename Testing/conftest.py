"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of reference data: ``$CEKWORLD_SHARED_DATA``, else ``../shared/data`` beside the project."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("CEKWORLD_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip("reference data not found; name its folder in CEKWORLD_SHARED_DATA")
    return folder


@pytest.fixture(scope="module")
def one_thread():
    """On small images two threads mostly wait for each other, for seconds where the cores are busy."""
    import torch  # not for tests that do without: it takes seconds

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def standalone():
    """A scene with its logics, as ``CEKWorldLib.scene.standalone`` makes it outside Slicer."""
    pytest.importorskip("slicer", reason="slicer-core is not installed")
    from CEKWorldLib.scene.standalone import StandaloneScene

    return StandaloneScene()


@pytest.fixture
def scene(standalone):
    """An empty ``vtkMRMLScene``."""
    return standalone.scene


@pytest.fixture
def desktop(monkeypatch):
    """The Slicer module on a small desktop, open, with the closed-form model behind it."""
    pytest.importorskip("slicer", reason="slicer-core is not installed")
    from fake_qt import event_loop
    from fake_qt.desktop import Desktop
    from in_process_worker import InProcessTransport, use_closed_form

    use_closed_form(monkeypatch)
    InProcessTransport.made.clear()
    desktop = Desktop(monkeypatch)
    monkeypatch.setattr("CEKWorldLib.gui.qprocess_transport.QProcessTransport", InProcessTransport)
    desktop.load_module()
    yield desktop
    desktop.close()
    event_loop.process_events()
