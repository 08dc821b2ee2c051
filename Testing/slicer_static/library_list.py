"""The files that Slicer's package takes from the library; ``python Testing/slicer_static/library_list.py`` lists them.

``CEKWorldLib/CMakeLists.txt`` names each, as Slicer's macros leave out without a word what is not listed.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CMAKE = ROOT / "CEKWorldLib" / "CMakeLists.txt"


def tracked(*folders: str) -> list[str]:
    """Files of the repository, those included that are about to be added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders]
    files = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted({f for f in files if (ROOT / f).is_file()})


def library_files() -> dict[str, list[str]]:
    """Entries of the CMake lists, by the list's name."""
    files = [f for f in tracked("CEKWorldLib", "Resources") if not f.endswith("CMakeLists.txt")]
    return {
        "LIBRARY_PYTHON_SCRIPTS": [f for f in files if f.endswith(".py")],
        "LIBRARY_PYTHON_RESOURCES": [f for f in files if not f.endswith(".py")],
    }


def main() -> None:
    cmake = CMAKE.read_text()
    for name, files in library_files().items():
        entries = "".join(f"\n  {f}" for f in files)
        cmake = re.sub(rf"set\({name}\b[^)]*\)", f"set({name}{entries}\n  )", cmake)
    CMAKE.write_text(cmake)


if __name__ == "__main__":
    main()
