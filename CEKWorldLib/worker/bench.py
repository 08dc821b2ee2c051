"""How soon a viewer can go on after its worker was killed: ``python -m CEKWorldLib.worker.bench``.

The bundled sample exam is synthesized; while a second synthesis runs, the worker is killed as the system does when
memory runs out. Measured is the time until a frame that was never read before is there. CPU time is that of the worker
that takes over, which on a machine with other work is the fairer figure.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from CEKWorldLib.worker.asyncio_transport import COMMAND, AsyncioTransport
from CEKWorldLib.worker.client import Settings, WorkerClient
from CEKWorldLib.worker.interface import WorkerError
from CEKWorldLib.worker.messages import Progress

SAMPLE = Path(__file__).parents[2] / "Resources" / "sample" / "breast" / "pre.nrrd"
BAR_S = 10.0
_TIMES_S = (30.0, 60.0, 90.0, 180.0)
_SHOWN_S, _NEW_S = 45.0, 100.0


@dataclass(frozen=True)
class Recovery:
    """What a death of the worker cost.

    Attributes:
        wall_s: until a frame was there that had not been read before.
        cpu_s: of the new worker, until then.
        is_unharmed: whether the frame on screen is what it was.
    """

    wall_s: float
    cpu_s: float
    is_unharmed: bool


async def recover(command: Sequence[str] = COMMAND, model: str = "compact") -> Recovery:
    """Kills a worker in the middle of a synthesis, and measures."""
    transports: list[AsyncioTransport] = []

    def connect() -> AsyncioTransport:
        transports.append(AsyncioTransport(command))
        return transports[-1]

    client = WorkerClient(connect, Settings(model=model))
    await asyncio.wrap_future(client.prepare(SAMPLE))
    await asyncio.wrap_future(client.synthesize(_TIMES_S))
    shown = await asyncio.wrap_future(client.frame(_SHOWN_S))
    before = shown.voxels.copy()
    begun = await _killed_at(client, transports[-1])
    await asyncio.wrap_future(client.frame(_NEW_S))
    wall_s = time.perf_counter() - begun
    assert transports[-1].pid is not None
    used = psutil.Process(transports[-1].pid).cpu_times()
    is_unharmed = bool(np.array_equal(shown.voxels, before))
    client.close()
    await transports[-1].ended.wait()
    return Recovery(wall_s, used.user + used.system, is_unharmed)


async def _killed_at(client: WorkerClient, worker: AsyncioTransport) -> float:
    """Kills the worker at the first progress of a synthesis, and gives the time when."""
    moments: list[float] = []

    def kill(progress: Progress) -> None:
        if not moments and worker.pid is not None:
            moments.append(time.perf_counter())
            os.kill(worker.pid, signal.SIGKILL)

    try:
        await asyncio.wrap_future(client.synthesize(_TIMES_S, seed=1, on_progress=kill))
    except WorkerError as error:
        if error.kind != "died":
            raise
    return moments[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="compact", help="name or folder (default: compact)")
    cost = asyncio.run(recover(model=parser.parse_args().model))
    print(f"{'worker killed to the next new frame':<44}{cost.wall_s:8.1f} s   bar {BAR_S:.0f} s")
    print(f"{'CPU time of the new worker until then':<44}{cost.cpu_s:8.1f} s")
    print(f"{'frame on screen':<44}{'unharmed' if cost.is_unharmed else 'LOST':>8}")


if __name__ == "__main__":
    main()
