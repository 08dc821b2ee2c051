"""A worker that a test plays, and the client that talks to it."""

from __future__ import annotations

from pathlib import Path

from CEKWorldLib.worker.client import Settings, WorkerClient
from CEKWorldLib.worker.messages import (
    FrameReady,
    Geometry,
    Hello,
    Open,
    Opened,
    Prepare,
    Prepared,
    ReadFrame,
    Synthesize,
    Synthesized,
    decode,
    encode,
)
from CEKWorldLib.worker.shared_folder import SharedFolder

SHAPE = (3, 4, 5)
TIMES = (0.0, 30.0, 90.0)


class PlayedTransport:
    """A worker whose part the test plays: ``sent`` holds what the client wrote, ``say`` answers."""

    def __init__(self) -> None:
        self.sent: list = []
        self.is_killed = False

    def start(self) -> None:
        self.is_started = True

    def write(self, line: str) -> None:
        self.sent.append(decode(line))

    def kill(self) -> None:
        self.is_killed = True

    def say(self, *events) -> None:
        for event in events:
            self.on_line(encode(event))

    def last(self, kind):
        return [message for message in self.sent if isinstance(message, kind)][-1]

    def count(self, kind) -> int:
        return sum(isinstance(message, kind) for message in self.sent)


class Play:
    """A client with its played workers, the latest last."""

    def __init__(self, tmp_path: Path, **settings) -> None:
        self.workers: list[PlayedTransport] = []
        self.statuses: list = []
        self.client = WorkerClient(self._connect, Settings(temporary=tmp_path, **settings), self.statuses.append)

    def _connect(self) -> PlayedTransport:
        self.workers.append(PlayedTransport())
        return self.workers[-1]

    @property
    def worker(self) -> PlayedTransport:
        return self.workers[-1]

    def open(self) -> None:
        self.worker.say(Hello(1, "0"))
        self.worker.say(Opened(self.worker.last(Open).id, "tiny", "ab", (0.0, 600.0), 1, "cpu"))

    def prepare(self, path: str = "pre.nrrd"):
        future = self.client.prepare(Path(path))
        self.worker.say(Prepared(self.worker.last(Prepare).id, Geometry(SHAPE), 0))
        return future

    def synthesize(self, **settings):
        future = self.client.synthesize(TIMES, **settings)
        request = self.worker.last(Synthesize)
        self.worker.say(Synthesized(request.id, request.run, "cpu"))
        return future

    def give_frame(self, value: float, ready: int = SHAPE[0]) -> None:
        """Answers the frame request under way with a constant volume."""
        request = self.worker.last(ReadFrame)
        folder = SharedFolder(Path(self.worker.last(Open).folder))
        folder.open_frames(request.file, SHAPE)[request.slot] = value
        self.worker.say(FrameReady(request.id, self.worker.last(Synthesize).run, ready))
