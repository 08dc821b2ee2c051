"""Volume sequences as 3D Slicer reads and writes them (``.seq.nrrd``).

A 4-D NRRD whose last axis is a list. What Slicer adds to the format (vtkMRMLVolumeSequenceStorageNode): the list axis's
label and unit are the index name and unit, ``axis 3 index type`` and ``axis 3 index values`` hold the index, and
``DataNodeClassName`` the node of an item; any other key becomes an attribute of the sequence node.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.export.atomic import replacing

INDEX_NAME, INDEX_UNIT = "time", "s"
_CLASS_KEY, _TYPE_KEY, _VALUES_KEY = "DataNodeClassName", "axis 3 index type", "axis 3 index values"
_GZIP = 31  # zlib's window bits for a gzip stream
# Integers keep an eighth of the disk and are what scanners write. Below 1000 grey levels rounding would show in curves
# (0.05 % of the range at 1000); above 8191 fourfold enhancement of the brightest voxel could leave int16.
_INTEGER_MAXIMUM = (1000, 8191)


@dataclass(frozen=True)
class VolumeSequence:
    """A sequence read back.

    Attributes:
        volume: the first frame with the geometry of all.
        times_s: (T,) index values.
        frames: (T, slices, rows, columns) in the file's own type.
        attributes: attributes of the sequence node.
    """

    volume: Volume
    times_s: np.ndarray
    frames: np.ndarray
    attributes: dict[str, str]


def write_sequence(
    path: Path | str,
    volume: Volume,
    times_s: Sequence[float],
    frames: Iterable[np.ndarray],
    attributes: Mapping[str, str],
) -> None:
    """Writes frames one by one, so that memory holds one of them at a time.

    Args:
        path: file to write; named ``*.seq.nrrd``, Slicer takes it for a sequence.
        volume: geometry of every frame, and by its voxels the type stored: int16 where they are whole numbers whose
            maximum suits it, float32 otherwise.
        times_s: T index values in seconds, rising.
        frames: T arrays of the volume's shape, in the order of ``times_s``.
        attributes: kept as attributes of the sequence node.

    Raises:
        CEKWorldError: the file cannot be written.
        ValueError: times that do not rise, or frames that are not T or not of the volume's shape.
    """
    path = Path(path)
    if np.any(np.diff(times_s) <= 0):
        raise ValueError("times must rise")
    kind = _stored_type(volume.voxels)
    packer = zlib.compressobj(level=1, wbits=_GZIP)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(_header(volume, times_s, kind, attributes).encode("utf-8"))
        for _, frame in zip(times_s, frames, strict=True):
            if frame.shape != volume.shape:
                raise ValueError(f"a frame of {frame.shape} does not fit a volume of {volume.shape}")
            file.write(packer.compress(_stored(frame, kind).data))
        file.write(packer.flush())


def read_sequence(path: Path | str) -> VolumeSequence:
    """Reads a ``.seq.nrrd`` of scalar volumes in LPS, such as ``write_sequence`` writes.

    Raises:
        CEKWorldError: not a readable volume sequence.
    """
    import nrrd  # slow to import, and only readers need it

    try:
        data, header = nrrd.read(str(path), index_order="C")
    except (OSError, ValueError, nrrd.NRRDError) as error:
        raise CEKWorldError(f"Cannot read {path} as NRRD; it may be damaged or of another format.") from error
    if data.ndim != 4 or header.get("space") != "left-posterior-superior" or _VALUES_KEY not in header:
        raise CEKWorldError(f"{path} is not a sequence of scalar volumes; save it from Slicer as .seq.nrrd.")
    axes = np.asarray(header["space directions"], float)[:3]
    spacing = np.linalg.norm(axes, axis=1)
    volume = Volume(
        voxels=data[0].astype(np.float32, copy=False),
        spacing=tuple(spacing.tolist()),
        origin=tuple(np.asarray(header["space origin"], float).tolist()),
        direction=tuple((axes / spacing[:, None]).T.ravel().tolist()),
    )
    own = {"type", "dimension", "space", "sizes", "space directions", "kinds", "labels", "units", "endian", "encoding"}
    own |= {"space origin", _CLASS_KEY, _TYPE_KEY, _VALUES_KEY}
    return VolumeSequence(
        volume=volume,
        times_s=np.array(header[_VALUES_KEY].split(), float),
        frames=data,
        attributes={key: value for key, value in header.items() if key not in own},
    )


def _stored_type(voxels: np.ndarray) -> np.dtype:
    lowest, highest = float(voxels.min()), float(voxels.max())
    whole = -highest <= lowest and _INTEGER_MAXIMUM[0] <= highest <= _INTEGER_MAXIMUM[1]
    return np.dtype("<i2") if whole and np.array_equal(voxels, np.rint(voxels)) else np.dtype("<f4")


def _stored(frame: np.ndarray, kind: np.dtype) -> np.ndarray:
    if kind.kind == "i":
        bounds = np.iinfo(kind)
        frame = np.clip(np.rint(frame), bounds.min, bounds.max)
    return np.ascontiguousarray(frame, kind)


def _header(volume: Volume, times_s: Sequence[float], kind: np.dtype, attributes: Mapping[str, str]) -> str:
    slices, rows, columns = volume.shape
    axes = (np.array(volume.direction).reshape(3, 3) * volume.spacing).T
    directions = " ".join(_vector(axis) for axis in axes)
    lines = [
        "NRRD0005",
        f"type: {'short' if kind.kind == 'i' else 'float'}",
        "dimension: 4",
        "space: left-posterior-superior",
        f"sizes: {columns} {rows} {slices} {len(times_s)}",
        f"space directions: {directions} none",
        "kinds: domain domain domain list",
        f'labels: "" "" "" "{INDEX_NAME}"',
        f'units: "" "" "" "{INDEX_UNIT}"',
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(volume.origin)}",
        *(f"{key}:={_escaped(value)}" for key, value in attributes.items()),
        f"{_CLASS_KEY}:=vtkMRMLScalarVolumeNode",
        f"{_TYPE_KEY}:=numeric",
        f"{_VALUES_KEY}:={' '.join(f'{t:.10g}' for t in times_s)}",
    ]
    return "\n".join(lines) + "\n\n"


def _vector(values: Iterable[float]) -> str:
    return "(" + ",".join(repr(float(value)) for value in values) + ")"


def _escaped(value: str) -> str:
    """Backslashes and line breaks are the two things a NRRD value escapes."""
    return value.replace("\\", "\\\\").replace("\n", "\\n")
