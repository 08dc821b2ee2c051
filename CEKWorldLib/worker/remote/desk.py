"""One reader at the host: his worker process, and the files of its shared folder, which travel over the connection."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from CEKWorldLib.errors import CEKWorldError, OutOfMemory
from CEKWorldLib.worker.asyncio_transport import AsyncioTransport
from CEKWorldLib.worker.messages import (
    Cancel,
    CurveReady,
    Failed,
    FrameReady,
    Hello,
    Open,
    Prepare,
    Prepared,
    Progress,
    ProtocolError,
    Quit,
    ReadCurve,
    ReadFrame,
    Request,
    decode,
    encode,
)
from CEKWorldLib.worker.remote.settings import HostSettings
from CEKWorldLib.worker.remote.wire import Closed, pieces
from CEKWorldLib.worker.shared_folder import SharedFolder

_INCOMING = "incoming"
_SLOT = 0  # one frame is under way at a time; the reader's machine holds those that stay


class Desk:
    """Passes lines between a reader and a worker of his own.

    Args:
        connection: to the reader.
        settings: of the host.
        folder: the worker's shared folder, which ``serve`` removes.
        cache: folder for finished series, kept by the host.

    Attributes:
        has_finished: whether the reader took leave.
    """

    def __init__(self, connection: ServerConnection, settings: HostSettings, folder: SharedFolder, cache: Path) -> None:
        self.has_finished = False
        self._connection = connection
        self._settings = settings
        self._folder = folder
        self._cache = cache
        self._incoming = _Incoming(folder, settings.largest_exam_bytes)
        self._frames: tuple[str, np.ndarray] | None = None
        self._reads: dict[int, np.ndarray] = {}  # where a frame is written to; a new exam may come before it is
        self._coming: dict[int, tuple[str, np.ndarray]] = {}  # of exams the worker has not taken yet
        self._masks: dict[int, str] = {}
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._unanswered: set[int] = set()
        self._last_line_at = 0.0  # from the worker, in the event loop's time
        self._worker = AsyncioTransport(settings.command)
        self._worker.on_line = self._lines.put_nowait
        self._worker.on_exit = lambda code: self._lines.put_nowait(None)

    async def serve(self) -> None:
        """Serves until the reader, or his worker, is gone; then neither a process nor a file is left."""
        self._worker.start()
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._from_reader())
                both.create_task(self._from_worker())
        finally:
            self._worker.kill()
            await self._worker.ended.wait()
            self._folder.remove()

    # From the reader to the worker

    async def _from_reader(self) -> None:
        try:
            while not self.has_finished:
                message = await self._next_message()
                if isinstance(message, bytes):
                    self._incoming.take(message)
                else:
                    await self._pass_on(decode(message))
        except TimeoutError:
            reason = f"The GPU host ended the session after {self._settings.idle_s / 60:.0f} minutes without use."
            await self._connection.close(Closed.IDLE, reason)
        except ProtocolError as error:
            await self._connection.close(CloseCode.PROTOCOL_ERROR, type(error).__name__)
        except ConnectionClosed:
            pass  # the network's doing, or this desk's, when the worker died
        finally:
            self._worker.kill()

    async def _next_message(self) -> str | bytes:
        """What the reader sends next.

        Raises:
            TimeoutError: he asked for nothing for long, and the worker has nothing to do.
        """
        loop, idle_s = asyncio.get_running_loop(), self._settings.idle_s
        deadline = loop.time() + idle_s
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    return await self._connection.recv()
            except TimeoutError:
                deadline = (loop.time() if self._unanswered else self._last_line_at) + idle_s
                if deadline <= loop.time():
                    raise

    async def _pass_on(self, request: Any) -> None:
        if isinstance(request, Quit):
            self.has_finished = True
            return
        if not isinstance(request, get_args(Request)):
            raise ProtocolError(f"{type(request).__name__} is no request.")
        try:
            self._worker.write(encode(self._here(request)))
            if not isinstance(request, Cancel):
                self._unanswered.add(request.id)
        except CEKWorldError as error:
            await self._connection.send(encode(_refused(request.id, error)))

    def _here(self, request: Any) -> Any:
        """A request with the files, model and device of this host.

        Raises:
            CEKWorldError: it asks for what is not offered, or more than is allowed.
        """
        offered = self._settings.offered
        match request:
            case Open():
                name = Path(request.model).name
                if name not in offered:
                    raise CEKWorldError(f"The GPU host has no model '{name}'; choose {' or '.join(offered)}.")
                return Open(request.id, str(self._folder.path), offered[name], self._settings.device, str(self._cache))
            case Prepare():
                if request.geometry is None:
                    raise CEKWorldError("The GPU host takes voxels, not the names of files.")
                name = _exam_file(request.id)
                self._incoming.save(name, 4 * _voxels(request.geometry.shape))
                self._make_room(request, name)
                return replace(request, path=None, series=None, voxels_file=name)
            case ReadCurve():
                name = f"mask-{request.id}.u8"
                self._incoming.save(name, self._present_frames[1][_SLOT].size)
                self._masks[request.id] = name
                return replace(request, mask_file=name)
            case ReadFrame():
                file, self._reads[request.id] = self._present_frames
                return replace(request, file=file, slot=_SLOT)
        return request

    @property
    def _present_frames(self) -> tuple[str, np.ndarray]:
        if self._frames is None:
            raise CEKWorldError("There is no exam yet; prepare one first.")
        return self._frames

    # From the worker to the reader

    async def _from_worker(self) -> None:
        try:
            while (line := await self._lines.get()) is not None:
                self._last_line_at = asyncio.get_running_loop().time()
                event = decode(line)
                if not isinstance(event, (Hello, Progress)):
                    self._unanswered.discard(event.id)
                if isinstance(event, (Prepared, Failed)) and event.id in self._coming:
                    self._take_exam(event)
                elif isinstance(event, FrameReady):
                    for piece in pieces(self._reads.pop(event.id)[_SLOT]):
                        await self._connection.send(piece)
                elif isinstance(event, (CurveReady, Failed)) and event.id in self._masks:
                    self._folder.discard(self._masks.pop(event.id))
                await self._connection.send(encode(event))
            if not self.has_finished:
                await self._connection.close(Closed.WORKER_DIED, "The worker on the GPU host ended unexpectedly.")
        except ConnectionClosed:
            return  # as the other direction finds too

    def _make_room(self, request: Prepare, exam: str) -> None:
        """Makes room for the frames of an exam before the worker takes it: else it would go on with an exam that the
        reader was told is refused.

        Raises:
            OutOfMemory: the disk is full; of the exam nothing is left.
        """
        assert request.geometry is not None
        name, shape = f"frames-{request.id}.f32", request.geometry.shape
        try:
            self._coming[request.id] = name, self._folder.create_frames(name, shape, _SLOT + 1)
            self._folder.allocate_frame(name, shape, _SLOT)
        except OutOfMemory:
            self._coming.pop(request.id, None)
            self._folder.discard(name)
            self._folder.discard(exam)
            raise

    def _take_exam(self, answer: Prepared | Failed) -> None:
        """Puts an exam in the place of the one before, where the worker has taken it."""
        assert answer.id is not None
        gone: tuple[str, np.ndarray] | None = self._coming.pop(answer.id)
        if isinstance(answer, Prepared):
            gone, self._frames = self._frames, gone
        if gone is not None:
            self._folder.discard(gone[0])
        self._folder.discard(_exam_file(answer.id))  # the worker has read it


class _Incoming:
    """Voxels that arrive in pieces, ahead of the request they belong to."""

    def __init__(self, folder: SharedFolder, largest_bytes: int) -> None:
        self._folder = folder
        self._largest_bytes = largest_bytes
        self._path = folder.file(_INCOMING)
        self._bytes = 0
        self._full: OutOfMemory | None = None

    def take(self, piece: bytes) -> None:
        """Keeps a piece; what is over the limit, or over what the disk holds, is counted alone."""
        self._bytes += len(piece)
        if self._bytes <= self._largest_bytes and self._full is None:
            try:
                self._folder.append(_INCOMING, piece)
            except OutOfMemory as error:
                self._full = error

    def save(self, name: str, expected_bytes: int) -> None:
        """Gives what has arrived a name.

        Raises:
            CEKWorldError: it is more than the host allows.
            OutOfMemory: the disk is full.
            ProtocolError: it is not what the request describes.
        """
        arrived, self._bytes = self._bytes, 0
        full, self._full = self._full, None
        if full is not None:
            raise full
        if arrived > self._largest_bytes:
            self._path.unlink(missing_ok=True)
            raise CEKWorldError(
                f"The volume has {arrived / 1e6:.0f} MB, and the GPU host takes {self._largest_bytes / 1e6:.0f} MB at "
                "most; crop or resample it."
            )
        if arrived != expected_bytes or arrived == 0:
            self._path.unlink(missing_ok=True)
            raise ProtocolError("The voxels that arrived are not those of the request.")
        self._path.replace(self._folder.file(name))


def _exam_file(id: int) -> str:
    return f"exam-{id}.f32"


def _refused(id: int, error: CEKWorldError) -> Failed:
    if isinstance(error, OutOfMemory):
        return Failed(id, "out_of_memory", f"At the GPU host: {error}", error.need_bytes, error.free_bytes)
    return Failed(id, "input", str(error))


def _voxels(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))
