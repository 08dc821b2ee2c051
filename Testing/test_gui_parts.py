"""The parts of the panel that need no widgets: packages, models, table, nodes, words."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import fake_qt.desktop  # noqa: F401  (before the panel's own imports of qt)
import slicer
from panel_exam import add_exam, add_point, add_sequence

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.protocol import Acquisition
from CEKWorldLib.export.type_colours import PALETTES
from CEKWorldLib.gui import requirements
from CEKWorldLib.gui.connections import Connections, connect
from CEKWorldLib.gui.curve_table import Cell, as_text, header, rows
from CEKWorldLib.gui.input_nodes import (
    acquisition_of_node,
    first_volume,
    is_series,
    pre_contrast,
    shown_slice,
    unchanged,
)
from CEKWorldLib.gui.machine_state import computer_memory, device_text, parse_gpus, size_text
from CEKWorldLib.gui.model_library import ModelLibrary
from CEKWorldLib.gui.region_nodes import RegionWatch, regions_of
from CEKWorldLib.gui.sample_data import FILE, SHA256, register_sample_data
from CEKWorldLib.gui.worker_command import LIBRARY, worker_environment
from CEKWorldLib.kinetics.curve_type import CurveType
from CEKWorldLib.kinetics.roi import roi_curves
from CEKWorldLib.models.folders import SHIPPED, sha256_of
from CEKWorldLib.scene.images import image_of
from CEKWorldLib.scene.owned_nodes import OwnedNodes

ROOT = Path(__file__).resolve().parents[1]
TIMES = np.array([0.0, 60.0, 90.0, 180.0, 360.0])


# Qt's rules


def test_a_signal_that_does_not_exist_raises_instead_of_being_printed():
    import qt

    with pytest.raises(RuntimeError, match="no signal pressed"):
        connect(qt.QLineEdit(), "pressed()", print)


def test_connections_end_together():
    import qt

    heard, box, connections = [], qt.QCheckBox(), Connections()
    connections.add(box, "toggled(bool)", heard.append)
    box.click()
    connections.end()
    box.click()
    assert heard == [True]


def test_a_property_of_the_fake_cannot_be_called_as_in_pythonqt():
    import qt

    edit = qt.QLineEdit()
    edit.text = "30"
    with pytest.raises(TypeError):
        edit.text()
    with pytest.raises(AttributeError):
        edit.txt = "30"


def test_the_panel_never_imports_pytorch_nor_what_is_slow():
    code = (
        "import sys; sys.path.insert(0, 'Testing')\n"
        "import fake_qt.desktop, pkgutil, importlib, CEKWorldLib.gui as gui\n"
        "for part in pkgutil.iter_modules(gui.__path__): importlib.import_module(f'CEKWorldLib.gui.{part.name}')\n"
        "print(sorted({'torch', 'diffusers', 'highdicom', 'matplotlib', 'pydicom'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Packages


@pytest.fixture
def installed(monkeypatch) -> dict[str, str]:
    versions: dict[str, str] = {}
    monkeypatch.setattr(requirements, "installed_version", versions.get)
    return versions


@pytest.mark.parametrize(
    ("version", "enough"), [("2.9", False), ("2.10", True), ("3.0.2", True), ("2.10.0+cu128", True), ("2.10rc1", False)]
)
def test_versions_are_compared_as_numbers(installed, version, enough):
    installed["pydicom"] = version
    assert (requirements.missing(["pydicom>=2.10"]) == []) is enough


def test_nothing_is_asked_when_nothing_is_missing(installed):
    installed["pydicom"] = "3.0"
    requirements.ensure(["pydicom>=3.0"], lambda question: pytest.fail("asked"))


def test_slicer_5_10_asks_and_installs_with_its_own_pip(installed, monkeypatch):
    asked: list[str] = []

    def pip_install(names):
        installed["pydicom"] = "3.0.2"

    monkeypatch.setattr(slicer.util, "pip_install", pip_install, raising=False)
    requirements.ensure(["pydicom>=3.0"], lambda question: asked.append(question) or True)
    assert "pydicom>=3.0" in asked[0]


def test_slicer_5_12_asks_itself(installed, monkeypatch):
    calls: list[tuple] = []

    def pip_ensure(names, requester):
        calls.append((names, requester))
        installed["pydicom"] = "3.0.2"

    monkeypatch.setitem(sys.modules, "slicer.packaging", SimpleNamespace(pip_ensure=pip_ensure))
    requirements.ensure(["pydicom>=3.0"], lambda question: pytest.fail("asked twice"))
    assert calls == [(["pydicom>=3.0"], "CEKWorld")]


def test_a_refusal_a_failure_and_a_package_that_stays_away_are_told(installed, monkeypatch):
    with pytest.raises(CEKWorldError, match="Agree to their installation"):
        requirements.ensure(["pydicom>=3.0"], lambda question: False)

    def fail(names):
        raise subprocess.CalledProcessError(1, "pip")

    monkeypatch.setattr(slicer.util, "pip_install", fail, raising=False)
    with pytest.raises(CEKWorldError, match="proxy"):
        requirements.ensure(["pydicom>=3.0"], lambda question: True)
    monkeypatch.setattr(slicer.util, "pip_install", lambda names: None)
    with pytest.raises(CEKWorldError, match="still missing"):
        requirements.ensure(["pydicom>=3.0"], lambda question: True)


def test_a_reader_whose_work_a_host_does_needs_no_pytorch(installed, monkeypatch):
    with pytest.raises(CEKWorldError, match="PyTorch is not installed"):
        requirements.ensure_worker(lambda question: True)
    monkeypatch.setenv("CEKWORLD_WORKER_HOST", "wss://gpu.example:8471")
    installed["websockets"] = "17.4"
    requirements.ensure_worker(lambda question: pytest.fail("asked"))


def test_pytorch_comes_through_its_extension(installed, monkeypatch):
    with pytest.raises(CEKWorldError, match="Extensions Manager"):
        requirements.ensure_torch(lambda question: True)
    asked: list[bool] = []
    logic = SimpleNamespace(installTorch=lambda askConfirmation: asked.append(askConfirmation) or object())
    monkeypatch.setitem(sys.modules, "PyTorchUtils", SimpleNamespace(PyTorchUtilsLogic=lambda: logic))
    with pytest.raises(CEKWorldError, match="agree"):
        requirements.ensure_torch(lambda question: False)
    requirements.ensure_torch(lambda question: True)
    assert asked == [False]


# Models


@pytest.fixture
def own(tmp_path) -> Path:
    folder = tmp_path / "mine"
    shutil.copytree(SHIPPED / "compact", folder)
    (folder / "notes.txt").write_text("not the model's")
    return folder


def test_a_folder_of_the_users_is_added_once_and_kept_for_the_next_session(own):
    library = ModelLibrary()
    entry = library.add(own)
    library.add(own)
    assert not entry.shipped and entry.bytes > 10_000_000
    assert [e.key for e in ModelLibrary(library.own).entries] == ["compact", str(own)]
    assert library.card(entry.key).startswith("# compact")


def test_a_damaged_folder_is_refused_naming_the_file(own):
    (own / "configs" / "model.json").write_text("{}")
    with pytest.raises(CEKWorldError, match="model.json"):
        ModelLibrary().add(own)


def test_deleting_a_model_leaves_what_is_not_its_own(own, tmp_path):
    library = ModelLibrary()
    key = library.add(own).key
    outside = tmp_path / "keep.txt"
    outside.write_text("")
    manifest = json.loads((own / "manifest.json").read_text())
    (own / "manifest.json").write_text(json.dumps(manifest | {"../keep.txt": {"sha256": "", "bytes": 0}}))
    library.delete(key)
    assert [path.name for path in own.rglob("*")] == ["notes.txt"]
    assert outside.is_file() and library.own == []


def test_a_shipped_model_is_not_deleted():
    with pytest.raises(CEKWorldError, match="belongs to the extension"):
        ModelLibrary().delete("compact")


# Table


def washout(name: str = "lesion"):
    frames = np.full((5, 1, 3, 3), 100.0)
    frames *= np.array([1.0, 2.1, 2.5, 2.3, 1.9])[:, None, None, None]
    return roi_curves(frames, TIMES, {name: np.ones((1, 3, 3))})[0]


def test_a_washout_has_a_red_chip_with_its_numbers_beside_it():
    row = rows([washout()])[0]
    assert len(row) == len(header())
    assert row[2] == Cell("washout", PALETTES["standard"][CurveType.WASHOUT])
    assert [cell.text for cell in row[4:8]] == ["150", "-", "-24.0", "1.67"]
    assert row[2].is_dark and not Cell("", PALETTES["standard"][CurveType.PLATEAU]).is_dark


def test_the_copied_table_has_a_column_for_each_heading_whatever_a_region_is_called():
    lines = as_text([washout("one"), washout("two\tor\nthree")], synthetic=False).splitlines()
    assert [len(line.split("\t")) for line in lines] == [len(header())] * 3
    assert lines[2].startswith("two or three\t")


def test_the_copied_table_of_a_synthesis_says_so():
    table, marked = (as_text([washout()], synthetic) for synthetic in (False, True))
    assert "SYNTHETIC" not in table and marked.startswith(table)
    assert marked.removeprefix(table).startswith("SYNTHETIC: not acquired from a patient")


# Nodes


def test_series_are_told_from_volumes(scene):
    assert is_series(add_sequence(scene)) and not is_series(add_exam(scene))


def test_a_volume_that_is_edited_or_replaced_is_not_as_it_was_and_one_that_is_looked_at_is(scene):
    node = add_exam(scene)
    is_current = unchanged(node)
    node.CreateDefaultDisplayNodes()
    node.GetImageData().GetScalarRange()
    node.SetName("renamed")
    assert is_current()
    slicer.util.arrayFromVolume(node)[0] = 0
    slicer.util.arrayFromVolumeModified(node)
    assert not is_current()
    is_current = unchanged(node)
    node.SetAndObserveImageData(image_of(np.zeros((4, 64, 64), np.float32)))
    assert not is_current()


def test_integers_are_read_as_they_are_stored_so_that_nothing_large_is_converted(scene):
    node = add_exam(scene)
    node.SetAndObserveImageData(image_of(np.full((2, 3, 4), 7, np.int16)))
    voxels = pre_contrast(node).voxels
    assert voxels.dtype == np.int16 and np.shares_memory(voxels, slicer.util.arrayFromVolume(node))


def test_neither_the_panels_own_volume_nor_a_mask_is_offered_as_input(scene):
    OwnedNodes(scene).get("output", "vtkMRMLScalarVolumeNode", "shown")
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "mask")
    assert first_volume(scene) is None
    exam = add_exam(scene)
    assert first_volume(scene) is exam


@pytest.mark.parametrize(("height", "expected"), [(2.0, 2), (-50.0, 0), (50.0, 3)])
def test_the_slice_in_view_is_that_of_the_view_along_the_acquired_plane(scene, height, expected):
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
    node = add_exam(scene)
    for name in ("Sagittal", "Axial"):
        view = scene.AddNewNodeByClass("vtkMRMLSliceNode", name)
        view.SetOrientation(name)
    view.SetSliceOffset(height)
    assert shown_slice(scene, node) == expected


def test_without_a_view_the_middle_slice_is_first(scene):
    assert shown_slice(scene, add_exam(scene)) == 2


def test_a_volume_that_was_not_dicom_has_no_sequence_settings(scene):
    node = add_exam(scene)
    assert acquisition_of_node(node, lambda uid: pytest.fail("asked")) == Acquisition()
    node.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    assert acquisition_of_node(node, lambda uid: "") == Acquisition()


def test_every_point_is_a_region_with_a_colour_of_its_own(scene):
    exam = add_exam(scene)
    points = add_point(scene, exam, "first")
    points.AddControlPoint([-20.0, -20.0, 1.0], "second")
    first, second = regions_of(points, exam, 0)
    assert (first.name, second.name) == ("first", "second") and first.colour != second.colour
    assert first.inside.sum() == 9


def test_a_point_beside_the_volume_does_not_take_the_curves_of_others_away(scene):
    exam = add_exam(scene)
    points = add_point(scene, exam, "beside")
    points.SetNthControlPointPosition(0, 1000.0, 0.0, 0.0)
    with pytest.raises(CEKWorldError, match=f"No point of '{points.GetName()}'"):
        regions_of(points, exam, 0)
    points.AddControlPoint([-20.0, -20.0, 1.0], "inside")
    assert [region.name for region in regions_of(points, exam, 0)] == ["inside"]


def test_a_box_without_size_is_refused_by_name(scene):
    exam = add_exam(scene)
    box = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    box.CreateDefaultDisplayNodes()
    box.SetCenter(1000.0, 0.0, 0.0)
    with pytest.raises(CEKWorldError, match="box"):
        regions_of(box, exam, 0)


def test_a_watch_reports_the_node_it_follows_and_no_other(scene):
    exam, heard = add_exam(scene), []
    first, second = add_point(scene, exam, "a"), add_point(scene, exam, "b")
    watch = RegionWatch(lambda: heard.append(True))
    watch.follow(first)
    first.SetNthControlPointPosition(0, 1.0, 2.0, 1.0)
    assert heard
    watch.follow(second)
    heard.clear()
    first.SetNthControlPointPosition(0, 2.0, 2.0, 1.0)
    assert not heard
    watch.follow(None)
    second.SetNthControlPointPosition(0, 2.0, 2.0, 1.0)
    assert not heard


# Words and files


def test_gpus_are_read_from_the_drivers_answer_and_odd_lines_left_out():
    (gpu,) = parse_gpus("NVIDIA H200, PCIe, 120000, 143771\nNo devices were found\nX, [N/A], [N/A]\n")
    assert gpu.name == "NVIDIA H200, PCIe" and gpu.total_bytes == 143771 * 2**20
    assert device_text([gpu], "cuda", None) == "NVIDIA H200, PCIe: 125.8 of 150.8 GB free. The model runs on CUDA."
    words = device_text([], None, (3 * 10**9, 8 * 10**9))
    assert "expect minutes" in words and words.endswith("Memory: 3.0 of 8.0 GB free.")


def test_memory_is_told_once_the_package_that_knows_it_is_there(monkeypatch):
    free, total = computer_memory()
    assert 0 < free <= total
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert computer_memory() is None


def test_sizes_are_written_in_the_unit_a_reader_expects():
    assert size_text(10_604_146) == "10.6 MB" and size_text(2_500_000_000) == "2.5 GB"


def test_the_worker_finds_the_library_of_the_panel_first():
    paths = worker_environment({"PYTHONPATH": "/other"})["PYTHONPATH"]
    assert paths.split(":") == [str(LIBRARY), "/other"]
    assert (LIBRARY / "CEKWorldLib" / "worker" / "__main__.py").is_file()


def test_the_sample_is_registered_with_its_checksum(monkeypatch):
    registered: dict = {}

    class Logic:
        @staticmethod
        def registerCustomSampleDataSource(**words):
            registered.update(words)

    monkeypatch.setitem(sys.modules, "SampleData", SimpleNamespace(SampleDataLogic=Logic))
    register_sample_data()
    assert registered["checksums"] == f"SHA256:{SHA256}" and sha256_of(FILE) == SHA256
    assert registered["uris"].startswith("file:///")
