"""What all of the page is built with: components of their own, and names for buttons that show a picture only."""

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


def spoken(name: str) -> list[str]:
    """A button's name for those who hear the page: the ``raw_attrs`` of a widget."""
    return [f'aria-label="{name}"']
