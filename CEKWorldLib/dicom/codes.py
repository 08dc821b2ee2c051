"""Codes and units of the kinetic quantities, so that another program reads from an object what its numbers mean.

DICOM's own codes (PS3.16 annex D) are used where they exist. What it has no code for, percent enhancement, signal
enhancement ratio, initial phase and volume shares among them, is coded under ``SCHEME``.
"""

from __future__ import annotations

from dataclasses import dataclass

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from CEKWorldLib.kinetics.curve_type import CurveType, InitialPhase

SCHEME = "99CEKWORLD"


def coding_scheme() -> CodingSchemeIdentificationItem:
    """What an object that uses this project's own codes says of them (PS3.3 C.12.1.1.1)."""
    return CodingSchemeIdentificationItem(SCHEME, name="CEKWorld kinetics", responsible_organization="CEKWorld project")


def _own(value: str, meaning: str) -> Code:
    # At most 16 characters: longer ones go to LongCodeValue, where older readers do not look (PS3.3 8.1).
    return Code(value, SCHEME, meaning)


def _unit(value: str, meaning: str) -> Code:
    return Code(value, "UCUM", meaning)


_PERCENT, _SECOND, _RATIO = codes.UCUM.Percent, codes.UCUM.Second, codes.UCUM.NoUnits
_PERCENT_SECOND = _unit("%.s", "percent second")
_PERCENT_PER_SECOND = _unit("%/s", "percent per second")
_PERCENT_PER_MINUTE = _unit("%/min", "percent per minute")


@dataclass(frozen=True)
class Quantity:
    """A kinetic quantity as DICOM names it.

    Attributes:
        label: at most 16 characters, as a LUT label is.
        concept: its code; the meaning says how it is computed where names differ between laboratories.
        unit: UCUM.
    """

    label: str
    concept: Code
    unit: Code


# Named as the maps and statistics of kinetics/ are.
QUANTITIES = {
    "percent_enhancement": Quantity("PE", _own("PE", "Percent enhancement 100 (S - S0) / S0"), _PERCENT),
    "delayed_enhancement": Quantity(
        "PE delayed", _own("PE-delayed", "Percent enhancement in the delayed phase"), _PERCENT
    ),
    "peak_enhancement": Quantity("PE peak", _own("PE-peak", "Largest percent enhancement"), _PERCENT),
    "delayed_change": Quantity(
        "delayed change", _own("delayed-change", "Change from initial to delayed phase"), _PERCENT
    ),
    # Three incompatible ratios go by this name, so the meaning spells ours, UCSF's, out.
    "ser": Quantity("SER_UCSF", _own("SER-UCSF", "Signal enhancement ratio (Se - S0) / (Sl - S0)"), _RATIO),
    "ttp_s": Quantity("TTP", codes.DCM.TimeToPeak, _SECOND),
    "ttp_from_arrival_s": Quantity("TTP from BAT", _own("TTP-from-BAT", "Time to peak after bolus arrival"), _SECOND),
    "arrival_s": Quantity("BAT", codes.DCM.BolusArrivalTime, _SECOND),
    "wash_in": Quantity("wash-in", _own("wash-in", "Wash-in slope of percent enhancement"), _PERCENT_PER_SECOND),
    "max_slope": Quantity("max slope", codes.DCM.MaximumSlope, _PERCENT_PER_SECOND),
    "wash_out": Quantity("wash-out", _own("wash-out", "Wash-out slope of percent enhancement"), _PERCENT_PER_MINUTE),
    # The code speaks of a concentration; the unit says that this is the integral of percent enhancement.
    "iauc60": Quantity("iAUC60", codes.DCM.IAUC60, _PERCENT_SECOND),
    "iauc90": Quantity("iAUC90", codes.DCM.IAUC90, _PERCENT_SECOND),
    "iauc180": Quantity("iAUC180", codes.DCM.IAUC180, _PERCENT_SECOND),
}
RELATIVE = Quantity(
    "relative enhancement", _own("relative-enhancement", "Enhancement relative to a reference tissue"), _RATIO
)
SIGNAL = Quantity(
    "signal", codes.DCM.T1WeightedDynamicContrastEnhancedMRSignalIntensity, _unit("[arb'U]", "arbitrary unit")
)

VOXELS = Quantity("voxels", _own("voxels", "Number of voxels"), _unit("{voxels}", "voxels"))
ENHANCING_VOXELS = Quantity("above gate", _own("voxels-enhancing", "Number of voxels above the gate"), VOXELS.unit)


# Made for prostate reports, but worded for any organ.
CURVE_TYPES = {
    CurveType.PERSISTENT: codes.DCM.PersistentDelayedPhaseType1Curve,
    CurveType.PLATEAU: codes.DCM.PlateauDelayedPhaseType2Curve,
    CurveType.WASHOUT: codes.DCM.WashoutDelayedPhaseType3Curve,
}
INITIAL_PHASES = {
    InitialPhase.SLOW: _own("initial-slow", "Slow initial phase"),
    InitialPhase.MEDIUM: _own("initial-medium", "Medium initial phase"),
    InitialPhase.FAST: _own("initial-fast", "Fast initial phase"),
}
SHARES = {
    kind: Quantity(f"share type {number}", _own(f"share-type-{number}", f"Share of type {number} voxels"), _PERCENT)
    for number, kind in enumerate(CURVE_TYPES, start=1)
}
PROCEDURE = Code("113091000", "SCT", "Magnetic resonance imaging")
CURVE_TYPE = codes.DCM.TimeCourseOfSignal
INITIAL_PHASE = _own("initial-phase", "Initial phase of enhancement")
INJECTION_START = _own("injection-start", "Start of contrast injection")
FIRST_PHASE = _own("first-phase", "First phase of the series")
CLASSIFICATION = _own("curve-types", "Classification of time-intensity curves")
SELECTION = _own("curve-voxels", "Selection of the voxels of a curve")
