"""What both ends of a connection agree on: messages as text, and before a message its voxels, in pieces, as binary.

A prepared exam, a mask and a frame each travel as raw bytes ahead of the line that announces them; other lines, such as
a cancel or progress, may come between the pieces. Voxels are not compressed: zlib takes a frame to 66 % of its size at
48 MB/s of one core, which is slower than the network of a department (100 MB/s).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

import numpy as np

PIECE_BYTES = 1 << 20  # a cancel waits for one piece at most
LARGEST_MESSAGE_BYTES = 2 * PIECE_BYTES  # lines are shorter than that: 100 000 key times fit
TOKEN_VARIABLE = "CEKWORLD_WORKER_TOKEN"
SESSION_HEADER = "X-CEKWorld-Session"
"""A secret of the viewer's: with it, a later connection finds the series that an earlier one finished."""
DEFAULT_PORT = 8471


class Closed(IntEnum):
    """Why a host closes a connection (codes of RFC 6455 for private use), beside a sentence for the user."""

    WORKER_DIED = 4000
    FULL = 4100
    IDLE = 4101


def is_final(code: int) -> bool:
    """Whether coming back at once would be of no use."""
    return code in (Closed.FULL, Closed.IDLE)


def pieces(voxels: np.ndarray) -> Iterator[memoryview]:
    """An array's bytes, in pieces without a copy."""
    data = flat_bytes(voxels)
    for start in range(0, len(data), PIECE_BYTES):
        yield data[start : start + PIECE_BYTES]


def flat_bytes(voxels: np.ndarray) -> memoryview:
    """The bytes of a contiguous array, writable where it is."""
    return voxels.reshape(-1).data.cast("B")
