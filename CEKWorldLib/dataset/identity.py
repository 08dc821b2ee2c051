"""Names without people: keyed hashes of patients and studies, and the split that follows from them.

A plain hash of a PatientID is undone by hashing all seven-digit numbers. So the hash has a key (HMAC, RFC 2104), which
lies outside of the cache: who has the cache alone learns nothing, who has the key can build it again with the same
names.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from CEKWorldLib.errors import CEKWorldError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
_KEY_BYTES = 32
_DIGITS = 12  # hexadecimal; among a million patients two share a name with a chance of 0.2 %


@dataclass(frozen=True)
class Fractions:
    """Shares of patients, in the order of ``SPLITS``; they sum to 1."""

    train: float = 0.8
    validation: float = 0.1
    test: float = 0.1

    def split(self, patient: str) -> Split:
        """The split of a patient: where the hash falls, whoever else is there, so a growing archive moves nobody."""
        place = int(patient, 16) / 16 ** len(patient)
        return "train" if place < self.train else "validation" if place < self.train + self.validation else "test"


class Anonymizer:
    """Turns identities into names that lead nowhere without the key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def from_file(cls, path: Path) -> Anonymizer:
        """Reads the key, or makes one that only its owner can read.

        Raises:
            CEKWorldError: the file cannot be read or written, or is no key.
        """
        try:
            if not path.exists():
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                    file.write(secrets.token_hex(_KEY_BYTES) + "\n")
            key = bytes.fromhex(path.read_text().strip())
        except OSError as error:
            raise CEKWorldError(
                f"The key {path} cannot be opened ({error.strerror}); check its permissions."
            ) from error
        except ValueError as error:
            raise CEKWorldError(f"{path} is no key; it should hold {2 * _KEY_BYTES} hexadecimal digits.") from error
        if len(key) != _KEY_BYTES:
            raise CEKWorldError(f"{path} is no key; it should hold {2 * _KEY_BYTES} hexadecimal digits.")
        return cls(key)

    def name(self, *parts: str) -> str:
        """Twelve hexadecimal digits for an identity; the same key gives the same ones, everywhere."""
        return hmac.new(self._key, "\0".join(parts).encode(), hashlib.sha256).hexdigest()[:_DIGITS]
