"""The extension as the Extensions Index takes it: lists equal the tree, metadata agree, icons and licences exist."""

from __future__ import annotations

import json
import re
import struct
import subprocess
from pathlib import Path

import pytest
from slicer_static.library_list import library_files, tracked

ROOT = Path(__file__).resolve().parents[1]
# Schemas/slicer-extension-catalog-entry-schema-v1.0.2.json of Slicer v5.12: nothing else may be in it.
REQUIRED = {"$schema", "category", "scm_url"}
OPTIONAL = {
    "scm_revision",
    "scm_type",
    "build_dependencies",
    "build_subdirectory",
    "enabled",
    "tier",
    "dicom_support_rule",
}


def listed(cmake: str, variable: str, **values: str) -> list[str]:
    """The entries of a CMake list, with variables replaced."""
    match = re.search(rf"set\({variable}\b(.*?)\)", cmake, re.DOTALL)
    assert match is not None, f"{variable} is not set"
    entries = re.sub(r"#.*", "", match[1]).split()
    for name, value in values.items():
        entries = [entry.replace(f"${{{name}}}", value) for entry in entries]
    return entries


def differences(cmake_list: list[str], tree: list[str]) -> list[str]:
    """What to change in a list."""
    twice = sorted({entry for entry in cmake_list if cmake_list.count(entry) > 1})
    lacking, stale = sorted(set(tree) - set(cmake_list)), sorted(set(cmake_list) - set(tree))
    return [*(f"add {f}" for f in lacking), *(f"remove {f}" for f in stale), *(f"{f} is there twice" for f in twice)]


@pytest.fixture(scope="module")
def extension() -> str:
    return (ROOT / "CMakeLists.txt").read_text()


def metadata(extension: str, key: str) -> str:
    match = re.search(rf'set\(EXTENSION_{key} "([^"]*)"\)', extension)
    assert match is not None, f"EXTENSION_{key} is not set"
    return match[1]


def test_the_module_lists_every_file_it_has():
    cmake = (ROOT / "CEKWorld" / "CMakeLists.txt").read_text()
    files = [f.removeprefix("CEKWorld/") for f in tracked("CEKWorld") if not f.endswith((".txt", ".md"))]
    lists = [listed(cmake, f"MODULE_PYTHON_{kind}", MODULE_NAME="CEKWorld") for kind in ("SCRIPTS", "RESOURCES")]
    assert differences(lists[0] + lists[1], files) == []
    assert all(f.endswith(".py") for f in lists[0]) and not any(f.endswith(".py") for f in lists[1])
    assert "slicer_add_python_unittest(SCRIPT ${MODULE_NAME}.py)" in cmake and "WITH_GENERIC_TESTS" in cmake


def test_the_library_lists_every_file_it_has():
    cmake = (ROOT / "CEKWorldLib" / "CMakeLists.txt").read_text()
    for name, files in library_files().items():
        assert differences(listed(cmake, name), files) == [], "run: python Testing/slicer_static/library_list.py"


def test_a_planted_difference_is_told():
    found = listed("set(A # a list\n  ${M}.py\n  b.py b.py # twice\n  gone.py)", "A", M="a")
    assert differences(found, ["a.py", "b.py", "new.py"]) == ["add new.py", "remove gone.py", "b.py is there twice"]


def test_beside_the_module_file_there_is_no_python_file():
    """Slicer takes every one there for a module."""
    assert [path.name for path in (ROOT / "CEKWorld").glob("*.py")] == ["CEKWorld.py"]


def test_the_catalog_entry_keeps_the_schema_and_agrees_with_cmake(extension):
    entry = json.loads((ROOT / "CEKWorld.json").read_text())
    assert REQUIRED <= entry.keys() <= REQUIRED | OPTIONAL
    assert entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.2.json#")
    assert re.search(r"^project\((\w+)\)", extension, re.MULTILINE)[1] == "CEKWorld"
    assert entry["build_dependencies"] == metadata(extension, "DEPENDS").split()
    assert (entry["category"], entry["scm_url"]) == (metadata(extension, "CATEGORY"), metadata(extension, "HOMEPAGE"))
    assert entry["build_subdirectory"] == "." and entry["tier"] in range(1, 6)


def test_icon_and_screenshots_are_files_of_the_repository(extension):
    urls = [metadata(extension, "ICONURL"), *metadata(extension, "SCREENSHOTURLS").split()]
    assert len(urls) >= 3  # an icon and at least two screenshots
    for url in urls:
        path = re.fullmatch(r"https://raw\.githubusercontent\.com/CEKWorld/SlicerCEKWorld/main/(.+\.png)", url)
        assert path is not None and (ROOT / path[1]).is_file(), url


@pytest.mark.parametrize("path", ["CEKWorld.png", "CEKWorld/Resources/Icons/CEKWorld.png"])
def test_icons_have_the_size_the_catalog_asks_for(path):
    header = (ROOT / path).read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", header[16:24]) == (128, 128)


def test_the_description_is_a_sentence_or_two_without_markup(extension):
    description = metadata(extension, "DESCRIPTION")
    assert 1 <= description.count(".") <= 2 and len(description) < 400 and "<" not in description


def test_code_and_weights_have_licences_of_their_own():
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    weights = (ROOT / "Resources" / "models" / "LICENSE.md").read_text()
    assert "Apache" in weights and "weights" in weights and "not for diagnosis" in weights.lower()


def test_make_test_slicer_says_what_it_needs():
    result = subprocess.run(["make", "test-slicer", "SLICER="], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode != 0 and "SLICER=/path/to/Slicer" in result.stdout + result.stderr
    plan = subprocess.run(
        ["make", "--dry-run", "test-slicer", "SLICER=/opt/Slicer/Slicer"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    assert '"/opt/Slicer/Slicer" $window --no-splash --testing' in plan and "slicer.testing.runUnitTest" in plan
    assert "--no-main-window" in plan
