"""What the panel asks of the application around it, so that its sections need not know Slicer's windows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from CEKWorldLib.gui.drawing_turns import View


class Application(Protocol):
    """3D Slicer with or without a main window; a test's own."""

    scene: Any

    def show_error(self, text: str) -> None:
        """Shows a sentence that the user must read."""
        ...

    def show_status(self, text: str) -> None:
        """Shows a sentence in the status bar."""
        ...

    def confirm(self, question: str) -> bool: ...

    def show_text(self, title: str, text: str) -> None:
        """Shows a longer text, such as a model card."""
        ...

    def choose_folder(self, title: str) -> Path | None: ...

    def choose_file_to_save(self, title: str, name: str, kinds: str) -> Path | None:
        """Asks for a file; ``kinds`` as in ``Curves (*.csv)``."""
        ...

    def copy_text(self, text: str) -> None:
        """Puts text on the clipboard."""
        ...

    def busy(self, title: str) -> BusyDialog: ...

    def setting(self, name: str, default: str) -> str:
        """A value kept between sessions."""
        ...

    def keep_setting(self, name: str, value: str) -> None: ...

    def views(self) -> list[View]:
        """All slice and 3-D views."""
        ...

    def slice_renderers(self) -> list[Any]:
        """The uppermost ``vtkRenderer`` of every slice view."""
        ...

    def show_chart(self, chart: Any) -> None:
        """Shows a chart node in a layout with a plot view."""
        ...

    def follow_layout(self, act: Callable[[], None] | None) -> None:
        """Has something done after every change of the layout, which may make views; None ends that."""
        ...

    def restore_layout(self) -> None:
        """Gives the user's layout back, if ``show_chart`` changed it and he has not changed it since."""
        ...

    def place(self, node: Any) -> None:
        """Has the user place a markup with the mouse."""
        ...

    def file_of_instance(self, uid: str) -> str:
        """The DICOM database's file of a SOPInstanceUID, "" where it has none."""
        ...

    def import_dicom(self, folder: Path) -> None:
        """Copies DICOM files into the database.

        Raises:
            CEKWorldError: there is no database, or it does not take them.
        """
        ...


class BusyDialog(Protocol):
    """Progress of what has to keep the user from doing anything else."""

    def report(self, what: str, done: int, total: int) -> bool:
        """Shows progress; answers whether to go on."""
        ...

    def close(self) -> None: ...
