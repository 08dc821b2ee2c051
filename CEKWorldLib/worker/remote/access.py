"""Who may connect, and how: loopback, or a token over an encrypted connection."""

from __future__ import annotations

import hmac
import os
import ssl
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.worker.remote.wire import DEFAULT_PORT, TOKEN_VARIABLE

_SHORTEST_TOKEN = 16


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def token() -> str:
    """The token in the environment, empty where there is none. Options would show in the list of processes.

    Raises:
        CEKWorldError: it is short enough to be guessed, or has characters that a header cannot carry.
    """
    found = os.environ.get(TOKEN_VARIABLE, "")
    if not (found.isascii() and found.isprintable() and found == found.strip()):
        raise CEKWorldError(
            f"The token in {TOKEN_VARIABLE} has letters outside of ASCII, or begins or ends with white space; "
            "use Latin letters, digits and -_."
        )
    if 0 < len(found) < _SHORTEST_TOKEN:
        raise CEKWorldError(
            f"The token in {TOKEN_VARIABLE} has fewer than {_SHORTEST_TOKEN} characters; make one with: "
            'python -c "import secrets; print(secrets.token_urlsafe())".'
        )
    return found


def authorization(token: str) -> str:
    """The header that shows a token."""
    return f"Bearer {token}"


def is_authorized(header: str | None, token: str) -> bool:
    """Whether a request may pass; takes the same time wherever a wrong token differs."""
    return not token or hmac.compare_digest((header or "").encode(), authorization(token).encode())


def server_tls(
    address: str, token: str, certificate: Path | None, key: Path | None, plain: bool
) -> ssl.SSLContext | None:
    """How a host that listens at an address encrypts; None for not at all.

    Args:
        address: to listen at.
        token: that readers have to show; empty for none.
        certificate: PEM file, with the chain behind it.
        key: PEM file; None where the certificate's file holds it.
        plain: whether something in front of the host encrypts.

    Raises:
        CEKWorldError: readers elsewhere without a token, or without encryption; files that are no certificate.
    """
    if not is_loopback(address) and not token:
        raise CEKWorldError(f"Readers on other machines need a token; set {TOKEN_VARIABLE} for this host and for them.")
    if certificate is None:
        if is_loopback(address) or plain:
            return None
        raise CEKWorldError(
            "Images of patients are not sent over a network unencrypted; give --certificate and --key, or --plain "
            "where a proxy in front of this host encrypts."
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one
        raise CEKWorldError(
            f"{certificate} cannot be used as a certificate ({error}); give a PEM file, and its key with --key."
        ) from error
    return context


def checked_url(url: str) -> str:
    """A host's address with its port, as a reader may use it.

    Raises:
        CEKWorldError: not a WebSocket address, or one that is not encrypted and not this machine's.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise CEKWorldError(f"'{url}' is no GPU host's address; give one like wss://gpu.example:{DEFAULT_PORT}.")
    if not is_encrypted(url) and not is_loopback(parts.hostname):
        raise CEKWorldError(f"Images are not sent to {parts.hostname} unencrypted; give the host's wss:// address.")
    return url


def is_encrypted(url: str) -> bool:
    """Whether what is sent to a host's address is."""
    return urlsplit(url).scheme == "wss"
