"""The exam every later step starts from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from CEKWorldLib.exam.protocol import Acquisition, Anatomy
from CEKWorldLib.exam.volume import Volume


@dataclass(frozen=True)
class Exam:
    """A pre-contrast volume with what is known about it.

    Attributes:
        pre: the pre-contrast volume in the scanner's own intensity scale.
        acquisition: sequence settings read from the header, None where the header is silent.
        anatomy: the body region, when known; the model works without it.
        source: the file or folder it came from, when it came from one.
        warnings: sentences for the user, such as "looks already contrast-enhanced".
    """

    pre: Volume
    acquisition: Acquisition = field(default_factory=Acquisition)
    anatomy: Anatomy | None = None
    source: Path | None = None
    warnings: tuple[str, ...] = ()
