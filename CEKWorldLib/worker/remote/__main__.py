"""``python -m CEKWorldLib.worker.remote URL`` is a worker process whose work a remote host does."""

from __future__ import annotations

import sys
from collections.abc import Callable

from CEKWorldLib.worker.messages import Event
from CEKWorldLib.worker.process import Answering, main


def _remote(send: Callable[[Event], None]) -> Answering:
    from CEKWorldLib.worker.remote.service import RemoteService

    return RemoteService(sys.argv[1], send)


main(_remote)
