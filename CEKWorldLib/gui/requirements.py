"""Python packages that the panel needs beyond Slicer's own: which, for what, and their installation when first used."""

from __future__ import annotations

import importlib
import re
import subprocess
from collections.abc import Callable, Sequence
from importlib import metadata

import slicer
from slicer.i18n import tr as _

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.worker.command import LOCAL, configured

# What the worker imports, besides PyTorch; lower bounds only, so that other extensions' packages stay as they are.
SYNTHESIS = (
    "numpy>=1.26",
    "scipy>=1.11",
    "SimpleITK>=2.3",
    "pydicom>=2.4",
    "diffusers>=0.35",
    "safetensors>=0.5",
    "psutil>=5.9",
    "tqdm>=4.66",
)
HOST = ("websockets>=15.0",)  # where a GPU host does the work
DICOM_EXPORT = ("pydicom>=3.0", "highdicom>=0.27")  # Slicer 5.12 brings both
REPORT = ("matplotlib>=3.8",)
EVERYTHING = tuple(dict.fromkeys((*SYNTHESIS, *DICOM_EXPORT, *REPORT)))


def installed_version(name: str) -> str | None:
    """The version of a package, without importing it; None where it is not installed."""
    try:
        package = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    # Its property ``version`` parses a whole description, 4 ms each, and Apply asks for nine packages.
    found = re.search(r"^Version: *(\S+)", package.read_text("METADATA") or "", re.MULTILINE)
    return found.group(1) if found is not None else package.version


def missing(requirements: Sequence[str]) -> list[str]:
    """Those that are not installed, or too old."""
    lacking = []
    for requirement in requirements:
        name, _least, least = requirement.partition(">=")
        version = installed_version(name)
        if version is None or _numbers(version) < _numbers(least):
            lacking.append(requirement)
    return lacking


def ensure(requirements: Sequence[str], confirm: Callable[[str], bool]) -> None:
    """Installs what is missing, after asking.

    Args:
        requirements: packages with lower bounds.
        confirm: asks the user a question; Slicer 5.12 and later ask by themselves.

    Raises:
        CEKWorldError: the user said no, or it could not be installed.
    """
    lacking = missing(requirements)
    if not lacking:
        return
    names = ", ".join(lacking)
    try:
        _install(lacking, confirm)
    except RuntimeError as error:
        raise CEKWorldError(
            _("This needs Python packages that are not installed: {names}. Agree to their installation.").format(
                names=names
            )
        ) from error
    except subprocess.CalledProcessError as error:
        raise CEKWorldError(
            _(
                "Python packages could not be installed: {names}. Look into the Python console for the cause; behind "
                "a firewall set the proxy for pip, or install wheels from a folder (docs/slicer-module.md)."
            ).format(names=names)
        ) from error
    importlib.invalidate_caches()
    if still := missing(requirements):
        raise CEKWorldError(
            _("These Python packages are still missing: {names}. Restart Slicer and try again.").format(
                names=", ".join(still)
            )
        )


def ensure_worker(confirm: Callable[[str], bool]) -> None:
    """Has what the worker needs: PyTorch and the model's packages, or what reaches the host that does the work instead.

    Raises:
        CEKWorldError: as ``ensure`` and ``ensure_torch``.
    """
    if configured() != LOCAL:
        ensure(HOST, confirm)
        return
    ensure_torch(confirm)
    ensure(SYNTHESIS, confirm)


def ensure_torch(confirm: Callable[[str], bool]) -> None:
    """Has the PyTorch extension install PyTorch for this machine's GPU.

    Raises:
        CEKWorldError: the extension is not installed, the user said no, or it failed.
    """
    if installed_version("torch") is not None:
        return
    try:
        import PyTorchUtils
    except ImportError as error:
        raise CEKWorldError(
            _(
                "PyTorch is not installed. Install the extension 'PyTorch' in the Extensions Manager, restart Slicer, "
                "and come back."
            )
        ) from error
    if not confirm(_("PyTorch will be downloaded and installed for this computer, up to 3 GB. Go on?")):
        raise CEKWorldError(_("Synthesis needs PyTorch; agree to its installation."))
    if PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=False) is None:
        raise CEKWorldError(_("PyTorch could not be installed; the module 'PyTorch Utils' says why."))


def _install(lacking: Sequence[str], confirm: Callable[[str], bool]) -> None:
    try:
        from slicer.packaging import pip_ensure
    except ImportError:  # Slicer before 5.12
        if not confirm(_("Python packages will be installed: {names}. Go on?").format(names=", ".join(lacking))):
            raise RuntimeError("declined") from None
        slicer.util.pip_install(list(lacking))
    else:
        pip_ensure(list(lacking), requester="CEKWorld")


def _numbers(version: str) -> tuple[int, ...]:
    """The numeric parts at the start of a version, such as (2, 13) of ``2.13.0+cu128``; builds do not count."""
    parts = []
    for part in version.split("+")[0].split("."):
        if not part.isdigit():
            break
        parts.append(int(part))
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)
