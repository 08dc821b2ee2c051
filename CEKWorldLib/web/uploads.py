"""Files that come from the browser: a volume, a series, a DICOM folder, or a zip of one."""

from __future__ import annotations

import asyncio
import itertools
import lzma
import re
import shutil
import zipfile
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path, PurePosixPath

from aiohttp import BodyPartReader, web

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.image_files import data_files, format_of
from CEKWorldLib.web.page_state import Page

_PIECE = 1 << 20
_SPARE_BYTES = 1 << 28  # of the disk, left for the session's own files
# zipfile raises NotImplementedError for a compression it does not know, RuntimeError where a password is needed.
_DAMAGES = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError)
_DAMAGED = "The archive is damaged or encrypted; pack the exam anew."
_DRIVE = re.compile("[A-Za-z]:")
_BESIDE = re.compile(r"(?!LIST|\.)[^/\\:%]+")  # the name of one file in the same folder


class Uploads:
    """Takes files into the session's folder and opens them.

    Args:
        page: is told what goes wrong.
        folder: of the session.
        open_path: opens what has come, one after another, told where it lies and what to call it; whether that
            succeeded.
    """

    def __init__(self, page: Page, folder: Path, open_path: Callable[[Path, str], Awaitable[bool]]) -> None:
        self._page, self._folder, self._open = page, folder, open_path
        self._numbers = itertools.count(1)
        self._opened: Path | None = None  # the folder of the exam that is open, where it was uploaded

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/files/upload", self._receive)]

    async def _receive(self, request: web.Request) -> web.Response:
        try:
            return await self._take(request, self._folder / f"upload-{next(self._numbers)}")
        finally:  # a browser that was closed meanwhile does not reset it
            self._page.set(upload_percent=-1.0)

    async def _take(self, request: web.Request, folder: Path) -> web.Response:
        try:
            folder.mkdir()
            path, name = await self._stored(request, folder)
            await asyncio.to_thread(_refuse_references, folder)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, ConnectionError):  # the browser went away: there is nobody to be told
                return web.Response(status=400)
            if not isinstance(error, CEKWorldError | OSError):
                raise
            self._page.set(error=str(error) if isinstance(error, CEKWorldError) else _unwritten(error))
            return web.Response(status=400)
        self._page.set(upload_percent=-1.0)  # the user may be asked something now
        if await self._open(path, name):
            self._opened, done = folder, self._opened
        else:  # what was open stays open, and is exported from its own folder
            done = folder
        if done is not None:
            shutil.rmtree(done, ignore_errors=True)
        return web.Response(status=204)

    async def _stored(self, request: web.Request, folder: Path) -> tuple[Path, str]:
        files: list[Path] = []
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader) and part.filename:
                files.append(await self._store(part, folder))
        if not files:
            raise CEKWorldError("No file came; choose a volume, a DICOM folder or a zip of one.")
        if len(files) == 1 and zipfile.is_zipfile(files[0]):
            return _exam_in(await asyncio.to_thread(_unpacked, files[0])), files[0].name
        path = _exam_in(folder)
        return path, path.name if path.is_file() else f"DICOM folder ({len(files)} files)"

    async def _store(self, part: BodyPartReader, folder: Path) -> Path:
        path = folder / inner_path(part.filename or "")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            while piece := await part.read_chunk(_PIECE):
                if shutil.disk_usage(folder).free < _SPARE_BYTES:
                    raise CEKWorldError("The viewer's disk is full; choose a smaller exam, or free some space there.")
                file.write(piece)
        return path


def inner_path(name: str) -> Path:
    """A path that a browser or an archive names, made to stay inside of the folder it is put into.

    Raises:
        CEKWorldError: it would lie outside.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.name or _DRIVE.match(path.parts[0]):
        raise CEKWorldError("A file's name leads out of its folder; pack the exam anew.")
    return Path(*path.parts)


def _refuse_references(folder: Path) -> None:
    """Refuses headers that would have files of this machine read, which are not the uploader's.

    Raises:
        CEKWorldError: one keeps its voxels elsewhere than in one file beside it.
    """
    for path in folder.rglob("*"):
        if path.is_file() and not all(map(_BESIDE.fullmatch, data_files(path))):
            raise CEKWorldError(f"{path.name} refers to other files for its voxels; save it as one .nrrd file.")


def _unpacked(archive: Path) -> Path:
    """The folder an archive was unpacked to.

    Raises:
        CEKWorldError: damaged, too large, or with names that lead out of it.
    """
    target = archive.parent / "unpacked"
    try:
        with zipfile.ZipFile(archive) as packed:
            members = [one for one in packed.infolist() if not one.is_dir()]
            if not members:
                raise CEKWorldError("The archive holds no files; pack the exam anew.")
            size = sum(one.file_size for one in members)
            if size + _SPARE_BYTES > shutil.disk_usage(archive.parent).free:
                raise CEKWorldError(
                    f"The archive unpacks to {size / 1e9:.1f} GB, for which the viewer has no disk left."
                )
            for one in members:
                inner_path(one.filename)
                packed.extract(one, target)
    except _DAMAGES as error:
        raise CEKWorldError(_DAMAGED) from error
    except OSError as error:
        if error.errno is None:  # not the system's, but bz2's for damaged data
            raise CEKWorldError(_DAMAGED) from error
        raise
    archive.unlink()
    return target


def _exam_in(folder: Path) -> Path:
    """The one file or the one volume that lies in a folder, else the folder, which is DICOM's then.

    A volume has other files beside it: the voxels of an NRRD header, or the ``._`` files that macOS packs.
    """
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("._")]
    for found in (files, [path for path in files if format_of(path)]):
        if len(found) == 1:
            return found[0]
    return folder


def _unwritten(error: OSError) -> str:
    return f"The files cannot be stored ({error.strerror}); free some space where the viewer runs."
