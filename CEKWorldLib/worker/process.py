"""The worker process: reads requests from standard input, answers on standard output, ends when the viewer does.

Who answers is given: the model in this process, or the remote host that ``remote.service`` speaks to.
"""

from __future__ import annotations

import gc
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, Protocol

from CEKWorldLib import __version__
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.worker.command import niceness
from CEKWorldLib.worker.messages import (
    Cancel,
    Event,
    Failed,
    Hello,
    LineSplitter,
    Open,
    ProtocolError,
    Quit,
    ReadCurve,
    ReadFrame,
    Reply,
    decode,
    encode,
)
from CEKWorldLib.worker.shared_folder import SharedFolder

_PATIENCE_S = 3.0  # between the end of input and the end of the process, whatever is being computed


class Answering(Protocol):
    """What the process asks. One thread opens, prepares and synthesizes; another may read meanwhile."""

    def answer(self, request: Any, is_cancelled: Callable[[], bool]) -> Reply:
        """Does what a request asks; a failure is an answer too."""
        ...

    def close(self) -> None:
        """Takes leave, once everything is answered."""
        ...


NewService = Callable[[Callable[[Event], None]], Answering]
"""Makes the service, given what sends its events; imports what it needs only then."""


def _synthesis(send: Callable[[Event], None]) -> Answering:
    if hasattr(os, "nice"):  # not on Windows
        os.nice(niceness())  # this thread and those it starts, not the one that reads
    # What is imported stays; to look for garbage among its 700 000 objects takes 1.2 s of 7.3 s of CPU time.
    gc.disable()
    from CEKWorldLib.worker.service import Service

    gc.freeze()
    gc.enable()
    return Service(send)


def main(new_service: NewService = _synthesis) -> None:
    """Serves the process's standard input and output until the input ends, and ends the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a shared terminal is for the viewer, whose end is ours
    _Process(_Input(_take_over(0, os.O_RDONLY)), _Output(_take_over_stdout()), new_service).serve()


def _take_over(descriptor: int, flags: int) -> int:
    """A copy of a standard stream, for the protocol alone; libraries and child processes find an empty one."""
    own = os.dup(descriptor)
    empty = os.open(os.devnull, flags)
    os.dup2(empty, descriptor)
    os.close(empty)
    return own


def _take_over_stdout() -> int:
    """A copy of standard output; what libraries print there, from Python or C, goes to standard error."""
    own = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return own


class _Input:
    """Lines from a descriptor, read without Python's buffers, whose locks outlast a thread that waits in them."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __iter__(self) -> Iterator[str]:
        splitter = LineSplitter()
        while data := os.read(self._descriptor, 1 << 16):
            yield from splitter.feed(data)


class _Output:
    """Messages to a descriptor, from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, event: Event) -> None:
        data = memoryview(encode(event).encode() + b"\n")
        with self._lock:
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except BrokenPipeError:
                return  # the viewer is gone; the end of input says so to the other thread


class _Process:
    """Two queues: the main thread opens, prepares and synthesizes, another reads frames and curves meanwhile.

    One thread for the model throughout: PyTorch tunes its GPU kernels per thread.
    """

    def __init__(self, requests: _Input, output: _Output, new_service: NewService) -> None:
        self._requests = requests
        self._output = output
        self._new_service = new_service
        self._folder: SharedFolder | None = None
        self._cancels: dict[int, threading.Event] = {}
        self._work: queue.SimpleQueue = queue.SimpleQueue()
        self._reads: queue.SimpleQueue = queue.SimpleQueue()

    def serve(self) -> None:
        self._output.send(Hello(os.getpid(), __version__))
        listener = threading.Thread(target=self._listen, name="cekworld-requests", daemon=True)
        listener.start()
        service = self._started_service()
        reader = threading.Thread(target=self._answer, args=(service, self._reads), name="cekworld-reads", daemon=True)
        reader.start()
        self._answer(service, self._work)
        reader.join()
        service.close()
        self._end()

    def _started_service(self) -> Answering:
        # PyTorch takes seconds to import, and the end of input is noticed meanwhile.
        try:
            return self._new_service(self._output.send)
        except ImportError as error:
            self._output.send(Failed(None, "internal", f"The worker cannot start ({error}); install what is missing."))
            raise
        except CEKWorldError as error:
            self._output.send(Failed(None, "input", str(error)))
            self._end()

    def _listen(self) -> None:
        for line in self._requests:
            try:
                request = decode(line)
            except ProtocolError as error:
                self._output.send(Failed(None, "protocol", str(error)))
                continue
            if isinstance(request, Quit):
                break
            self._sort(request)
        self._stop()

    def _sort(self, request) -> None:
        if isinstance(request, Cancel):
            cancel = self._cancels.get(request.target)  # in one go: it may be answered, and gone, at any moment
            if cancel is not None:
                cancel.set()
            return
        if isinstance(request, Open):
            self._folder = SharedFolder(Path(request.folder))
        self._cancels[request.id] = threading.Event()
        (self._reads if isinstance(request, (ReadFrame, ReadCurve)) else self._work).put(request)

    def _answer(self, service: Answering, requests: queue.SimpleQueue) -> None:
        """Answers requests in turn, until there is None."""
        while (request := requests.get()) is not None:
            reply = service.answer(request, self._cancels[request.id].is_set)
            del self._cancels[request.id]
            self._output.send(reply)

    def _stop(self) -> None:
        """Ends the process: in order, or by force where a computation does not come to an end."""
        for cancel in list(self._cancels.values()):
            cancel.set()
        self._work.put(None)
        self._reads.put(None)
        by_force = threading.Timer(_PATIENCE_S, self._end)
        by_force.daemon = True
        by_force.start()

    def _end(self) -> NoReturn:
        """Leaves nothing behind, and does not wait for the seconds that PyTorch may take to be torn down."""
        if self._folder is not None:
            self._folder.remove()
        sys.stderr.flush()
        os._exit(0)
