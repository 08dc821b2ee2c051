"""How much an ablation trains and measures: image size, patients, steps, network."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.configuration import Configuration
from CEKWorldLib.training.loop import Schedule
from CEKWorldLib.training.toml_file import read_toml

SHIPPED = Path(__file__).parent / "budgets"


@dataclass(frozen=True)
class Budget:
    """One budget file.

    Attributes:
        size: image side in pixels.
        patients: training patients of each anatomy.
        exams: held-out exams of each anatomy.
        redraws: draws of kinetics that the oracle averages.
        sampler_steps: Euler steps of the flow when it is measured.
        model: the network.
        decoder, regression: stages that all rows of a seed start from.
        shared_flow: flow training that all rows of a seed with the same start begin with.
        half: one half of a row's own flow training.
    """

    size: int
    patients: int
    exams: int
    redraws: int
    sampler_steps: int
    model: Configuration
    decoder: Schedule
    regression: Schedule
    shared_flow: Schedule
    half: Schedule

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON, equal for equal budgets."""
        return asdict(self)


def read_budget(name_or_file: str | Path) -> Budget:
    """Reads a shipped budget by name or a TOML file.

    Raises:
        CEKWorldError: the file is missing or has an entry that means nothing, naming both.
    """
    path, values = read_toml("budget", name_or_file, SHIPPED)
    try:
        flow, shared, size = values.pop("flow"), values.pop("shared"), values["size"]
        shared_steps, half_steps = flow.pop("shared_steps"), flow.pop("half_steps")
        return Budget(
            model=Configuration.from_dict(values.pop("model")),
            decoder=Schedule(size=size, **shared["decoder"]),
            regression=Schedule(size=size, **shared["regression"]),
            shared_flow=Schedule(steps=shared_steps, size=size, **flow),
            half=Schedule(steps=half_steps, size=size, **flow),
            **values,
        )
    except (KeyError, TypeError) as error:
        raise CEKWorldError(f"{path} lacks or misspells an entry: {error}.") from error
