"""Times of a 4-D NIfTI file from the JSON file that BIDS puts beside it (bids-specification.readthedocs.io)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from CEKWorldLib.exam.phase_times import PhaseTimes

# When each volume began, in seconds. RepetitionTime is no such thing in a dynamic scan: converters write TR there.
_KEYS = ("VolumeTiming", "FrameTimesStart")
_MAX_BYTES = 1 << 20  # converters write a few kB


def sidecar_of(path: Path) -> Path:
    """Where the sidecar of ``name.nii`` or ``name.nii.gz`` lies, if there is one: ``name.json``."""
    return path.with_name(path.name[: path.name.lower().rindex(".nii")] + ".json")


def sidecar_times(path: Path, phases: int) -> PhaseTimes | None:
    """Times after the first volume; None where no such file tells one for every phase.

    Args:
        path: ``name.nii`` or ``name.nii.gz``.
        phases: how many there are.
    """
    sidecar = sidecar_of(path)
    try:
        if sidecar.stat().st_size > _MAX_BYTES:
            return None
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # none, or damaged: then it tells nothing
        return None
    for key in _KEYS:
        values = content.get(key) if isinstance(content, dict) else None
        if isinstance(values, list) and len(values) == phases and all(isinstance(v, (int, float)) for v in values):
            # Without the file's name, which may be a patient's: sources are kept where nobody may be named.
            return PhaseTimes(np.array(values, float), (f"{key} of the sidecar",) * phases)
    return None
