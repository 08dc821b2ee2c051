"""What became of every exam that was found: a table for people, the same as JSON for scripts."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from CEKWorldLib.dataset.cache import CachedExam
from CEKWorldLib.dataset.identity import SPLITS
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.export.atomic import replacing

Status = Literal["accepted", "rejected"]


@dataclass(frozen=True)
class Outcome:
    """One exam of the archive, without its patient.

    Attributes:
        name: PATIENT-STUDY, keyed hashes.
        split: of the patient.
        status: accepted or rejected.
        layout: kind of files.
        reason: why it was rejected.
        phases: after the injection.
        first_s, last_s: times of the first and last of them.
        zero_source: who says when the injection was.
        similarity_gain: mutual information that registration gained, mean over phases, in nats.
        largest_mm: largest displacement of any phase.
        notes: of an accepted exam.
    """

    name: str
    split: str
    status: Status
    layout: str
    reason: str = ""
    phases: int = 0
    first_s: float | None = None
    last_s: float | None = None
    zero_source: str = ""
    similarity_gain: float | None = None
    largest_mm: float | None = None
    notes: str = ""

    @classmethod
    def of(cls, exam: CachedExam) -> Outcome:
        """Of an accepted exam."""
        record = exam.record
        gains = [a["similarity_after"] - a["similarity_before"] for a in record.alignments]
        return cls(
            name=record.name,
            split=record.split,
            status="accepted",
            layout=record.layout,
            phases=len(record.times_s),
            first_s=round(record.times_s[0], 1),
            last_s=round(record.times_s[-1], 1),
            zero_source=record.zero_source,
            similarity_gain=round(sum(gains) / len(gains), 4) if gains else None,
            largest_mm=round(max(a["largest_mm"] for a in record.alignments), 2) if gains else None,
            notes=" ".join(record.notes),
        )


def write_report(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Writes ``report.csv`` and ``report.json``, each whole or not at all."""
    rows = [asdict(outcome) for outcome in outcomes]
    with replacing(folder / "report.csv") as path, path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(Outcome)])
        writer.writeheader()
        writer.writerows(rows)
    with replacing(folder / "report.json") as path:
        path.write_text(json.dumps(rows, indent=1) + "\n")


def read_rejected(folder: Path) -> list[Outcome]:
    """The rejected exams of the last build; CEKWorldError where its report is not there."""
    try:
        rows = json.loads((folder / "report.json").read_text())
        return [Outcome(**row) for row in rows if row["status"] == "rejected"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CEKWorldError(f"{folder / 'report.json'} is missing or damaged; build the data set again.") from error


def summary(outcomes: Sequence[Outcome]) -> str:
    """A few lines: accepted exams by split, the source of their times, rejected ones by reason."""
    accepted = [outcome for outcome in outcomes if outcome.status == "accepted"]
    lines = [f"{len(accepted)} of {len(outcomes)} exams accepted"]
    for split in SPLITS:
        own = [outcome for outcome in accepted if outcome.split == split]
        patients = len({outcome.name.split("-")[0] for outcome in own})
        lines.append(f"  {split:<11}{len(own):5} exams of {patients} patients, {sum(o.phases for o in own)} phases")
    for source, count in Counter(outcome.zero_source for outcome in accepted).most_common():
        lines.append(f"  time zero   {count:5} exams: {source}")
    for reason, count in Counter(o.reason for o in outcomes if o.status == "rejected").most_common():
        lines.append(f"  rejected    {count:5} exams: {reason}")
    return "\n".join(lines)
