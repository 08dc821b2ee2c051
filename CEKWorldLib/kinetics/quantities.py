"""What every statistic is called, for readers, tables and files."""

from __future__ import annotations

from typing import NamedTuple


class Quantity(NamedTuple):
    """A statistic of a curve: a reader's name for it and its unit ("" for a ratio)."""

    label: str
    unit: str


# Three incompatible ratios go by the name of SER in public code; this is UCSF's, PE(t_e) / PE(t_l).
QUANTITIES = {
    "percent_enhancement": Quantity("enhancement at t_e", "%"),
    "delayed_enhancement": Quantity("enhancement at t_l", "%"),
    "peak_enhancement": Quantity("peak enhancement", "%"),
    "delayed_change": Quantity("delayed change", "%"),
    "ser": Quantity("signal enhancement ratio (UCSF)", ""),
    "arrival_s": Quantity("bolus arrival", "s"),
    "ttp_s": Quantity("time to peak after injection", "s"),
    "ttp_from_arrival_s": Quantity("time to peak after bolus arrival", "s"),
    "wash_in": Quantity("wash-in slope", "%/s"),
    "max_slope": Quantity("maximum slope", "%/s"),
    "wash_out": Quantity("wash-out slope", "%/min"),
    "iauc60": Quantity("area under the enhancement curve, first 60 s", "%·s"),
    "iauc90": Quantity("area under the enhancement curve, first 90 s", "%·s"),
    "iauc180": Quantity("area under the enhancement curve, first 180 s", "%·s"),
}
DURATIONS_S = (60.0, 90.0, 180.0)  # of the areas above
