"""The disk cache: finished series by what they were made from, within a size, the least recently used dropped first."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.synthesis.archive import read_archive, write_archive

_SUFFIX = ".cekworld-cache.safetensors"


def cache_key(**facts: Any) -> str:
    """sha256 of facts that JSON can hold; the same facts in any order give the same key."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class DiskCache:
    """A folder of archives named by key.

    Args:
        folder: made when first written to.
        limit_bytes: size of all entries together.
    """

    def __init__(self, folder: Path, limit_bytes: int = 10 * 2**30) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes

    def load(self, key: str) -> dict[str, Tensor] | None:
        """The tensors of an entry, or None; a damaged entry is removed and counts as none."""
        path = self._path(key)
        if not path.exists():
            return None
        try:
            tensors, _ = read_archive(path)
        except CEKWorldError:
            _remove(path)
            return None
        with suppress(OSError):  # another user's entry, or a folder that may only be read
            os.utime(path)  # the time of last use, which eviction goes by
        return tensors

    def store(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Writes an entry after making room for it; one larger than the whole cache is not kept.

        Raises:
            CEKWorldError: the entry cannot be written; nothing is left behind.
        """
        size = sum(tensor.nbytes for tensor in tensors.values())
        if size > self.limit_bytes:
            return
        path = self._path(key)
        self._evict(self.limit_bytes - size)
        write_archive(path, tensors, {"key": key})

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"

    def _evict(self, limit_bytes: int) -> None:
        """Drops the least recently used entries until the rest is within the limit.

        Among them is the part of an entry that a killed process left, which is of no use.
        """
        entries = []
        for path in self.folder.glob(f"*{_SUFFIX}*"):
            try:
                status = path.stat()
            except FileNotFoundError:  # another process has just dropped it
                continue
            entries.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= limit_bytes:
                return
            _remove(path)
            total -= size


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        # Open in another process on a system that locks files; it goes at the next eviction.
        return
