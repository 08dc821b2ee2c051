"""DICOMweb: STOW-RS (PS3.18 10.5) through dicomweb-client."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

import pydicom
import requests
from dicomweb_client import DICOMwebClient
from pydicom.dataset import Dataset

from CEKWorldLib.dicom.credentials import Credentials
from CEKWorldLib.dicom.quiet import quiet
from CEKWorldLib.dicom.transfer import Unavailable
from CEKWorldLib.errors import CEKWorldError

TIMEOUT_S = (10, 120)  # to connect; to answer, for an archive that indexes a batch first
_WHOLE = 2**31  # bytes; bodies are sent whole, since a body in chunks is used up by the first attempt
_BUSY = {
    HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT,
}  # fmt: skip
_AUTHORITIES = "REQUESTS_CA_BUNDLE"  # the environment's file of trusted certificates, by requests' own rule
_REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}

# It logs the UIDs of what failed, which our own account says better.
logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL)


class DicomWeb:
    """Stores files in a DICOMweb archive.

    Args:
        url: root of the service.
        credentials: None for an archive that asks for none.
    """

    def __init__(self, url: str, credentials: Credentials | None) -> None:
        session = requests.Session()
        session.max_redirects = 0  # images go where they were sent, and ~/.netrc would be asked about the new host
        # A function of our own keeps requests from looking for passwords in ~/.netrc.
        session.auth = _authorization(credentials)
        self._client = DICOMwebClient(url, session=session, chunk_size=_WHOLE, timeout=TIMEOUT_S)
        self._client.set_http_retry_params(retry=False)  # the caller repeats, and for lost connections too

    def store(self, files: Mapping[Path, str]) -> dict[Path, str]:
        """See ``Transfer.store``."""
        with quiet():
            answer = self._answer([pydicom.dcmread(path) for path in files])
        accepted = {item.ReferencedSOPInstanceUID for item in answer.get("ReferencedSOPSequence") or ()}
        failed = {item.ReferencedSOPInstanceUID: item for item in answer.get("FailedSOPSequence") or ()}
        return {path: "" if uid in accepted else _reason(failed.get(uid)) for path, uid in files.items()}

    def _answer(self, datasets: Sequence[Dataset]) -> Dataset:
        """What the archive says of the objects; empty where it says nothing that can be read."""
        try:
            return self._client.store_instances(datasets)
        except requests.HTTPError as error:
            assert error.response is not None  # it is what the error is about
            return _refusals(error.response)
        except requests.exceptions.SSLError as error:
            raise _insecure(error) from None
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
            raise Unavailable("the archive cannot be reached") from None
        except (requests.exceptions.InvalidURL, requests.TooManyRedirects):
            raise CEKWorldError("The archive's address leads elsewhere or nowhere; give its own.") from None
        except Exception as error:  # a page for people, or damaged: the parsers of JSON and XML raise many kinds
            if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
                raise CEKWorldError(f"The file that {_AUTHORITIES} names cannot be read; correct it.") from None
            return Dataset()


def _authorization(credentials: Credentials | None) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if credentials and credentials.token:
            request.headers["Authorization"] = f"Bearer {credentials.token}"
        elif credentials:
            requests.auth.HTTPBasicAuth(credentials.user, credentials.password)(request)
        return request

    return authorize


def _insecure(error: BaseException) -> Exception:
    """What to raise for a connection that could not be secured."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]  # the first of them is OpenSSL's
    if isinstance(error, ssl.SSLCertVerificationError):
        return CEKWorldError(
            f"The archive's certificate is not trusted ({error.verify_message.rstrip('.')}); check the address, or "
            f"name a file with its authority's certificate in the environment as {_AUTHORITIES} (docs/dicom.md)."
        )
    return Unavailable(f"no secure connection to the archive ({getattr(error, 'reason', None) or 'cut off'})")


def _refusals(response: requests.Response) -> Dataset:
    """What a response with an error status says of single objects."""
    status = response.status_code
    if status in _REFUSED:
        raise CEKWorldError(f"The archive refuses access (HTTP {status}); set its credentials (docs/dicom.md).")
    if status == HTTPStatus.NOT_FOUND:
        raise CEKWorldError("The archive has no DICOMweb service at this address (HTTP 404); check the path.")
    if status in _BUSY:
        raise Unavailable(f"the archive is busy or failing (HTTP {status})")
    try:
        return Dataset.from_json(response.json())
    except Exception:  # as in `DicomWeb._answer`
        return Dataset()


def _reason(failed: Dataset | None) -> str:
    reason = failed.get("FailureReason") if failed else None
    return f"refused with failure reason {reason:#06x}" if reason is not None else "not confirmed by the archive"
