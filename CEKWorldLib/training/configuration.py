"""The training configuration file: model sizes, the data, and the stages in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.configuration import Configuration
from CEKWorldLib.training.consistency import Consistency
from CEKWorldLib.training.data import DataPlan
from CEKWorldLib.training.flow_stage import FlowStage
from CEKWorldLib.training.loop import Schedule
from CEKWorldLib.training.stages import ContextStage, DecoderStage, RefinementStage, RegressionStage, Stage
from CEKWorldLib.training.toml_file import read_toml

SHIPPED = Path(__file__).parent / "configurations"
STAGES: dict[str, Callable[..., Stage]] = {
    "decoder": DecoderStage,
    "context": ContextStage,
    "regression": RegressionStage,
    "refinement": RefinementStage,
    "flow": FlowStage,
}


@dataclass(frozen=True)
class StagePlan:
    """One stage as the file names it.

    Attributes:
        name: of its checkpoint and log entries.
        kind: key of ``STAGES``.
        schedule: how long and how hard.
        options: what the stage's class takes beside.
    """

    name: str
    kind: str
    schedule: Schedule
    options: Mapping[str, Any] = field(default_factory=dict)

    def make(self) -> Stage:
        return STAGES[self.kind](**self.options)


@dataclass(frozen=True)
class TrainingConfiguration:
    """A whole training run.

    Attributes:
        model: the network.
        data: where batches come from.
        stages: in order.
    """

    model: Configuration
    data: DataPlan
    stages: tuple[StagePlan, ...]


def read_configuration(name_or_file: str | Path) -> TrainingConfiguration:
    """Reads a shipped configuration by name or a TOML file.

    Raises:
        CEKWorldError: the file is missing or has an entry that means nothing, naming both.
    """
    path, values = read_toml("training configuration", name_or_file, SHIPPED)
    try:
        stages = tuple(_stage(dict(entry)) for entry in values["stages"])
        model = Configuration.from_dict(values["model"])
        return TrainingConfiguration(model, DataPlan.from_dict(values), stages)
    except (KeyError, TypeError) as error:
        raise CEKWorldError(f"{path} lacks or misspells an entry: {error}.") from error


def _stage(entry: dict[str, Any]) -> StagePlan:
    name, kind = entry.pop("name"), entry.pop("kind")
    if kind not in STAGES:
        raise CEKWorldError(f"Training stage '{name}' has the kind '{kind}'; known are {', '.join(STAGES)}.")
    known = {f.name for f in fields(Schedule)}
    options = {key: value for key, value in entry.items() if key not in known}
    if "consistency" in options:
        options["consistency"] = Consistency(**options["consistency"])
    plan = StagePlan(name, kind, Schedule(**{k: v for k, v in entry.items() if k in known}), options)
    plan.make()  # an option the stage does not know shows here, not after hours
    return plan
