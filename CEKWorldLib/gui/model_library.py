"""The models a user can choose, shipped ones and his own folders: where they are, how big, whether they are whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slicer.i18n import tr as _

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.folders import (
    CARD,
    CONFIGURATION,
    MANIFEST,
    METADATA,
    SHIPPED,
    WEIGHTS,
    list_models,
    model_folder,
    verify,
)

_FILES = (WEIGHTS, CONFIGURATION, METADATA, CARD)


@dataclass(frozen=True)
class ModelEntry:
    """A model.

    Attributes:
        key: what the worker is given: name, or folder.
        folder: where its files are.
        bytes: their size.
        shipped: came with CEKWorld.
    """

    key: str
    folder: Path
    bytes: int
    shipped: bool

    @property
    def title(self) -> str:
        return self.key if self.shipped else f"{self.folder.name} ({self.folder.parent})"


class ModelLibrary:
    """Shipped models, and folders the user has added.

    Args:
        own: folders from an earlier session; those that are gone are left out.
    """

    def __init__(self, own: Sequence[str] = ()) -> None:
        self._own = [Path(folder) for folder in own if (Path(folder) / MANIFEST).is_file()]

    @property
    def own(self) -> list[str]:
        """The user's folders, to be kept for the next session."""
        return [str(folder) for folder in self._own]

    @property
    def entries(self) -> list[ModelEntry]:
        shipped = [_entry(name, SHIPPED / name, True) for name in list_models()]
        return shipped + [_entry(str(folder), folder, False) for folder in self._own]

    def entry(self, key: str) -> ModelEntry:
        """The model of a key.

        Raises:
            CEKWorldError: there is none.
        """
        folder = model_folder(key)
        return _entry(key, folder, folder.parent == SHIPPED)

    def add(self, folder: Path) -> ModelEntry:
        """Adds a folder of the user's after checking its files.

        Raises:
            CEKWorldError: no model folder, or not whole.
        """
        folder = folder.resolve()
        model_folder(folder)
        verify(folder)
        if folder not in self._own:
            self._own.append(folder)
        return _entry(str(folder), folder, False)

    def delete(self, key: str) -> None:
        """Deletes a model of the user's from the disk.

        Raises:
            CEKWorldError: a shipped one, which belongs to the extension, or files that cannot be deleted.
        """
        entry = self.entry(key)
        if entry.shipped:
            raise CEKWorldError(
                _("The model '{name}' belongs to the extension; uninstall the extension to delete it.").format(name=key)
            )
        # Nothing but what a model folder holds: the user may keep other things beside it.
        files = [entry.folder / name for name in (*_FILES, MANIFEST)]
        try:
            for path in files:
                path.unlink(missing_ok=True)
            for parent in sorted({path.parent for path in files}, reverse=True):
                if parent.is_dir() and not any(parent.iterdir()):
                    parent.rmdir()
        except OSError as error:
            raise CEKWorldError(
                _("The model in {folder} cannot be deleted ({reason}); delete it by hand.").format(
                    folder=entry.folder, reason=error.strerror
                )
            ) from error
        self._own.remove(entry.folder)

    def check(self, key: str) -> str:
        """Compares all files with their checksums; the checksum of the weights.

        Raises:
            CEKWorldError: a file is missing or differs, naming it.
        """
        return verify(self.entry(key).folder)

    def card(self, key: str) -> str:
        """The model card, Markdown: data, limits, licence."""
        path = self.entry(key).folder / CARD
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise CEKWorldError(_("The model card {path} cannot be read.").format(path=path)) from error


def _entry(key: str, folder: Path, shipped: bool) -> ModelEntry:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return ModelEntry(key, folder, size, shipped)
