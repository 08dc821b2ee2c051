"""The training configuration file: model sizes, the data, and the stages in order."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.architectures import configuration_of
from CEKWorldLib.models.configuration import Configuration
from CEKWorldLib.training.acquisition_times import TIMES
from CEKWorldLib.training.consistency import Consistency
from CEKWorldLib.training.data import DataPlan
from CEKWorldLib.training.diffusion_stage import DiffusionStage
from CEKWorldLib.training.flow_stage import FlowStage
from CEKWorldLib.training.loop import Schedule
from CEKWorldLib.training.stages import ContextStage, DecoderStage, RefinementStage, RegressionStage, Stage
from CEKWorldLib.training.toml_file import read_toml

if TYPE_CHECKING:
    from CEKWorldLib.models.paper import PaperConfiguration

SHIPPED = Path(__file__).parent / "configurations"
TABLES = ("model", "data", "bank", "live", "stages")
_RESERVED = "start"
STAGES: dict[str, Callable[..., Stage]] = {
    "decoder": DecoderStage,
    "context": ContextStage,
    "regression": RegressionStage,
    "refinement": RefinementStage,
    "flow": FlowStage,
    "diffusion": DiffusionStage,
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
        name: of a shipped file, or of a user's own without its folder.
    """

    model: Configuration | PaperConfiguration
    data: DataPlan
    stages: tuple[StagePlan, ...]
    name: str = ""


def read_configuration(name_or_file: str | Path) -> TrainingConfiguration:
    """Reads a shipped configuration by name or a TOML file.

    Raises:
        CEKWorldError: the file is missing or has an entry that means nothing, naming both.
    """
    path, values = read_toml("training configuration", name_or_file, SHIPPED)
    unknown = values.keys() - TABLES
    if unknown:
        raise CEKWorldError(f"{path} has unknown entries {sorted(unknown)}; known are {', '.join(TABLES)}.")
    try:
        stages = tuple(_stage(dict(entry)) for entry in values["stages"])
        _check_names([plan.name for plan in stages])
        model = configuration_of(values["model"])
        _check_kinds(model, stages)
        name = path.stem if path.parent == SHIPPED else path.name
        return TrainingConfiguration(model, DataPlan.from_dict(values), stages, name)
    except (KeyError, TypeError, ValueError) as error:
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
    least = 2 if "consistency" in options else 1  # LAL and LDL compare times
    if not least <= plan.schedule.times <= TIMES:
        raise CEKWorldError(f"Training stage '{name}' asks for {plan.schedule.times} times; give {least} to {TIMES}.")
    return plan


def _check_names(names: list[str]) -> None:
    """Names are those of checkpoints: two alike would be one, and ``start`` is what a run starts from."""
    plain = all(isinstance(name, str) and re.fullmatch(r"[\w-]+", name) for name in names)
    if not names or not plain or len(set(names)) < len(names) or _RESERVED in names:
        raise CEKWorldError(
            f"Training stages need names of their own, of letters, digits, - and _, but not '{_RESERVED}'; these are "
            f"{names}."
        )


def _check_kinds(model: Configuration | PaperConfiguration, stages: Sequence[StagePlan]) -> None:
    """The published model knows the diffusion alone, which no other knows."""
    published = not isinstance(model, Configuration)
    for plan in stages:
        if (plan.kind == "diffusion") != published:
            raise CEKWorldError(
                f"Training stage '{plan.name}' is of the kind '{plan.kind}', which {model.name} is not."
            )
