"""Which frame lies in which slot of the frames file, and which slot the worker may write to next."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from CEKWorldLib.errors import CEKWorldError


class Slots:
    """Slots by last use. The slot that was delivered last is on screen and is never written to.

    Args:
        count: at least 3, for the frame on screen, the one being written and one to go back to.
    """

    def __init__(self, count: int) -> None:
        if count < 3:
            raise ValueError(f"{count} slots; there must be at least 3")
        # Slot -> what lies in it, least recently used first; a slot being written is absent.
        self._contents: OrderedDict[int, Hashable | None] = OrderedDict.fromkeys(range(count))
        self._kept: set[int] = set()

    def find(self, key: Hashable) -> int | None:
        """The slot that holds a frame, which thereby is the one on screen."""
        slot = next((slot for slot, content in self._contents.items() if content == key), None)
        if slot is not None:
            self._contents.move_to_end(slot)
        return slot

    def reserve(self) -> int:
        """Takes out the slot that was not used for longest, to be written to.

        Raises:
            CEKWorldError: all but the slot on screen are kept.
        """
        *others, _ = self._contents
        slot = next((slot for slot in others if slot not in self._kept), None)
        if slot is None:
            raise CEKWorldError("All frame slots are kept; open the viewer with more slots than key times.")
        del self._contents[slot]
        return slot

    def put(self, slot: int, key: Hashable | None, keep: bool = False) -> None:
        """Gives back a reserved slot with a delivered frame; None where the frame is not to be found again."""
        self._contents[slot] = key
        if keep:
            self._kept.add(slot)

    def give_back(self, slot: int) -> None:
        """Gives back a reserved slot without a frame; it is the next to be written to."""
        self._contents[slot] = None
        self._contents.move_to_end(slot, last=False)

    def keep(self, slot: int) -> None:
        self._kept.add(slot)

    def release(self) -> None:
        """Lets kept slots be used again, oldest first."""
        self._kept.clear()
