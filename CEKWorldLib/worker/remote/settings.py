"""How a host is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from CEKWorldLib.worker.asyncio_transport import COMMAND
from CEKWorldLib.worker.remote.wire import DEFAULT_PORT


@dataclass(frozen=True)
class HostSettings:
    """What a host offers, and to whom.

    Attributes:
        address, port: to listen at; port 0 takes any.
        token: that readers have to show; empty for none, on loopback alone.
        certificate, key: PEM files for TLS.
        plain: whether a proxy in front of the host encrypts.
        models: names or folders; readers ask for a folder by its name.
        device: ``auto``, ``cpu`` or ``cuda``.
        readers: that are served at a time, each by a process with a model of its own.
        largest_exam_bytes: of voxels, as float32; 512 slices of 512x512 are 537 MB.
        idle_s: without use, after which a reader's worker ends.
        keep_s: how long finished series wait for a reader whose connection broke.
        command: of the worker.
        temporary: where the host's private folder is made; None takes the system's temporary folder.
    """

    address: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    token: str = ""
    certificate: Path | None = None
    key: Path | None = None
    plain: bool = False
    models: Sequence[str] = ("compact",)
    device: str = "auto"
    readers: int = 4
    largest_exam_bytes: int = 1 << 30
    idle_s: float = 1800.0
    keep_s: float = 600.0
    command: Sequence[str] = COMMAND
    temporary: Path | None = None

    @property
    def offered(self) -> dict[str, str]:
        """Models by the names readers ask for."""
        return {Path(model).name: model for model in self.models}
