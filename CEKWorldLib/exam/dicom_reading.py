"""Reads one MR series from a DICOM folder: headers to planes, planes to a volume."""

from __future__ import annotations

import warnings
from pathlib import Path

from CEKWorldLib.exam.checks import check_size, check_volume, contrast_warnings, protocol_warnings
from CEKWorldLib.exam.dicom_files import find_series
from CEKWorldLib.exam.dicom_planes import decode, planes_of
from CEKWorldLib.exam.dicom_protocol import acquisition_of, names_contrast_agent
from CEKWorldLib.exam.dicom_stack import distinct, stack_of
from CEKWorldLib.exam.protocol import Acquisition
from CEKWorldLib.exam.volume import Volume


def read_dicom(path: Path, series: str | int | None = None) -> tuple[Volume, Acquisition, tuple[str, ...]]:
    """Reads a series.

    Args:
        path: a folder (searched with its subfolders), or one file: then its series is taken from the same folder.
        series: SeriesNumber or the beginning of the SeriesInstanceUID, where the folder holds several.

    Returns:
        The checked volume, slices sorted along their normal, in rescaled units; the acquisition; warnings.

    Raises:
        CEKWorldError: nothing to read, not MR, several series or phases, missing slices, damaged or undecodable files.
    """
    with warnings.catch_warnings():
        # Dirty headers (long decimal strings, odd character sets) are the rule, and the texts may quote patient data.
        warnings.simplefilter("ignore")
        headers, damaged = find_series(path, series)
        name = headers[0].file.name if len(headers) == 1 else path.resolve().name
        stack = stack_of(distinct(planes_of(headers)), name)
        check_size(stack.shape, name)
        volume, notes = stack.volume(decode(stack.planes)), stack.notes
        first = headers[0].data
        acquisition = acquisition_of(first)
        agent = names_contrast_agent(first)
        synthetic = first.get("SyntheticData") == "YES"
    check_volume(volume, name)
    if damaged:
        notes += (f"{len(damaged)} damaged DICOM file(s) were left out, the first is {damaged[0].name}.",)
    if synthetic:
        notes += ("A model made these images (SyntheticData YES); CEKWorld expects a volume that was acquired.",)
    texts = tuple(str(first.get(key) or "") for key in ("SeriesDescription", "ProtocolName"))
    notes += protocol_warnings(acquisition) + contrast_warnings(volume, texts, agent)
    return volume, acquisition, notes
