"""Runs dciodvfy (Debian dicom3tools), a judge of DICOM objects that this project did not write."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

# Complaints that may stand, by the reason why. Patterns match a whole line.
ALLOWED = {
    "the dictionary, of 2022, lacks SyntheticData (0008,001C), type 3 in SOP Common (PS3.3 C.12.1)": (
        r"Warning - </\(0008,001c\)> - Unrecognized tag - assuming explicit value representation OK \[CS\]",
        r"Error - </\(0008,001c\)> - Attribute with an even group number is not a recognized standard attribute",
        r"Warning - </\(0008,001c\)> - Attribute is not present in standard DICOM IOD",
    ),
    "the dictionary, of 2022, lacks QUANTITY, value 4 of a Parametric Map's ImageType and FrameType (PS3.3 C.8.32.2)": (
        r"Warning - </(.*/)?(ImageType\(0008,0008\)|FrameType\(0008,9007\))\[4\]> - "
        r"Unrecognized defined term = <QUANTITY>",
    ),
    "our own coding scheme; designators that begin with 99 are free for that (PS3.16 section 8)": (
        r"Warning - </.*CodingSchemeDesignator\(0008,0102\)\[1\]> - Unrecognized defined term = <99CEKWORLD>",
    ),
    "the body part of the source, and with it the side, is indeed not known; the warning only recalls the rule": (
        r"Warning - </Laterality\(0020,0060\)> - is only permitted to be empty when actually unknown; .*",
    ),
    "names are the source's and are written as the archive knows them": (
        r"Warning - </(PatientName\(0010,0010\)|ReferringPhysicianName\(0008,0090\))\[1\]> - "
        r"Value dubious for this VR \[PN\] = <.*> - Retired Person Name form",
    ),
    "an empty StudyID (type 2) is the source's too: another one would make two studies of one": (
        r"Warning - </StudyID\(0020,0010\)> - Missing attribute or value that would be needed to build DICOMDIR",
    ),
}
_COMPLAINT = re.compile(r"(?:Error|Warning|Abort) - ")


def complaints(path: Path) -> list[str]:
    """The errors and warnings of dciodvfy about one file, less the allowed ones.

    Skips the test where the program is not installed.
    """
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy not found; install the Debian package dicom3tools")
    run = subprocess.run([program, "-new", str(path)], capture_output=True, text=True, errors="replace", timeout=120)
    lines = (run.stdout + run.stderr).splitlines()
    # It names the kind of object even where it finds nothing wrong.
    assert lines, f"dciodvfy said nothing about {path.name}"
    patterns = [re.compile(pattern) for group in ALLOWED.values() for pattern in group]
    return [line for line in lines if _COMPLAINT.match(line) and not any(p.fullmatch(line) for p in patterns)]
