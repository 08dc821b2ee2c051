"""An output folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from CEKWorldLib.errors import CEKWorldError


@contextmanager
def staged_folder(target: Path, overwrite: bool, own_names: Collection[str]) -> Iterator[Path]:
    """Gives a hidden folder beside ``target`` to write to, and renames it to ``target`` at the end.

    An error or Ctrl-C inside the block removes it; ``target`` then is as it was.

    Args:
        target: folder to make. An empty folder is taken as none.
        overwrite: replace a folder that holds an earlier result.
        own_names: what a result consists of. A folder with anything else in it is never replaced.

    Raises:
        CEKWorldError: the target holds files and may not be replaced, or its place cannot be written to.
    """
    target = target.absolute()
    _check(target, overwrite, own_names)
    staging = target.with_name(f".{target.name}.{os.getpid()}.partial")
    replaced = target.with_name(f".{target.name}.{os.getpid()}.replaced")
    try:
        try:
            staging.mkdir(parents=True)
        except OSError as error:
            raise CEKWorldError(
                f"Cannot write to {target.parent}: {error.strerror}. Choose another --output."
            ) from error
        yield staging
        try:
            if target.exists():
                target.rename(replaced)
            staging.rename(target)
        except OSError as error:
            raise CEKWorldError(f"Cannot write {target}: {error.strerror}. Choose another --output.") from error
    finally:
        if replaced.exists() and not target.exists():
            replaced.rename(target)
        for folder in (staging, replaced):
            shutil.rmtree(folder, ignore_errors=True)


def _check(target: Path, overwrite: bool, own_names: Collection[str]) -> None:
    if target.is_file():
        raise CEKWorldError(f"{target} is a file; --output names a folder.")
    if not target.name or not target.exists():
        return
    names = {entry.name for entry in target.iterdir()}
    if names and not overwrite:
        raise CEKWorldError(f"{target} is not empty. Give another --output, or --overwrite to replace what is there.")
    if foreign := sorted(names - set(own_names)):
        raise CEKWorldError(
            f"{target} holds files of other origin ({foreign[0]}), which --overwrite does not remove. "
            "Give another --output."
        )
