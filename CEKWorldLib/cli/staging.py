"""Outputs that appear whole or not at all, refused before the work where they cannot be written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path

from CEKWorldLib.errors import CEKWorldError


@contextmanager
def staged_folder(target: Path, overwrite: bool, own_names: Collection[str]) -> Iterator[Path]:
    """Gives a hidden folder beside ``target`` to write to, and renames it to ``target`` at the end.

    An error or Ctrl-C inside the block removes it, and folders above it that were not there; ``target`` then is as it
    was. Where ``target`` is a link, the link stays and what it leads to is made or replaced.

    Args:
        target: folder to make. An empty folder is taken as none.
        overwrite: replace a folder that holds an earlier result.
        own_names: what a result consists of, as patterns of paths in it: files, and folders with what is in them. A
            folder with anything else in it is never replaced.

    Raises:
        CEKWorldError: the target holds files and may not be replaced, or its place cannot be written to.
    """
    target = Path(os.path.realpath(target))
    staging = target.parent / f".{target.name}.{os.getpid()}.partial"
    replaced = target.parent / f".{target.name}.{os.getpid()}.replaced"
    above: list[Path] = []
    try:
        try:
            _check(target, overwrite, own_names)
            above = [folder for folder in target.parents if not folder.exists()]
            staging.mkdir(parents=True)
        except OSError as error:
            raise CEKWorldError(
                f"Cannot write to {target.parent}: {error.strerror}. Choose another --output."
            ) from error
        yield staging
        try:
            _check(target, overwrite, own_names)  # again: another run or the cache may have filled it
            if target.exists():
                target.rename(replaced)
            staging.rename(target)
        except OSError as error:
            raise CEKWorldError(f"Cannot write {target}: {error.strerror}. Choose another --output.") from error
    finally:
        if os.path.exists(replaced) and not os.path.exists(target):  # which, unlike pathlib, raise for no name
            replaced.rename(target)
        for folder in (staging, replaced):
            shutil.rmtree(folder, ignore_errors=True)
        for folder in above:
            with suppress(OSError):  # not empty: the target is in it
                folder.rmdir()


def check_file(path: Path, overwrite: bool = True) -> None:
    """Refuses a file to write before the work that makes it.

    Raises:
        CEKWorldError: it is there and may not be replaced, is a folder, or its folder cannot be written to.
    """
    if os.path.isdir(path):
        raise CEKWorldError(f"{path} is a folder; name a file.")
    if os.path.exists(path) and not overwrite:
        raise CEKWorldError(f"{path} exists. Give another --output, or --overwrite to replace it.")
    if not (os.path.isdir(path.parent) and os.access(path.parent, os.W_OK)):
        raise CEKWorldError(f"Cannot write {path}: there is no folder {path.parent} to write to. Name another file.")


def _check(target: Path, overwrite: bool, own_names: Collection[str]) -> None:
    if target.is_file():
        raise CEKWorldError(f"{target} is a file; --output names a folder.")
    if not target.exists():
        return
    if any(target.iterdir()) and not overwrite:
        raise CEKWorldError(f"{target} is not empty. Give another --output, or --overwrite to replace what is there.")
    there = (path.relative_to(target).as_posix() for path in target.rglob("*"))
    if foreign := next((name for name in there if not any(fnmatchcase(name, own) for own in own_names)), None):
        raise CEKWorldError(
            f"{target} holds files of other origin ({foreign}), which --overwrite does not remove. Give "
            "another --output."
        )
