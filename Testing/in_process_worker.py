"""A worker without a process: the real service, answering in the event loop, with the closed-form model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from closed_form_model import ClosedFormModel
from fake_qt import event_loop

from CEKWorldLib import __version__
from CEKWorldLib.worker import service
from CEKWorldLib.worker.messages import Cancel, Hello, Quit, decode, encode

DEVICE = "cpu"


def use_closed_form(patch: Any) -> None:
    """Has the service load the closed-form model, whatever model is asked for."""
    patch.setattr(service, "load_model", lambda name: ClosedFormModel())
    patch.setattr(service, "watch", lambda model: None)


class InProcessTransport:
    """See ``worker.interface.Transport``. One request is answered per round of the event loop.

    Attributes:
        made: all that were made, the latest last.
        requests: what was asked, in order.
    """

    made: list[InProcessTransport] = []

    def __init__(self) -> None:
        self.on_line: Callable[[str], None] = lambda line: None
        self.on_exit: Callable[[int | None], None] = lambda code: None
        self.requests: list[Any] = []
        self._waiting: list[Any] = []
        self._cancelled: set[int] = set()
        self._service = service.Service(self._say)
        self._ended = False
        self._greeting: list[Any] = []
        InProcessTransport.made.append(self)
        _living.add(self)

    def start(self) -> None:
        self._greeting.append(Hello(0, __version__))

    def write(self, line: str) -> None:
        message = decode(line)
        self.requests.append(message)
        if isinstance(message, Cancel):
            self._cancelled.add(message.target)
        elif isinstance(message, Quit):
            self.kill()
        else:
            self._waiting.append(message)

    def kill(self) -> None:
        self._ended = True

    def wait(self, milliseconds: int) -> None:
        self.pump()

    def pump(self) -> None:
        if self._ended:
            _living.discard(self)
            self.on_exit(-9)
        elif self._greeting:
            self._say(self._greeting.pop())
        elif self._waiting:
            request = self._waiting.pop(0)
            reply = self._service.answer(request, lambda: request.id in self._cancelled)
            if not self._ended:
                self._say(reply)

    def _say(self, event: Any) -> None:
        self.on_line(encode(event))


_living: WeakSet = event_loop._living
