"""Curves as a table any program reads."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from CEKWorldLib.export.atomic import replacing
from CEKWorldLib.export.curves import RegionCurve
from CEKWorldLib.export.kinetic_tables import plain_text

NOTICE = (
    "SYNTHETIC: not acquired from a patient; synthesized by a model (the shipped ones are trained on simulated data). "
    "Research use only."
)


def write_curves(path: Path | str, curves: Sequence[RegionCurve], arrival_s: float) -> None:
    """Writes one row per time; per region the mean signal and the percent enhancement, then the truth where known.

    Lines that start with # say that the numbers are synthetic and what they mean (``pandas.read_csv(comment="#")``).

    Args:
        path: file to write.
        curves: one per region, all at the same times.
        arrival_s: bolus arrival, for the heading.

    Raises:
        CEKWorldError: the file cannot be written.
    """
    columns = {"time_s": curves[0].times_s}
    for curve in curves:
        columns[f"{curve.name} signal"] = curve.signal
        columns[f"{curve.name} enhancement_percent"] = curve.enhancement
        if curve.truth is not None and curve.true_enhancement is not None:
            columns[f"{curve.name} truth_signal"] = curve.truth
            columns[f"{curve.name} truth_enhancement_percent"] = curve.true_enhancement
    with replacing(Path(path)) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {NOTICE}\n")
        file.write(f"# time_s counts from the start of the injection; bolus arrival at {arrival_s:.3g} s.\n")
        file.write("# signal is the region's mean in the source's own scale; enhancement is 100 (S - S0) / S0.\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([plain_text(name) for name in columns])
        writer.writerows([f"{value:.6g}" for value in row] for row in zip(*columns.values(), strict=True))
