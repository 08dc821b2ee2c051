"""What the launcher tells a new session."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

SECRET_HEADER = "X-CEKWorld-Session"


@dataclass(frozen=True)
class Start:
    """A session's first line of standard input; its first line of output is the port it serves, as JSON.

    Attributes:
        exam: path of what is opened first, or None.
        name: of it, shown to the user.
        model: name or folder.
        temporary: folder of one browser session.
        secret: requests without it are refused, so that the port serves the launcher alone.
        idle_s: how long the session lives without a browser.
    """

    exam: str | None
    name: str
    model: str
    temporary: str
    secret: str
    idle_s: int

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Start:
        return cls(**json.loads(line))
