"""What the viewer's process loads: never PyTorch, and at start nothing that Slicer does not have."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from slicer_static.import_graph import ImportGraph

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("gui", "scene", "web")
CLIENT = ("client.py", "interface.py", "asyncio_transport.py", "remote/__init__.py")
HEAVY = {"torch", "diffusers", "transformers", "safetensors", "accelerate", "monai"}
# Slicer 5.10 and later bring these; whatever else a function needs is installed when it is first used.
IN_SLICER = {"numpy", "scipy", "SimpleITK", "vtk", "slicer", "qt", "ctk", *sys.stdlib_module_names}


def viewer_files(*rooms: str) -> list[Path]:
    library = ROOT / "CEKWorldLib"
    files = [path for room in rooms for path in sorted((library / room).rglob("*.py")) if path.name != "bench.py"]
    return [*files, *(library / "worker" / name for name in CLIENT)]


def test_no_viewer_loads_pytorch_however_it_is_used():
    brought = ImportGraph(ROOT, "CEKWorldLib").chains(viewer_files(*ROOMS), inside_functions=True)
    assert {name: brought[name] for name in brought.keys() & HEAVY} == {}
    assert "pydicom" in brought  # the graph does reach what functions import


def test_the_module_starts_with_what_slicer_has():
    files = [*(ROOT / "CEKWorld").rglob("*.py"), *viewer_files("gui", "scene")]
    brought = ImportGraph(ROOT, "CEKWorldLib").chains(files, inside_functions=False)
    assert {name: way for name, way in brought.items() if name not in IN_SLICER} == {}


@pytest.mark.parametrize(
    ("first", "inside_functions", "is_found"),
    [
        ("import torch", False, True),
        ("from package.far import thing", False, True),
        ("def f():\n    from package import far", False, False),
        ("def f():\n    from package import far", True, True),
        ("class A:\n    import torch.nn", False, True),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch", True, False),
        ("from package.deep.leaf import x", False, True),  # its package's __init__ runs first
    ],
)
def test_a_planted_import_is_found_with_the_way_to_it(tmp_path, first, inside_functions, is_found):
    (tmp_path / "package" / "deep").mkdir(parents=True)
    for name, text in {
        "__init__": "", "far": "try:\n    import torch\nexcept ImportError:\n    raise", "first": first,
        "deep/__init__": "import torch", "deep/leaf": "x = 1",
    }.items():  # fmt: skip
        (tmp_path / "package" / f"{name}.py").write_text(text)
    brought = ImportGraph(tmp_path, "package").chains([tmp_path / "package" / "first.py"], inside_functions)
    assert ("torch" in brought) is is_found
    assert not is_found or brought["torch"][0] == "package/first.py"
