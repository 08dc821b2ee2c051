"""Keeps patient data out of screen and logs while headers are read and written."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom import config


@contextmanager
def quiet() -> Iterator[None]:
    """Silences pydicom: it warns about values it dislikes, and quotes them, on screen and in its log.

    Values are then neither judged: what a source holds is taken over or left out, knowingly (``source.take_over``).
    """
    logger = logging.getLogger("pydicom")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before
