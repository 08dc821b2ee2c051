"""Who we are to an archive: from the environment or the system's keyring, never from a file or an option."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from ipaddress import ip_address

from CEKWorldLib.errors import CEKWorldError

USER, PASSWORD, TOKEN = "CEKWORLD_ARCHIVE_USER", "CEKWORLD_ARCHIVE_PASSWORD", "CEKWORLD_ARCHIVE_TOKEN"


@dataclass(frozen=True, repr=False)
class Credentials:
    """Either a bearer token or a user with a password; no field of it shows in messages.

    Attributes:
        user: name for basic authentication.
        password: see user.
        token: for "Authorization: Bearer".
    """

    user: str = ""
    password: str = ""
    token: str = ""


def credentials_for(host: str, encrypted: bool) -> Credentials | None:
    """What to log in to a host with; None where nothing is set, as for archives that ask for nothing.

    The environment is asked first, then, where the ``keyring`` package is installed, the keyring for the service
    ``cekworld:HOST`` and the environment's user, if it names one.

    Args:
        host: name or address of the archive.
        encrypted: whether the connection is.

    Raises:
        CEKWorldError: credentials would travel over a network in the clear.
    """
    found = _from_environment() or _from_keyring(host)
    if found and not encrypted and not _is_this_machine(host):
        raise CEKWorldError(f"Credentials are not sent to {host} unencrypted; give the archive's https:// address.")
    return found


def _from_environment() -> Credentials | None:
    if token := os.environ.get(TOKEN):
        return Credentials(token=token)
    user, password = os.environ.get(USER), os.environ.get(PASSWORD)
    return Credentials(user, password) if user and password is not None else None


def _from_keyring(host: str) -> Credentials | None:
    user = os.environ.get(USER)
    try:
        keyring = importlib.import_module("keyring")
        # Some keyrings (macOS) find an entry by its user only, others without.
        entry = keyring.get_credential(f"cekworld:{host}", user)
    except ImportError:
        return None
    except keyring.errors.KeyringError as error:
        raise CEKWorldError("The system's keyring cannot be read; unlock it, or set the environment.") from error
    return Credentials(entry.username, entry.password) if entry else None


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
