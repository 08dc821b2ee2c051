"""The definitions a curve is judged by, stored with every result and printed on every plot."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Definition = Literal["signal", "enhancement"]
Reference = Literal["t_e", "peak"]
DEFINITIONS: tuple[Definition, ...] = ("signal", "enhancement")
REFERENCES: tuple[Reference, ...] = ("t_e", "peak")
Mode = Literal["mean", "hottest", "worst"]
"""Of which voxels of a region a curve is made: all, the hottest 3x3 window, or the worst cluster."""
MODES: tuple[Mode, ...] = ("mean", "hottest", "worst")


@dataclass(frozen=True)
class Settings:
    """Thresholds and definitions. Times are seconds after the start of the injection.

    The defaults are those of computer-aided breast MRI (Partridge et al., Acad Radiol 2014;21(9), fig. 2): initial
    enhancement at 90 s, gate and bounds at 50 and 100 %, plateau within 10 % of the signal at the initial phase.

    Attributes:
        definition: what the plateau's band is a percentage of: the ``signal`` of the reference sample, or its
            ``enhancement``. The same curve may be a plateau by one and washout by the other.
        reference: the sample the delayed phase is compared with: the one at ``t_e``, or the ``peak`` of the initial
            phase.
        t_e_s: time of the initial (early) sample.
        t_e_tolerance_s: how far from ``t_e_s`` a sample may lie to be taken for it.
        t_e_gap_s: longest gap between samples that is bridged by linear interpolation when none lies near ``t_e_s``.
        peak_within_s: the peak of the initial phase is looked for until this time.
        t_l_s: time of the delayed (late) sample, the nearest is taken; None takes the last in ``t_l_range_s``.
        t_l_range_s: when a delayed sample counts; an earlier one makes the class provisional.
        slow_below_percent: initial enhancement below it is slow.
        fast_above_percent: initial enhancement above it is fast, between the two medium.
        band_percent: a change within it, bounds included, is a plateau.
        gate_percent: initial enhancement below it gets no class in maps, and is flagged as weak in regions.
        ser_floor_percent: delayed enhancement smaller than this leaves the signal enhancement ratio undefined.
        linear_percent: above it a spoiled gradient echo is so far from linear that differences in enhancement no longer
            tell of differences in concentration (12 degrees, TR 5 ms, T1 1.3 s: 0.5 mM +174 %, 2 mM +364 %).
        arrival_s: bolus arrival where it is known; None finds it on each curve.
        noise_sd: standard deviation of the noise of one sample, in signal units, where it is known. Signal below three
            of them before contrast is background.
    """

    definition: Definition = "signal"
    reference: Reference = "t_e"
    t_e_s: float = 90.0
    t_e_tolerance_s: float = 30.0
    t_e_gap_s: float = 90.0
    peak_within_s: float = 180.0
    t_l_s: float | None = None
    t_l_range_s: tuple[float, float] = (240.0, 480.0)
    slow_below_percent: float = 50.0
    fast_above_percent: float = 100.0
    band_percent: float = 10.0
    gate_percent: float = 50.0
    ser_floor_percent: float = 5.0
    linear_percent: float = 300.0
    arrival_s: float | None = None
    noise_sd: float | None = None

    def __post_init__(self) -> None:
        if self.definition not in DEFINITIONS or self.reference not in REFERENCES:
            raise ValueError(f"no such definition or reference: {self.definition}, {self.reference}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Settings:
        """The inverse of ``as_dict``, also after a way through JSON, which has lists for tuples."""
        low, high = values.get("t_l_range_s", cls.t_l_range_s)
        return cls(**{**values, "t_l_range_s": (float(low), float(high))})

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    def description(self) -> str:
        """One line for a plot."""
        reference = "t_e" if self.reference == "t_e" else f"the peak until {self.peak_within_s:g} s"
        return (
            f"delayed phase: plateau within ±{self.band_percent:g} % of the {self.definition} at {reference}; "
            f"initial phase: slow < {self.slow_below_percent:g} %, fast > {self.fast_above_percent:g} %; "
            f"gate {self.gate_percent:g} %"
        )
