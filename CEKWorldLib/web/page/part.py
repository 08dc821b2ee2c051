"""A component of its own within the page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from trame.ui.html import DivLayout
from trame.widgets import client
from trame_server import Server


@contextmanager
def part(server: Server, name: str, classes: str) -> Iterator[None]:
    """A ``div`` that the browser draws anew by itself, when a value changes that it uses.

    Without parts the page is one template, and every move of the time slider compares all of it: 30 ms of the
    browser's CPU, several times a picture.

    Args:
        server: that has the page.
        name: of the part, unique.
        classes: of the ``div``.
    """
    with DivLayout(server, template_name=name, connect_parent=False, classes=classes):
        yield
    client.ServerTemplate(name=name)
