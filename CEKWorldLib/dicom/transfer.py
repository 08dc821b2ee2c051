"""What the ways to an archive have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Unavailable(Exception):
    """The archive is out of reach or busy: the same files may be accepted in a moment.

    Args:
        reason: for the account.
        answers: of the files it did answer for.
    """

    def __init__(self, reason: str, answers: Mapping[Path, str] | None = None) -> None:
        super().__init__(reason)
        self.answers = dict(answers or {})


class Transfer(Protocol):
    """A way to store files in an archive."""

    def store(self, files: Mapping[Path, str]) -> dict[Path, str]:
        """Sends files.

        Args:
            files: path to SOPInstanceUID.

        Returns:
            For each file why it was refused, empty where it was accepted.

        Raises:
            Unavailable: worth another attempt.
            CEKWorldError: no attempt will succeed.
        """
        ...
