"""What all of the page is built with: components of their own, and buttons that show a picture only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from trame.ui.html import DivLayout
from trame.widgets import client
from trame.widgets import vuetify3 as v3
from trame_server import Server

# What times count from, for the page's templates.
ZERO = "(from_injection ? 'injection start' : 'the first phase')"


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


def icon_button(icon: str, hint: str, **options: object) -> None:
    """A button that shows a picture only.

    Args:
        icon: of Material Design.
        hint: what it does, shown over it and spoken.
        options: of ``VBtn``.
    """
    with v3.VBtn(icon=True, size="small", variant="text", raw_attrs=spoken(hint), **options):
        v3.VIcon(icon)
        v3.VTooltip(hint, activator="parent", location="top")


def spoken(name: str) -> list[str]:
    """A button's name for those who hear the page: the ``raw_attrs`` of a widget."""
    return [f'aria-label="{name}"']
