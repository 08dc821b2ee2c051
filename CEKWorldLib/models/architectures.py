"""Which network a configuration describes: the compact one or, where it says so, the published one."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.configuration import Configuration
from CEKWorldLib.models.world import WorldModel

if TYPE_CHECKING:
    from CEKWorldLib.models.paper import PaperConfiguration


def configuration_of(values: Mapping[str, Any]) -> Configuration | PaperConfiguration:
    """Reads what a configuration's ``as_dict`` wrote, or the table ``[model]`` of a training configuration.

    Raises:
        CEKWorldError: an entry this version does not know, or a package is missing.
        TypeError: an entry is missing or of a wrong kind.
    """
    if values.get("architecture") != "paper":
        return Configuration.from_dict(dict(values))
    return _published().PaperConfiguration.from_dict(dict(values))


def build(configuration: Configuration | PaperConfiguration) -> WorldModel:
    """The network, with fresh weights; the published one has the same interface."""
    if isinstance(configuration, Configuration):
        return WorldModel(configuration)
    return cast(WorldModel, _published().PaperWorldModel(configuration))


def _published() -> ModuleType:
    """The published model's module, which needs a package more and so is imported where it is asked for alone."""
    try:
        from CEKWorldLib.models import paper
    except ModuleNotFoundError as error:
        raise CEKWorldError(
            f"This model needs the package {error.name}; install it with: pip install 'cekworld[paper]'."
        ) from error
    return paper
