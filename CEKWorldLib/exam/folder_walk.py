"""Looking through a folder of exams, which may hold links to folders elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def walked(root: Path, on_error: Callable[[OSError], object]) -> Iterator[tuple[Path, list[str]]]:
    """Each folder below, the root included, with the sorted names of its files.

    Links are followed where they lead out of the root, for what lies inside has a place of its own; each folder is
    seen once.

    Args:
        root: folder.
        on_error: told of a folder that cannot be opened; what it raises ends the search.
    """
    own, seen = root.resolve(), set[Path]()
    for name, subfolders, names in os.walk(root, onerror=on_error, followlinks=True):
        folder = Path(name)
        if folder.resolve() in seen:
            subfolders.clear()
            continue
        seen.add(folder.resolve())
        subfolders[:] = sorted(sub for sub in subfolders if _leads_on(folder / sub, own))
        yield folder, sorted(names)


def _leads_on(folder: Path, root: Path) -> bool:
    target = folder.resolve()
    return not folder.is_symlink() or not (target.is_relative_to(root) or root.is_relative_to(target))
