"""The words a reader uses for a time-intensity curve."""

from __future__ import annotations

from enum import IntEnum


class CurveType(IntEnum):
    """Delayed phase of a curve (Kuhl, Radiology 1999;211:101; ACR BI-RADS MRI 2013).

    The order is the order of suspicion, so that the worst of several types is their maximum. NONE stands for a curve
    that is not evaluable or, in maps, below the enhancement gate.
    """

    NONE = 0
    PERSISTENT = 1
    PLATEAU = 2
    WASHOUT = 3


class InitialPhase(IntEnum):
    """Initial phase of a curve (ACR BI-RADS MRI 2013); NONE where it is not evaluable."""

    NONE = 0
    SLOW = 1
    MEDIUM = 2
    FAST = 3


TYPES = (CurveType.PERSISTENT, CurveType.PLATEAU, CurveType.WASHOUT)
