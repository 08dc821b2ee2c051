"""A reader's side: answers a viewer's requests by a remote host, and mirrors the voxels of the shared folder.

Only voxels, their geometry and sequence settings leave this machine: files are read here, and names, dates and
identifiers stay in them.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.worker.interface import CONNECTION_LOST
from CEKWorldLib.worker.messages import (
    PROTOCOL,
    Cancel,
    Event,
    Failed,
    FrameReady,
    Geometry,
    Hello,
    Open,
    Prepare,
    Prepared,
    Progress,
    ProtocolError,
    Quit,
    ReadCurve,
    ReadFrame,
    Reply,
    Request,
    decode,
    encode,
)
from CEKWorldLib.worker.remote import access
from CEKWorldLib.worker.remote.wire import LARGEST_MESSAGE_BYTES, SESSION_HEADER, flat_bytes, is_final, pieces
from CEKWorldLib.worker.shared_folder import SharedFolder

_PATIENCE_S = 30.0  # a lost connection is tried again for so long; a host's reboot takes longer, a switch's does not
_RETRY_S = 1.0
_CANCEL_POLL_S = 0.05


class RemoteService:
    """Answers as ``worker.service.Service`` does, from the host at a URL; connects with the first request.

    Args:
        url: of the host.
        send: sends progress, and failures that end the session.
    """

    def __init__(self, url: str, send: Callable[[Event], None]) -> None:
        self._url = url
        self._send = send
        self._connection: ClientConnection | None = None
        self._folder: SharedFolder | None = None
        self._replies: dict[int, Future[Reply]] = {}
        self._uploading = threading.Lock()  # voxels and the line that announces them are not mixed with others
        self._shape: tuple[int, ...] = ()
        self._frames: tuple[str, np.ndarray] = ("", np.empty(0))  # mapped once per exam
        self._arriving = _Arriving(np.empty(0, np.float32))
        self._is_closing = False

    def answer(self, request: Any, is_cancelled: Callable[[], bool]) -> Reply:
        try:
            match request:
                case Open():
                    return self._open(request, is_cancelled)
                case Prepare():
                    return self._prepare(request, is_cancelled)
                case ReadFrame():
                    return self._read_frame(request, is_cancelled)
                case ReadCurve():
                    mask = self._opened.read(request.mask_file, np.uint8, self._shape)
                    return self._ask(request, is_cancelled, mask)
            return self._ask(request, is_cancelled)
        except CEKWorldError as error:
            return Failed(request.id, "input", str(error))
        except ConnectionClosed as closed:
            return Failed(request.id, "died", _farewell(closed) or "The connection to the GPU host was lost.")
        except Exception as error:  # else this thread would end, and whoever waits for an answer wait for ever
            traceback.print_exception(error, file=sys.stderr)
            message = f"Something went wrong that should not ({type(error).__name__}); please report it with the log."
            return Failed(request.id, "internal", message)

    def close(self) -> None:
        self._is_closing = True
        if self._connection is not None:
            with contextlib.suppress(ConnectionClosed):  # the host then keeps what it has for a while
                self._write(Quit())
            self._connection.close()

    # Requests

    def _open(self, request: Open, is_cancelled: Callable[[], bool]) -> Reply:
        self._folder = SharedFolder(Path(request.folder))
        try:
            connection = self._connect(self._folder.file("remote-session"))
        except CEKWorldError as error:
            return Failed(None, "input", str(error))
        self._connection = connection
        threading.Thread(target=self._receive, args=(connection,), name="cekworld-remote", daemon=True).start()
        return self._ask(request, is_cancelled)

    def _prepare(self, request: Prepare, is_cancelled: Callable[[], bool]) -> Reply:
        warnings: tuple[str, ...] = ()
        if request.path is not None:
            # SimpleITK and pydicom take a second to import, and voxels need neither.
            from CEKWorldLib.exam.reading import read_exam

            exam = read_exam(request.path, request.anatomy, request.series)
            pre, warnings = exam.pre, exam.warnings
            geometry = Geometry(pre.shape, pre.spacing, pre.origin, pre.direction)
            request = Prepare(
                request.id,
                voxels_file="exam",
                geometry=geometry,
                acquisition=exam.acquisition,
                anatomy=exam.anatomy,
            )
            voxels = np.ascontiguousarray(pre.voxels)
        else:
            assert request.voxels_file is not None and request.geometry is not None
            voxels = self._opened.read(request.voxels_file, np.float32, request.geometry.shape)
        reply = self._ask(request, is_cancelled, voxels)
        if isinstance(reply, Prepared):
            self._shape = reply.geometry.shape
            return replace(reply, warnings=tuple(dict.fromkeys((*warnings, *reply.warnings))))
        return reply

    def _read_frame(self, request: ReadFrame, is_cancelled: Callable[[], bool]) -> Reply:
        if self._frames[0] != request.file:
            self._frames = request.file, self._opened.open_frames(request.file, self._shape)
        self._arriving = _Arriving(self._frames[1][request.slot])
        reply = self._ask(request, is_cancelled)
        if isinstance(reply, FrameReady) and not self._arriving.is_whole:
            return Failed(
                request.id, "protocol", "The GPU host sent part of a frame; install the same CEKWorld on both."
            )
        return reply

    def _ask(self, request: Any, is_cancelled: Callable[[], bool], voxels: np.ndarray | None = None) -> Reply:
        """Sends a request, behind its voxels, and waits for the reply; says so once when it is cancelled."""
        reply = self._replies[request.id] = Future()
        with self._uploading:
            for piece in pieces(voxels) if voxels is not None else ():
                self._connected.send(piece)
            self._write(request)
        is_told = False
        while True:
            try:
                return reply.result(_CANCEL_POLL_S)
            except TimeoutError:
                if not is_told and is_cancelled():
                    self._write(Cancel(request.id))
                    is_told = True

    def _write(self, request: Request) -> None:
        self._connected.send(encode(request))

    @property
    def _connected(self) -> ClientConnection:
        if self._connection is None:
            raise CEKWorldError("No model is open yet.")
        return self._connection

    @property
    def _opened(self) -> SharedFolder:
        if self._folder is None:
            raise CEKWorldError("No model is open yet.")
        return self._folder

    # Connection

    def _connect(self, session_file: Path) -> ClientConnection:
        """Connects, patiently where this viewer was connected before.

        Raises:
            CEKWorldError: the host does not answer, or does not let us in.
        """
        deadline = time.monotonic() + (_PATIENCE_S if session_file.exists() else 0.0)
        if not session_file.exists():
            session_file.write_text(secrets.token_hex())
        headers = {SESSION_HEADER: session_file.read_text(), "Authorization": access.authorization(access.token())}
        url = access.checked_url(self._url)
        while True:
            try:
                return connect(
                    url,
                    additional_headers=headers,
                    compression=None,
                    # Unencrypted is for this machine: a proxy that the environment names would read it on its way.
                    proxy=True if access.is_encrypted(url) else None,
                    max_size=LARGEST_MESSAGE_BYTES,
                )
            except (OSError, InvalidHandshake, EOFError) as error:
                if isinstance(error, InvalidStatus) and error.response.status_code == HTTPStatus.UNAUTHORIZED:
                    raise CEKWorldError(error.response.body.decode(errors="replace").strip()) from error
                if time.monotonic() > deadline:
                    raise CEKWorldError(
                        f"The GPU host {self._url} cannot be reached ({type(error).__name__}: {error}); ask who runs "
                        "it, or synthesize on this machine."
                    ) from error
                time.sleep(_RETRY_S)

    def _receive(self, connection: ClientConnection) -> None:
        """Takes what the host sends, until the connection ends."""
        try:
            for message in connection:
                if isinstance(message, bytes):
                    self._arriving.take(message)
                else:
                    self._received(decode(message))
        except ProtocolError as error:
            self._send(Failed(None, "protocol", str(error)))
        except ConnectionClosed as closed:
            self._lost(closed)
        else:  # the host was stopped in good order; iteration ends there without an error
            if not self._is_closing:
                os._exit(CONNECTION_LOST)

    def _lost(self, closed: ConnectionClosed) -> None:
        """Ends the session where the host said so, else this process, which the viewer then starts again."""
        if reason := _farewell(closed):
            self._send(Failed(None, "died", reason))
        else:
            os._exit(CONNECTION_LOST)  # at once: the shared folder is the viewer's, and stays

    def _received(self, event: Event) -> None:
        if isinstance(event, Hello):
            if event.protocol != PROTOCOL:
                message = (
                    f"The GPU host runs CEKWorld {event.software}, which this one cannot talk to; update the older one."
                )
                self._send(Failed(None, "protocol", message))
        elif isinstance(event, Progress) or event.id is None:
            self._send(event)
        elif event.id in self._replies:
            self._replies.pop(event.id).set_result(event)


def _farewell(closed: ConnectionClosed) -> str | None:
    """Why the host ended the session, where it did and coming back at once would be of no use."""
    return closed.rcvd.reason if closed.rcvd is not None and is_final(closed.rcvd.code) else None


class _Arriving:
    """A frame whose voxels come in pieces; they go to where the viewer has mapped them."""

    def __init__(self, slot: np.ndarray) -> None:
        self._slot = flat_bytes(slot)
        self._filled = 0

    def take(self, piece: bytes) -> None:
        start, self._filled = self._filled, self._filled + len(piece)
        if self._filled <= len(self._slot):
            self._slot[start : self._filled] = piece

    @property
    def is_whole(self) -> bool:
        return self._filled == len(self._slot)
