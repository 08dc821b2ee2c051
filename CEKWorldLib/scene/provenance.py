"""How a node says that it is synthetic, and how it was made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from CEKWorldLib.exam.image_series import SYNTHETIC_KEY
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.export.curves_csv import NOTICE

PREFIX = "SYNTHETIC"
NOTICE_KEY = "CEKWorld.Notice"


@dataclass(frozen=True)
class Provenance:
    """How a synthetic series was made.

    Attributes:
        model: name of the model.
        model_sha256: checksum of its weights.
        seed: of the noise field.
    """

    model: str
    model_sha256: str
    seed: int

    @classmethod
    def of(cls, series: TimeSeries) -> Provenance | None:
        """What a series says of the model that made it; None for an acquired one."""
        if not series.synthetic:
            return None
        made_by, unknown = series.made_by, "not recorded"
        seed = made_by.get("seed", "")
        return cls(
            made_by.get("model", unknown), made_by.get("model_sha256", unknown), int(seed) if seed.isdigit() else 0
        )

    @property
    def attributes(self) -> dict[str, str]:
        """Node attributes, saved with the scene and in ``.seq.nrrd``; the names are those ``cekworld`` writes."""
        return {
            SYNTHETIC_KEY: "1",
            NOTICE_KEY: NOTICE,
            "CEKWorld.model": self.model,
            "CEKWorld.model_sha256": self.model_sha256,
            "CEKWorld.seed": str(self.seed),
        }


def mark(node: Any, name: str, provenance: Provenance | None) -> None:
    """Names a node and says where its content comes from.

    Args:
        node: any MRML node.
        name: what it shows; synthetic nodes get a prefix.
        provenance: None for what a scanner acquired.
    """
    was_modifying = node.StartModify()  # or views follow every single attribute
    node.SetName(f"{PREFIX} {name.removeprefix(f'{PREFIX} ')}" if provenance else name)
    for key in Provenance("", "", 0).attributes:
        node.RemoveAttribute(key)
    for key, value in (provenance.attributes if provenance else {SYNTHETIC_KEY: "0"}).items():
        node.SetAttribute(key, value)
    node.EndModify(was_modifying)


def caption(time_s: float, synthetic: bool, exact: bool = True, partial: bool = False) -> str:
    """What a view says while it shows a time, such as ``SYNTHETIC t=+90 s``.

    Args:
        time_s: the time.
        synthetic: made by a model.
        exact: a frame of that very time, not computed from its neighbours.
        partial: some slices still show the source.
    """
    time = f"{PREFIX if synthetic else ''} t={round(time_s, 1):+g} s".strip()
    if partial:
        return f"{time} (not all slices yet)"
    return time if exact else f"{time} ({'preview' if synthetic else 'interpolated'})"
