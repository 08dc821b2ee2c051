"""The exam that client and worker share, and the frames of it that were delivered."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.worker.interface import Frame
from CEKWorldLib.worker.messages import Prepare, Prepared
from CEKWorldLib.worker.shared_folder import SharedFolder
from CEKWorldLib.worker.slots import Slots


@dataclass(frozen=True)
class SharedExam:
    """An exam as the client sees it.

    Attributes:
        request: gives the exam to the worker, again if need be.
        shape: of every frame.
        slices: how many there are along the slice axis.
        frames_file: its name in the folder.
        frames: the mapped file, (slots, *shape).
        slots: what lies where in it.
        allocated: slots whose space on the disk is there.
    """

    folder: SharedFolder
    request: Prepare
    shape: tuple[int, ...]
    slices: int
    frames_file: str
    frames: np.ndarray
    slots: Slots
    allocated: set[int] = field(default_factory=set)

    @classmethod
    def create(cls, folder: SharedFolder, request: Prepare, prepared: Prepared, slots: int) -> SharedExam:
        """Makes the frames file of an exam that the worker has taken.

        Raises:
            OutOfMemory: there is not enough free on the disk.
        """
        shape, name = prepared.geometry.shape, f"frames-{prepared.id}.f32"
        frames = folder.create_frames(name, shape, slots)
        return cls(folder, request, shape, shape[prepared.slice_axis], name, frames, Slots(slots))

    def reserve(self) -> int:
        """A slot to write to.

        Raises:
            OutOfMemory: the disk is full.
        """
        slot = self.slots.reserve()
        if slot not in self.allocated:
            try:
                self.folder.allocate_frame(self.frames_file, self.shape, slot)
            except CEKWorldError:
                self.slots.give_back(slot)
                raise
            self.allocated.add(slot)
        return slot

    def frame(self, t_s: float, slot: int, run: int, slices_ready: int) -> Frame:
        voxels = self.frames[slot]
        voxels.flags.writeable = False
        return Frame(t_s, voxels, slot, run, slices_ready, slices_ready == self.slices)

    def known_frame(self, run: int, t_s: float, extrapolate: bool, keep: bool) -> Frame | None:
        """A frame that was delivered whole and still lies in its slot."""
        slot = self.slots.find((run, t_s, extrapolate))
        if slot is None:
            return None
        if keep:
            self.slots.keep(slot)
        return self.frame(t_s, slot, run, self.slices)

    def discard(self) -> None:
        """Removes its files; frames in use stay readable."""
        self.folder.discard(self.frames_file)
        if self.request.voxels_file is not None:
            self.folder.discard(self.request.voxels_file)
