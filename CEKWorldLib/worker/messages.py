"""What client and worker say to each other: typed messages, one JSON object per line.

The client sends requests, each with an id of its own; the worker answers every request but ``Cancel`` and ``Quit``
with one reply or one ``Failed`` of that id. Voxels never travel in messages, they lie in files of the shared folder.
This file imports nothing but the standard library and plain dataclasses, so that it loads inside Slicer.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import cache
from typing import Any, Literal, get_args, get_type_hints

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.protocol import Acquisition, Anatomy, Injection

PROTOCOL = 1

FailureKind = Literal["input", "cancelled", "out_of_memory", "protocol", "internal", "died"]


class ProtocolError(CEKWorldError):
    """A line is not a message of this protocol version."""


@dataclass(frozen=True)
class Geometry:
    """A volume's shape (slices, rows, columns) and place, as in ``exam.volume.Volume``."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


# Requests


@dataclass(frozen=True)
class Open:
    """Load a model. The first request.

    Attributes:
        folder: the shared folder; the worker removes it when it ends.
        model: name or folder.
        device: ``auto``, ``cpu`` or ``cuda``.
        cache: folder for finished series.
        memory_limit_bytes: for latents and key frames; None takes the session's default.
    """

    id: int
    folder: str
    model: str
    device: str
    cache: str
    memory_limit_bytes: int | None = None
    protocol: int = PROTOCOL


@dataclass(frozen=True)
class Prepare:
    """Take an exam: a file or DICOM folder, or float32 voxels in the shared folder with their geometry.

    An exam that is refused leaves the one before in its place.
    """

    id: int
    path: str | None = None
    series: str | int | None = None
    voxels_file: str | None = None
    geometry: Geometry | None = None
    acquisition: Acquisition | None = None
    anatomy: Anatomy | None = None


@dataclass(frozen=True)
class Synthesize:
    """Synthesize the key times of all slices, nearest to ``first_slice`` first.

    Attributes:
        run: number of the settings. With the number of a run that was cancelled, goes on from where it stopped.
    """

    id: int
    run: int
    times_s: tuple[float, ...]
    injection: Injection
    seed: int = 0
    steps: int | None = None
    first_slice: int | None = None
    extrapolate: bool = False


@dataclass(frozen=True)
class ReadFrame:
    """Write the volume at a time into a slot of a frames file."""

    id: int
    t_s: float
    file: str
    slot: int
    partial: bool = False
    extrapolate: bool = False


@dataclass(frozen=True)
class ReadCurve:
    """Mean signal at times inside a mask, which lies in the shared folder as uint8 of the volume's shape."""

    id: int
    mask_file: str
    times_s: tuple[float, ...]
    exact: bool = False
    extrapolate: bool = False


@dataclass(frozen=True)
class Cancel:
    """Stop a request at the next sampler step; that request is answered with ``Failed``, kind ``cancelled``."""

    target: int


@dataclass(frozen=True)
class Quit:
    """Stop everything, remove the shared folder and end, as at the end of input."""


# Replies and events


@dataclass(frozen=True)
class Hello:
    """The worker's first line, sent before PyTorch is imported."""

    pid: int
    software: str
    protocol: int = PROTOCOL


@dataclass(frozen=True)
class Opened:
    """The model is there; see ``synthesis.model.SynthesisModel``."""

    id: int
    model: str
    model_sha256: str
    time_range_s: tuple[float, float]
    sample_steps: int
    device: str


@dataclass(frozen=True)
class Prepared:
    """The exam that was taken.

    Attributes:
        slice_axis: array axis of the slices; ``first_slice`` and ``Progress.slices`` count along it.
        warnings: sentences for the user.
    """

    id: int
    geometry: Geometry
    slice_axis: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """Sent after every batch of a synthesis; the fields are those of ``synthesis.progress.Progress``."""

    id: int
    run: int
    done: int
    total: int
    slices: tuple[int, ...]
    elapsed_s: float
    remaining_s: float


@dataclass(frozen=True)
class Synthesized:
    """A finished synthesis; ``metadata`` is what ``Session.metadata`` says about it."""

    id: int
    run: int
    device: str
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FrameReady:
    """A frame lies in its slot.

    Attributes:
        run: the synthesis it was read from.
        slices_ready: slices that were synthesized when it was read; the others show the source.
    """

    id: int
    run: int
    slices_ready: int


@dataclass(frozen=True)
class CurveReady:
    id: int
    run: int
    signal: tuple[float, ...]


@dataclass(frozen=True)
class Failed:
    """A request that could not be done.

    Attributes:
        id: of the request; None where the worker itself cannot go on.
        kind: ``input`` the user can mend; ``cancelled``; ``out_of_memory``; ``protocol``; ``internal``, a bug.
        message: a sentence for the user.
        need_bytes, free_bytes: of memory, where it ran out and they are known.
    """

    id: int | None
    kind: FailureKind
    message: str
    need_bytes: int | None = None
    free_bytes: int | None = None


Request = Open | Prepare | Synthesize | ReadFrame | ReadCurve | Cancel | Quit
Reply = Opened | Prepared | Synthesized | FrameReady | CurveReady | Failed
Event = Hello | Progress | Reply

_TYPES: dict[str, type] = {kind.__name__: kind for kind in (*get_args(Request), *get_args(Event))}


def encode(message: Request | Event) -> str:
    """The message as a line of JSON, without its line break."""
    return json.dumps({"type": type(message).__name__, **asdict(message)})


def decode(line: str) -> Any:
    """The message in a line.

    Raises:
        ProtocolError: not JSON, or no message of this version.
    """
    try:
        fields = json.loads(line)
        return _build(_TYPES[fields.pop("type")], fields)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(
            f"A message between viewer and worker cannot be read ({type(error).__name__}); install the same version "
            "of CEKWorld for both."
        ) from error


def _build(kind: type, fields: dict[str, Any]) -> Any:
    """A dataclass from JSON values: lists become tuples, objects the dataclass their field names."""
    nested = _nested(kind)
    return kind(**{name: _value(value, nested.get(name)) for name, value in fields.items()})


def _value(value: Any, kind: type | None) -> Any:
    if isinstance(value, list):
        return tuple(_value(item, kind) for item in value)
    return _build(kind, value) if kind and isinstance(value, dict) else value


@cache
def _nested(kind: type) -> dict[str, type]:
    """Fields that hold a dataclass, possibly optional."""
    hints = get_type_hints(kind)
    found = {name: next(filter(is_dataclass, (hint, *get_args(hint))), None) for name, hint in hints.items()}
    return {name: inner for name, inner in found.items() if isinstance(inner, type)}


class LineSplitter:
    """Puts lines together from the pieces in which a pipe delivers them."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that end in ``data``; the rest is kept for the next piece."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode() for line in lines if line.strip()]
