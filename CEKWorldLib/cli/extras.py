"""What a command needs beyond the packages that are always installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from CEKWorldLib.errors import CEKWorldError


@contextmanager
def needing(extra: str, what: str) -> Iterator[None]:
    """Names a package that an import inside the block misses, and how to install it.

    Args:
        extra: of pyproject.toml, or several with commas between.
        what: is to be done with it, the beginning of the sentence.

    Raises:
        CEKWorldError: a package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "that is missing").partition(".")[0]  # of a module inside it, too
        raise CEKWorldError(
            f"{what} needs the package {package}; install it with: pip install 'cekworld[{extra}]'."
        ) from error
