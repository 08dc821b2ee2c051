"""The ``[data]`` table of a training configuration: which sources batches come from, and in which shares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.training.bank import build
from CEKWorldLib.training.exam_source import ExamSource
from CEKWorldLib.training.live_source import LivePlan
from CEKWorldLib.training.source import MixedSource, SlabSource
from CEKWorldLib.training.toml_file import whole_numbers


@dataclass(frozen=True)
class DataPlan:
    """Where batches come from.

    Attributes:
        slabs, bank_seed: size and first seed of the bank of simulated slabs.
        live: patients simulated while training, instead of a bank.
        exams: cache of real exams; None trains on the bank alone.
        exam_share: share of batches from real exams; with 1 no bank is made.
    """

    slabs: int = 0
    bank_seed: int = 0
    live: LivePlan | None = None
    exams: Path | None = None
    exam_share: float = 1.0

    def __post_init__(self) -> None:
        whole_numbers("[bank]", slabs=(self.slabs, 0), seed=(self.bank_seed, 0))
        if not 0.0 < self.exam_share <= 1.0:
            raise CEKWorldError(f"exam_share = {self.exam_share} is no share of batches; give a number up to 1.")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DataPlan:
        """Reads the tables bank, live and data; KeyError or TypeError where an entry is missing or unknown."""
        if "live" in values and "bank" in values:
            raise CEKWorldError("Simulated batches come from a [bank] or a [live]; keep one of the two.")
        bank: dict[str, Any] = {"live": LivePlan(**values["live"])} if "live" in values else {}
        if "bank" in values:
            bank = _bank(**values["bank"])
        data = dict(values.get("data", {}))
        if "exams" in data:
            data["exams"] = Path(data["exams"])
        return cls(**bank, **data)

    @property
    def description(self) -> str:
        """For the model card; names no folder."""
        simulated = "patients simulated while training" if self.live else f"{self.slabs} simulated patients"
        if self.exams is None:
            return simulated
        real = "real exams from a local archive"
        return real if self.exam_share == 1.0 else f"{real} ({100 * self.exam_share:.0f} % of batches) and {simulated}"

    def source(self, work: Path, workers: int) -> AbstractContextManager[SlabSource]:
        """The sources, for as long as they are drawn from; the bank is made in ``work`` where it is not there.

        Raises:
            CEKWorldError: there is no data set, or nothing in it; or neither exams nor a bank are asked for.
        """
        exams = ExamSource.open(self.exams) if self.exams is not None else None
        if exams is not None and self.exam_share == 1.0:
            return nullcontext(exams)
        if self.slabs <= 0 and self.live is None:
            raise CEKWorldError(
                "Simulated batches need a [bank] with slabs and seed, or a [live]; add one, or train on exams alone."
            )
        return self._with_simulated(exams, work, workers)

    @contextmanager
    def _with_simulated(self, exams: ExamSource | None, work: Path, workers: int) -> Iterator[SlabSource]:
        with self._simulated(work, workers) as simulated:
            shares = (self.exam_share, 1.0 - self.exam_share)
            yield simulated if exams is None else MixedSource((exams, simulated), shares)

    def _simulated(self, work: Path, workers: int) -> AbstractContextManager[SlabSource]:
        if self.live is not None:
            return closing(self.live.source(workers, PartialState().num_processes))
        return nullcontext(build(work / "bank", self.slabs, self.bank_seed, workers))


def _bank(slabs: int, seed: int) -> dict[str, Any]:
    return {"slabs": slabs, "bank_seed": seed}
