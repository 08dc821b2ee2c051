"""The worker of the panel: started when it is first needed, kept for as long as model and device stay the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from CEKWorldLib.gui.signals import Signal
from CEKWorldLib.worker.client import Settings, WorkerClient
from CEKWorldLib.worker.interface import Status, Transport


class EndableTransport(Transport, Protocol):
    def wait(self, milliseconds: int) -> None:
        """Waits for the end of the process, that long at most."""
        ...


class WorkerHolder:
    """Gives the client for a model on a device.

    Args:
        connect: makes a transport.

    Attributes:
        status_changed: emitted with every ``Status``.
    """

    def __init__(self, connect: Callable[[], EndableTransport]) -> None:
        self.status_changed = Signal()
        self._connect = connect
        self._client: WorkerClient | None = None
        self._latest: EndableTransport | None = None

    @property
    def client(self) -> WorkerClient | None:
        """The client, where there is one that works."""
        if self._client is not None and self._client.status.state in ("failed", "closed"):
            self._client = None
        return self._client

    def client_for(self, model: str, device: str) -> WorkerClient:
        """The client; a new one where there is none yet, or one with another model or device."""
        client = self.client
        if client is not None and (client.settings.model, client.settings.device) != (model, device):
            self.release()
            client = None
        if client is None:
            client = self._client = WorkerClient(self._started, Settings(model, device), self._tell)
        return client

    def restart(self) -> None:
        """Kills the worker; it comes back with its exam and the last finished series."""
        if self.client is not None:
            self.client.restart()

    def release(self) -> None:
        """Ends the worker, which gives back the memory of the GPU and the disk."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def close(self, wait_ms: int) -> None:
        """Ends the worker and waits, so that an application that ends leaves neither process nor files behind."""
        self.release()
        if self._latest is not None:
            self._latest.wait(wait_ms)

    def _started(self) -> EndableTransport:
        self._latest = self._connect()
        return self._latest

    def _tell(self, status: Status) -> None:
        self.status_changed.emit(status)
