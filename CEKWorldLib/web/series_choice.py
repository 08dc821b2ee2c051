"""The question which of several series is meant, as a DICOM folder from an archive nearly always raises it."""

from __future__ import annotations

import asyncio

from CEKWorldLib.exam.dicom_files import SeveralSeries
from CEKWorldLib.web.page_state import Page


class SeriesChoice:
    """Asks the user, one question at a time.

    Args:
        page: shows the series.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self._answer: asyncio.Future[str] | None = None

    async def ask(self, name: str, several: SeveralSeries) -> str:
        """The SeriesInstanceUID of the chosen one; empty where the user wants none, or something else by now.

        Args:
            name: of the folder, shown to the user.
            several: what there is to choose from.
        """
        self._answer = asyncio.get_running_loop().create_future()
        choices = [{"value": uid, "title": label} for uid, label in several.series]
        self._page.set(series_of=name, series_choices=choices)
        try:
            return await self._answer
        finally:
            self._answer = None
            self._page.set(series_of="", series_choices=[])

    def answer(self, uid: str) -> None:
        """Answers the question that is open, if one is; empty chooses none."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(uid)
