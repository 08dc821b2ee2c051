"""A worker process under Qt's event loop: for the Slicer module."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import qt
import slicer

from CEKWorldLib.gui.connections import Connections
from CEKWorldLib.gui.worker_command import python_program, worker_environment
from CEKWorldLib.worker.command import configured
from CEKWorldLib.worker.messages import Hello, LineSplitter, decode

_SIGKILL = 9  # signal.SIGKILL is not defined on Windows, where any such number ends a process at once
_NOT_FOUND = 127  # what a shell exits with where there is no such program


class QProcessTransport:
    """Starts the worker as a child process; see ``worker.interface.Transport``.

    Standard output is the protocol's alone; standard error is shown in Slicer's Python console and kept in its log. The
    worker ends by itself when Slicer does, as its input ends then.

    Args:
        program: Python.
        arguments: after it; None takes the worker that the environment asks for.
        environment: variables to set besides those inherited.
    """

    def __init__(
        self,
        program: str | None = None,
        arguments: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.on_line: Callable[[str], None] = _ignore_line
        self.on_exit: Callable[[int | None], None] = _ignore_exit
        self._program = program or python_program()
        self._arguments = list(arguments or configured())
        self._lines = LineSplitter()
        self._unsent: list[str] = []
        self._pid: int | None = None
        self._has_ended = False
        # With a parent, as it goes with its last Python reference otherwise, which may be inside its own signal.
        self._process = qt.QProcess(slicer.app)
        self._process.setProcessChannelMode(qt.QProcess.SeparateChannels)
        variables = qt.QProcessEnvironment.systemEnvironment()
        for name, value in (worker_environment() if environment is None else environment).items():
            variables.insert(name, value)
        self._process.setProcessEnvironment(variables)
        self._connections = Connections()
        self._connections.add(self._process, "started()", self._started)
        self._connections.add(self._process, "readyReadStandardOutput()", self._read)
        self._connections.add(self._process, "readyReadStandardError()", self._read_errors)
        self._connections.add(self._process, "finished(int,QProcess::ExitStatus)", self._finished)
        self._connections.add(self._process, "errorOccurred(QProcess::ProcessError)", self._failed)

    def start(self) -> None:
        self._process.start(self._program, self._arguments)

    def write(self, line: str) -> None:
        if self._has_ended:
            return
        if self._process.state() == qt.QProcess.Running:
            self._process.write(f"{line}\n".encode())
        else:
            self._unsent.append(line)

    def kill(self) -> None:
        """Ends launcher and worker: ``PythonSlicer`` only starts Python, and would leave it behind."""
        if self._has_ended:
            return
        if self._pid is not None:
            with suppress(OSError):  # it has ended already
                os.kill(self._pid, _SIGKILL)
        self._process.closeWriteChannel()
        self._process.kill()

    def wait(self, milliseconds: int) -> None:
        """Waits for the end of the process, that long at most."""
        if not self._has_ended:
            self._process.waitForFinished(milliseconds)

    def _started(self) -> None:
        for line in self._unsent:
            self._process.write(f"{line}\n".encode())
        self._unsent.clear()

    def _read(self) -> None:
        data = bytes(self._process.readAllStandardOutput().data())
        for line in self._lines.feed(data):
            if self._pid is None:
                self._note_pid(line)
            self.on_line(line)

    def _read_errors(self) -> None:
        sys.stderr.write(bytes(self._process.readAllStandardError().data()).decode("utf-8", "replace"))

    def _note_pid(self, line: str) -> None:
        hello = decode(line)
        if isinstance(hello, Hello):
            self._pid = hello.pid

    def _failed(self, error: int) -> None:
        """Only a program that cannot be started: all other ends are told by ``finished`` as well."""
        if error == qt.QProcess.FailedToStart:
            self._end(_NOT_FOUND)

    def _finished(self, code: int, status: int) -> None:
        self._read()
        self._read_errors()
        self._end(-code if status == qt.QProcess.CrashExit else code)

    def _end(self, code: int) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._pid = None
            self._connections.end()
            self._process.deleteLater()
            self.on_exit(code)


def _ignore_line(line: str) -> None:
    """Before a client listens."""


def _ignore_exit(code: int | None) -> None:
    """Before a client listens."""
