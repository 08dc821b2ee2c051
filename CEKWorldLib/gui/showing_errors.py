"""What the user can mend is shown as a sentence; anything else is a bug, whose traceback goes to Slicer's log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from CEKWorldLib.errors import Cancelled, CEKWorldError
from CEKWorldLib.gui.application import Application


@contextmanager
def errors_shown(application: Application) -> Iterator[None]:
    """Shows a ``CEKWorldError`` of the block and ends it; what the user stopped is told in the status bar."""
    try:
        yield
    except Cancelled as stop:
        application.show_status(str(stop))
    except CEKWorldError as error:
        application.show_error(str(error))
