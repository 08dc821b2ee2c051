"""Timers and processes, which run while events are processed."""

from __future__ import annotations

import queue
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from .objects import QObject

_living: WeakSet = WeakSet()


def process_events() -> None:
    """One round of the event loop."""
    for each in list(_living):
        each.pump()


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Runs the event loop until a condition holds.

    Raises:
        AssertionError: it did not within the time.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:g} s in vain for {what}"
        process_events()
        time.sleep(0.002)


class QTimer(QObject):
    PROPERTIES = {"active": False, "singleShot": False, "interval": 0}
    SIGNALS = ("timeout()",)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._due = 0.0
        _living.add(self)

    def start(self, milliseconds: int) -> None:
        self._values["interval"] = milliseconds
        self._due = time.monotonic() + milliseconds / 1000
        self._values["active"] = True

    def stop(self) -> None:
        self._values["active"] = False

    def isActive(self) -> bool:
        return self.active

    def pump(self) -> None:
        if self.active and time.monotonic() >= self._due:
            if self.singleShot:
                self.stop()
            else:
                self._due += self.interval / 1000
            self.emit("timeout()")


class QByteArray:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def data(self) -> bytes:
        return self._data


class QProcessEnvironment:
    def __init__(self) -> None:
        self.variables: dict[str, str] = {}

    @staticmethod
    def systemEnvironment() -> QProcessEnvironment:
        import os

        environment = QProcessEnvironment()
        environment.variables = dict(os.environ)
        return environment

    def insert(self, name: str, value: str) -> None:
        self.variables[name] = value


class QProcess(QObject):
    """A ``subprocess``, whose output arrives in the event loop."""

    SIGNALS = (
        "started()",
        "readyReadStandardOutput()",
        "readyReadStandardError()",
        "finished(int,QProcess::ExitStatus)",
        "errorOccurred(QProcess::ProcessError)",
    )
    NotRunning, Starting, Running = 0, 1, 2
    NormalExit, CrashExit = 0, 1
    FailedToStart, Crashed = 0, 1
    SeparateChannels, MergedChannels = 0, 1

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._process: subprocess.Popen | None = None
        self._environment: dict[str, str] | None = None
        self._state = self.NotRunning
        self._arrived: queue.SimpleQueue = queue.SimpleQueue()
        self._open_pipes = 0
        self._unread = {"Output": b"", "Error": b""}
        self._events: list[tuple] = []
        _living.add(self)

    def setProcessChannelMode(self, mode: int) -> None:
        assert mode == self.SeparateChannels

    def setProcessEnvironment(self, environment: QProcessEnvironment) -> None:
        self._environment = environment.variables

    def state(self) -> int:
        assert "singleShot" not in self._values  # raises where the object is destroyed
        return self._state

    def processId(self) -> int:
        return self._process.pid if self._process else 0

    def start(self, program: str, arguments: list[str]) -> None:
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                [program, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, env=self._environment
            )
        except OSError:
            self._events.append(("errorOccurred(QProcess::ProcessError)", self.FailedToStart))
            return
        self._state, self._open_pipes = self.Starting, 2
        for name, stream in (("Output", self._process.stdout), ("Error", self._process.stderr)):
            threading.Thread(target=self._forward, args=(name, stream), daemon=True).start()
        self._events.append(("started()",))

    def write(self, data: bytes) -> int:
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except (OSError, ValueError):
            return -1
        return len(data)

    def closeWriteChannel(self) -> None:
        if self._process is not None:
            self._process.stdin.close()

    def readAllStandardOutput(self) -> QByteArray:
        return self._take("Output")

    def readAllStandardError(self) -> QByteArray:
        return self._take("Error")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def waitForFinished(self, milliseconds: int) -> bool:
        end = time.monotonic() + milliseconds / 1000
        while self._state != self.NotRunning and time.monotonic() < end:
            self.pump()
            time.sleep(0.005)
        return self._state == self.NotRunning

    def pump(self) -> None:
        while self._events:
            signature, *values = self._events.pop(0)
            if signature == "started()":
                self._state = self.Running
            self.emit(signature, *values)
        while not self._arrived.empty():
            name, data = self._arrived.get()
            if data:
                self._unread[name] += data
                self.emit(f"readyReadStandard{name}()")
            else:
                self._open_pipes -= 1
        if self._state == self.Running and not self._open_pipes and self._process.poll() is not None:
            self._state = self.NotRunning
            code = self._process.returncode
            self.emit("finished(int,QProcess::ExitStatus)", abs(code), self.CrashExit if code < 0 else self.NormalExit)

    def _take(self, name: str) -> QByteArray:
        data, self._unread[name] = self._unread[name], b""
        return QByteArray(data)

    def _forward(self, name: str, stream: Any) -> None:
        while data := stream.read1(1 << 16):
            self._arrived.put((name, data))
        self._arrived.put((name, b""))
