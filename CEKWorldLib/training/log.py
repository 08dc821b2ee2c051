"""The record of a training run: ``log.csv`` for tables and scripts, TensorBoard events for looking at."""

from __future__ import annotations

import csv
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from CEKWorldLib.export.atomic import replacing
from CEKWorldLib.training.throughput import Throughput

_COLUMNS = ("stage", "step", "term", "value", "learning_rate", "seconds", "waiting")


class TrainingLog:
    """Appends the terms of one stage to the run's ``log.csv`` and to ``tensorboard/STAGE``.

    Args:
        folder: of the run.
        stage: name of the stage.
        step: it goes on from; see ``go_back``.
    """

    def __init__(self, folder: Path, stage: str, step: int) -> None:
        self.path, self.stage, self._events = folder / "log.csv", stage, folder / "tensorboard" / stage
        self._forget(step)
        self.board = self._board(step)

    def go_back(self, step: int) -> None:
        """Drops what is logged of the stage after a step: it comes once more, after a stop or with other batches."""
        self.board.close()
        self._forget(step)
        self.board = self._board(step)

    def write(self, step: int, terms: dict[str, float], learning_rate: float, throughput: Throughput) -> None:
        """Args: step just done, value of each loss term, its learning rate, time since this process began."""
        seconds, waiting = f"{throughput.seconds:.1f}", f"{throughput.waiting_share:.3f}"
        fresh = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(_COLUMNS)
            for term, value in terms.items():
                writer.writerow([self.stage, step, term, f"{value:.6g}", f"{learning_rate:.3g}", seconds, waiting])
        for term, value in terms.items():
            self.board.add_scalar(term, value, step)
        self.board.add_scalar("learning rate", learning_rate, step)
        self.board.add_scalar("waiting for data", throughput.waiting_share, step)

    def close(self) -> None:
        self.board.close()

    def _board(self, step: int) -> SummaryWriter:
        return SummaryWriter(str(self._events), purge_step=step + 1)  # TensorBoard then hides later events it has

    def _forget(self, step: int) -> None:
        if not self.path.exists():
            return
        with self.path.open(newline="") as file:
            header, *rows = list(csv.reader(file)) or [list(_COLUMNS)]
        whole = [row for row in rows if len(row) == len(header)]  # a process that was killed leaves half a row
        kept = [row for row in whole if row[0] != self.stage or int(row[1]) <= step]
        if len(kept) < len(rows):
            with replacing(self.path) as path, path.open("w", newline="") as file:
                csv.writer(file).writerows([header, *kept])
