"""What the ablation was to show, and whether it does: one sentence each, with the figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from CEKWorldLib.evaluation.ablation.exams import STUDIES
from CEKWorldLib.evaluation.ablation.summary import paired, summarise

PSNR_GAP_DB = 1.0
OVERHEAD = 0.35
_BETTER = {"ssim": "SSIM", "cssim": "cSSIM", "spearman": "lesion-curve Spearman"}
_NEVER_ACQUIRED = {"psnr_between": "between acquired ones", "psnr_early": "before the first"}
_OURS, _BASELINE = "two-stage", "baseline"


def bars(records: Sequence[dict[str, Any]], overhead: float) -> list[str]:
    """Sentences that begin with "met" or "missed"; what has not been trained yet has none.

    Args:
        records: scores of single exams.
        overhead: of LAL and LDL in a training step.
    """
    checks = []
    for anatomy in STUDIES:
        checks += [_better(records, anatomy, name) for name in _BETTER if _has(records, anatomy, name)]
    summary = summarise(records)
    for anatomy in STUDIES:
        scores = summary.get(anatomy, {}).get(_OURS)
        if scores is None:
            continue
        for group, where in _NEVER_ACQUIRED.items():
            gap = scores["psnr_acquired"].mean - scores[group].mean
            checks.append(
                f"{_word(gap <= PSNR_GAP_DB)}: {anatomy}, PSNR at never-acquired times {where} {gap:+.2f} dB below "
                f"acquired ones (bar {PSNR_GAP_DB:g} dB)"
            )
        if "end_jump" in scores:
            jump, truth = scores["end_jump"].mean, scores["end_jump_truth"].mean
            checks.append(
                f"{_word(jump <= 1.0)}: {anatomy}, largest step of lesion curves at their ends {jump:.2f} of the "
                f"largest between (bar 1; truth {truth:.2f})"
            )
    checks.append(f"{_word(overhead <= OVERHEAD)}: LAL and LDL cost {overhead:.0%} of a training step (bar 35 %)")
    return checks


def _better(records: Sequence[dict[str, Any]], anatomy: str, name: str) -> str:
    difference = paired(records, anatomy, name, _OURS, _BASELINE)
    assert difference is not None  # ``_has`` was asked
    return (
        f"{_word(difference.mean > 0)}: {anatomy}, {_BETTER[name]} of LAL, then LDL against the baseline "
        f"{difference.text(4)} (bar above 0)"
    )


def _has(records: Sequence[dict[str, Any]], anatomy: str, name: str) -> bool:
    return paired(records, anatomy, name, _OURS, _BASELINE) is not None


def _word(met: bool) -> str:
    return "met" if met else "missed"
