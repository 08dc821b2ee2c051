"""What CEKWorld wrote into the DICOM phases it synthesized: their exact times, the model, and which export they are of.

The text of DerivationDescription is the one ``dicom.marking.Provenance.derivation`` writes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset

from CEKWorldLib.exam.dicom_planes import Plane
from CEKWorldLib.exam.dicom_times import phase_times
from CEKWorldLib.exam.phase_times import PhaseTimes

_TIME = re.compile(r"(?<![a-z])t ?= ?([+-]?\d+(?:\.\d+)?) ?s\b", re.IGNORECASE)
_MODEL = re.compile(r"; model=(?P<model>.*); weights sha256=(?P<model_sha256>.*?); seed=(?P<seed>.*?); no contrast")


def synthetic_times(phases: Sequence[Sequence[Plane]]) -> PhaseTimes:
    """Times of phases a model made: "t = 90 s" of DerivationDescription, else as for acquired ones.

    CEKWorld counts t from the injection it pretends, and writes t into the text because the DICOM times of such
    phases are clock times (the source's acquisition plus t).
    """
    found = [_TIME.search(phase[0].times.get("DerivationDescription", "")) for phase in phases]
    seconds = np.array([float(match.group(1)) if match else np.nan for match in found])
    if not np.isfinite(seconds).all():
        return phase_times(phases)
    return PhaseTimes(seconds, ("DerivationDescription",) * len(phases), "DerivationDescription")


def made_by(header: Dataset) -> dict[str, str]:
    """The model that made an image, by the names of ``time_series.MODEL_FACTS``; empty where CEKWorld did not."""
    found = _MODEL.search(str(header.get("DerivationDescription") or ""))
    return found.groupdict() if found else {}


def export_of(header: Dataset) -> str:
    """The same for all images of one export by CEKWorld, and no others; "" for images it did not make.

    A study may hold several syntheses, of other seeds or models, which are no phases of one series.
    """
    if not made_by(header):
        return ""
    return f"{header.get('InstanceCreationDate')} {header.get('InstanceCreationTime')} {made_by(header)}"
