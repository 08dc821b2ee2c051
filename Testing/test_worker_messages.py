"""What client and worker say to each other, and what a client must not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from CEKWorldLib.exam.protocol import Injection
from CEKWorldLib.worker.messages import (
    Cancel,
    Failed,
    Geometry,
    LineSplitter,
    Open,
    Prepare,
    Progress,
    ProtocolError,
    Quit,
    Synthesize,
    Synthesized,
    decode,
    encode,
)

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    "message",
    [
        Open(1, "/tmp/x", "compact", "auto", "/tmp/c"),
        Prepare(2, voxels_file="a", geometry=Geometry((3, 4, 5), (1.0, 2.0, 3.0)), anatomy="breast"),
        Synthesize(3, 1, (0.0, 30.0, 90.0), Injection(arrival_s=25.0), steps=2),
        Progress(3, 1, 2, 3, (1, 0), 0.5, 0.25),
        Synthesized(3, 1, "cpu", {"synthetic": True}),
        Failed(None, "out_of_memory", "too little", 10, 5),
        Cancel(3),
        Quit(),
    ],
    ids=lambda m: type(m).__name__,
)
def test_a_message_survives_its_line(message):
    line = encode(message)
    assert "\n" not in line and decode(line) == message


@pytest.mark.parametrize(
    "line", ["", "{", "7", '{"type": "Nonsense"}', '{"type": "Cancel"}', '{"type": "Quit", "x": 1}']
)
def test_what_is_no_message_is_refused(line):
    with pytest.raises(ProtocolError, match="same version"):
        decode(line)


def test_lines_are_put_together_from_pieces_of_any_size():
    splitter = LineSplitter()
    text = "Zeit °\nzwei\n\nRest".encode()
    assert [line for i in range(len(text)) for line in splitter.feed(text[i : i + 1])] == ["Zeit °", "zwei"]
    assert splitter.feed(b" 1\n2\n") == ["Rest 1", "2"]


def test_the_client_needs_none_of_the_libraries_that_a_viewer_must_not_load():
    code = (
        "import sys, CEKWorldLib.worker.client, CEKWorldLib.worker.asyncio_transport; "
        "print(*sorted({'torch', 'diffusers', 'SimpleITK', 'scipy', 'pydicom', 'slicer', 'qt'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
