"""The worker on another host: ``host`` lends a GPU to readers, ``service`` is a reader's side of the connection.

Viewers need none of it but ``command``: they start that process as they would start a worker of their own.
"""

from __future__ import annotations

import sys


def command(url: str, python: str = sys.executable) -> tuple[str, ...]:
    """What a viewer starts in place of the worker: it speaks the same lines, and a remote host does the work.

    Args:
        url: of the host, ``wss://gpu.example:8471``; the token is read from the environment.
        python: interpreter to start.
    """
    return (python, "-m", "CEKWorldLib.worker.remote", url)
