"""Which GPU this computer has, asked of its driver: the panel never loads PyTorch."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import qt
import slicer

from CEKWorldLib.gui.connections import Connections
from CEKWorldLib.gui.machine_state import Gpu, parse_gpus

_ARGUMENTS = ("--query-gpu=name,memory.free,memory.total", "--format=csv,noheader,nounits")


class GpuQuery:
    """Asks NVIDIA's driver tool, which may take a second, without waiting.

    Args:
        tell: given the GPUs; none where there is no such tool.
    """

    def __init__(self, tell: Callable[[list[Gpu]], None]) -> None:
        self._tell = tell
        self._process = qt.QProcess(slicer.app)  # with a parent: see ``qprocess_transport``
        self._connections = Connections()
        self._connections.add(self._process, "finished(int,QProcess::ExitStatus)", self._finished)

    def ask(self) -> None:
        program = shutil.which("nvidia-smi")
        if program is None:
            self._tell([])
        elif self._process.state() == qt.QProcess.NotRunning:
            self._process.start(program, list(_ARGUMENTS))

    def close(self) -> None:
        self._connections.end()
        self._process.kill()
        self._process.deleteLater()

    def _finished(self, code: int, status: int) -> None:
        answer = bytes(self._process.readAllStandardOutput().data()).decode("utf-8", "replace")
        self._tell(parse_gpus(answer) if code == 0 and status == qt.QProcess.NormalExit else [])
