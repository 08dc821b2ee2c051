"""How an exam was acquired, and how contrast is injected into it (virtually or in the simulator)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Anatomy = Literal["breast", "abdomen", "brain"]
ANATOMIES: tuple[Anatomy, ...] = ("breast", "abdomen", "brain")


@dataclass(frozen=True)
class Acquisition:
    """The T1-weighted spoiled gradient-echo settings that decide how contrast shows. None means not known.

    Attributes:
        repetition_time_ms: TR, 3 to 10 ms in practice.
        echo_time_ms: TE, 1 to 4 ms.
        flip_angle_deg: excitation flip angle, 8 to 25 degrees.
        field_strength_t: B0, 1.5 or 3 T.
        fat_saturated: whether fat is suppressed.
    """

    repetition_time_ms: float | None = None
    echo_time_ms: float | None = None
    flip_angle_deg: float | None = None
    field_strength_t: float | None = None
    fat_saturated: bool | None = None


@dataclass(frozen=True)
class Injection:
    """The contrast injection. Time zero is the start of the injection, everywhere in CEKWorld.

    Attributes:
        arrival_s: bolus arrival in the arteries, seconds after injection start (10 to 40 s in practice).
        dose_mmol_per_kg: 0.1 for most agents.
        relaxivity: r1 of the agent in plasma, 1/(mM s); 3.6 (gadoterate) to 6.3 (gadobenate) at 1.5-3 T.
        cardiac_output: relative to the population mean; 0.75 slow (broad, late bolus) to 1.4 fast.
    """

    arrival_s: float = 20.0
    dose_mmol_per_kg: float = 0.1
    relaxivity: float = 4.5
    cardiac_output: float = 1.0

    def as_dict(self) -> dict[str, float]:
        return asdict(self)
