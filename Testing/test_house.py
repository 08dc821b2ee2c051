"""The house: what is promised to a fresh clone, checked against the files that promise it."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from CEKWorldLib import __version__

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins() -> dict[str, Version]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in (line.split("==") for line in lines)}


def requirements() -> list[Requirement]:
    extras = [r for group in PROJECT["optional-dependencies"].values() for r in group]
    return [Requirement(text) for text in (*PROJECT["dependencies"], *extras) if not text.startswith("cekworld[")]


@pytest.mark.parametrize("requirement", requirements(), ids=lambda r: r.name)
def test_every_requirement_is_pinned_to_a_version_it_allows(requirement):
    assert canonicalize_name(requirement.name) in pins()
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)])


def test_torch_is_pinned_without_a_build_so_that_cpu_and_cuda_builds_fit():
    assert str(pins()["torch"]) == "2.13.0"


def test_the_licence_is_apache_2_in_full():
    text = (ROOT / "LICENSE").read_text()
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in text and "END OF TERMS AND CONDITIONS" in text and len(text) > 11_000


def test_every_room_is_an_importable_package():
    rooms = {p.parent for p in (ROOT / "CEKWorldLib").rglob("*.py")}
    assert [str(room) for room in sorted(rooms) if not (room / "__init__.py").is_file()] == []


@pytest.mark.parametrize(
    ("modules", "rooms"), [("slicer|vtk", ("scene", "gui", "web")), ("qt|ctk", ("gui",))], ids=["slicer", "qt"]
)
def test_no_room_but_those_for_it_imports_slicer_or_qt(modules, rooms):
    for path in (ROOT / "CEKWorldLib").rglob("*.py"):
        if path.relative_to(ROOT / "CEKWorldLib").parts[0] not in rooms:
            assert not re.search(rf"^\s*(?:import|from) (?:{modules})\b", path.read_text(), re.MULTILINE), path


def test_the_ci_script_runs_lint_and_test_unattended():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o100
    assert re.search(r"make lint test </dev/null", script.read_text())
    plan = subprocess.run(
        ["make", "--dry-run", "--always-make", "lint", "test"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for step in ("ruff check", "ruff format --check", "mypy", "pytest"):
        assert step in plan


def test_make_run_synthesizes_the_sample_after_installing_the_base_alone():
    plan = subprocess.run(
        ["make", "--dry-run", "--always-make", "run", "SAMPLE=pre.nrrd"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert 'cekworld synthesize "pre.nrrd" --output "out"' in plan
    assert "--constraint constraints.txt" in plan and ".[test]" not in plan


def test_the_version_is_a_valid_one():
    assert str(Version(__version__)) == __version__
