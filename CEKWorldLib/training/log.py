"""The record of a training run: ``log.csv`` for tables and scripts, TensorBoard events for looking at."""

from __future__ import annotations

import csv
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from CEKWorldLib.training.throughput import Throughput

_COLUMNS = ("stage", "step", "term", "value", "learning_rate", "seconds", "waiting")


class TrainingLog:
    """Appends the terms of one stage to the run's ``log.csv`` and to ``tensorboard/STAGE``.

    Args:
        folder: of the run.
        stage: name of the stage.
    """

    def __init__(self, folder: Path, stage: str) -> None:
        self.path, self.stage = folder / "log.csv", stage
        self.board = SummaryWriter(str(folder / "tensorboard" / stage))

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
