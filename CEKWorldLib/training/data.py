"""The ``[data]`` table of a training configuration: which sources batches come from, and in which shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.training.bank import build
from CEKWorldLib.training.exam_source import ExamSource
from CEKWorldLib.training.source import MixedSource, SlabSource


@dataclass(frozen=True)
class DataPlan:
    """Where batches come from.

    Attributes:
        slabs, bank_seed: size and first seed of the bank of simulated slabs.
        exams: cache of real exams; None trains on the bank alone.
        exam_share: share of batches from real exams; with 1 no bank is made.
    """

    slabs: int = 0
    bank_seed: int = 0
    exams: Path | None = None
    exam_share: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.exam_share <= 1.0:
            raise CEKWorldError(f"exam_share = {self.exam_share} is no share of batches; give a number up to 1.")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DataPlan:
        """Reads the tables ``bank`` and ``data``; KeyError or TypeError where an entry is missing or unknown."""
        bank: dict[str, Any] = {}
        if "bank" in values:
            bank = {"slabs": int(values["bank"]["slabs"]), "bank_seed": int(values["bank"]["seed"])}
        data = dict(values.get("data", {}))
        if "exams" in data:
            data["exams"] = Path(data["exams"])
        return cls(**bank, **data)

    @property
    def description(self) -> str:
        """For the model card; names no folder."""
        simulated = f"{self.slabs} simulated patients"
        if self.exams is None:
            return simulated
        real = "real exams from a local archive"
        return real if self.exam_share == 1.0 else f"{real} ({100 * self.exam_share:.0f} % of batches) and {simulated}"

    def source(self, work: Path, workers: int) -> SlabSource:
        """Opens the sources; the bank is made in ``work`` where it is not there.

        Raises:
            CEKWorldError: there is no data set, or nothing in it; or neither exams nor a bank are asked for.
        """
        exams = ExamSource.open(self.exams) if self.exams is not None else None
        if exams is not None and self.exam_share == 1.0:
            return exams
        if self.slabs <= 0:
            raise CEKWorldError(
                "Simulated batches need a [bank] with slabs and seed; add one, or train on exams alone."
            )
        bank = build(work / "bank", self.slabs, self.bank_seed, workers)
        return bank if exams is None else MixedSource((exams, bank), (self.exam_share, 1.0 - self.exam_share))
