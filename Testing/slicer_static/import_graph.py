"""What importing a file brings with it, read from the sources without importing anything."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path


class ImportGraph:
    """The imports between the files of a package.

    Args:
        root: folder the package lies in.
        package: its name.
    """

    def __init__(self, root: Path, package: str) -> None:
        self._root = root
        self._package = package
        self._known: dict[tuple[Path, bool], frozenset[str]] = {}

    def chains(self, files: Iterable[Path], inside_functions: bool) -> dict[str, tuple[str, ...]]:
        """Modules of other packages that files bring with them, each with the way to it.

        Args:
            files: where to start.
            inside_functions: whether imports inside functions count. Those under ``TYPE_CHECKING`` never do.

        Returns:
            By top-level name: the files on the way, first the one among ``files``.
        """
        foreign: dict[str, tuple[str, ...]] = {}
        ways = {path: (self._name(path),) for path in files}
        waiting = list(ways)
        while waiting:
            path = waiting.pop(0)
            for module in sorted(self._imports(path, inside_functions)):
                if module.split(".")[0] != self._package:
                    foreign.setdefault(module.split(".")[0], ways[path])
                    continue
                for found in self._files_of(module):
                    if found not in ways:
                        ways[found] = (*ways[path], self._name(found))
                        waiting.append(found)
        return foreign

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self._root))

    def _files_of(self, module: str) -> Iterator[Path]:
        """The file of a module, and of the packages around it, which run before it."""
        parts = module.split(".")
        for n in range(1, len(parts) + 1):
            base = self._root.joinpath(*parts[:n])
            yield from (p for p in (base / "__init__.py", base.with_suffix(".py")) if p.is_file())

    def _imports(self, path: Path, inside_functions: bool) -> frozenset[str]:
        key = (path, inside_functions)
        if key not in self._known:
            self._known[key] = frozenset(_imported(ast.parse(path.read_text()), inside_functions))
        return self._known[key]


def _imported(node: ast.AST, inside_functions: bool) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not inside_functions:
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        else:
            yield from _imported(child, inside_functions)
