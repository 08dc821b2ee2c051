"""The progress bar of ``cekworld dataset build``."""

from __future__ import annotations

from collections import Counter

from tqdm import tqdm

from CEKWorldLib.dataset.building import BuildProgress
from CEKWorldLib.dataset.report import Outcome


class BuildBar(BuildProgress):
    """Folders seen, then exams done, with how many were accepted and rejected."""

    def __init__(self) -> None:
        # tqdm draws nothing where nobody watches (disable=None: not a terminal).
        self._bar = tqdm(desc="looking", unit="folder", disable=None)
        self._counts: Counter[str] = Counter()

    def __enter__(self) -> BuildBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def looking(self, folders: int) -> None:
        self._bar.update(folders - self._bar.n)

    def begin(self, exams: int) -> None:
        self._bar.close()
        self._bar = tqdm(total=exams, desc="building", unit="exam", disable=None)

    def done(self, outcome: Outcome) -> None:
        self._counts[outcome.status] += 1
        self._bar.set_postfix(self._counts)
        self._bar.update()
