"""What ``cekworld evaluate`` measured, as the last section of a model's card."""

from __future__ import annotations

import json
from pathlib import Path

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.evaluation.evaluate import SHIPPED, SUMMARY, summarise
from CEKWorldLib.models.folders import CARD, model_folder, rewrite_card, verify
from CEKWorldLib.simulation.splits import TITLES

_HEADING = "## Measured quality"
_COLUMNS = ("error, of no enhancement's", "lesion curves, Spearman", "anatomy, gradient correlation", "2nd difference")


def write_quality(name_or_folder: str, evaluation: Path) -> None:
    """Puts measured quality into a model's card, in place of what was there.

    Args:
        evaluation: what ``cekworld evaluate --json`` wrote.

    Raises:
        CEKWorldError: the file is no evaluation, or one of other weights.
    """
    folder = model_folder(name_or_folder)
    try:
        measured = json.loads(evaluation.read_text())
        of, records = measured["model"]["sha256"], measured["cases"]
        section = _section(records)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CEKWorldError(f"{evaluation} is not what cekworld evaluate --json writes.") from error
    if of != verify(folder):
        raise CEKWorldError(f"{evaluation} is of other weights than {folder}; evaluate this model.")
    card = (folder / CARD).read_text().split(f"\n{_HEADING}\n")[0].rstrip()
    rewrite_card(folder, f"{card}\n\n{section}")


def _section(records: list[dict]) -> str:
    own = [record for record in records if record["variant"].startswith(SHIPPED)]
    cases = len({record["seed"] for record in own})
    rows = [
        f"| {anatomy} | {TITLES.get(split, split)} | " + " | ".join(_cell(scores, key) for key in SUMMARY) + " |"
        for (anatomy, split), scores in summarise(own, ("anatomy", "split")).items()
    ]
    return "\n".join(
        [
            _HEADING,
            f"Simulated exams held out from training, {cases} of each row (`cekworld evaluate`). The error is that in",
            "enhancing tissue; 2nd difference: the largest of a lesion's curve over the truth's.",
            "",
            "| anatomy | exams | " + " | ".join(_COLUMNS) + " |",
            "|---|---|" + "---|" * len(_COLUMNS),
            *sorted(rows),
            "",
        ]
    )


def _cell(scores: dict[str, float], key: str) -> str:
    return f"{scores[key]:.2f}" if key in scores else "–"
