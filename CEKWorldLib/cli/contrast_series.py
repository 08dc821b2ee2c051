"""The work behind ``cekworld synthesize``: exam, truth, session, curves, files, table."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from CEKWorldLib.cli.regions import Regions, automatic_regions, case_regions, mask_regions
from CEKWorldLib.cli.synthesize import SAMPLES
from CEKWorldLib.exam.dicom_files import refuse_series
from CEKWorldLib.exam.exam import Exam
from CEKWorldLib.exam.grid import slice_axis
from CEKWorldLib.exam.protocol import Injection
from CEKWorldLib.exam.reading import read_exam
from CEKWorldLib.export.contact_sheet import write_contact_sheet
from CEKWorldLib.export.curve_plot import plot_times, write_curve_plot
from CEKWorldLib.export.curves import RegionCurve
from CEKWorldLib.export.curves_csv import NOTICE, write_curves
from CEKWorldLib.export.seq_nrrd import write_sequence
from CEKWorldLib.models.bundle import load_model
from CEKWorldLib.models.folders import model_metadata
from CEKWorldLib.simulation.case import Case
from CEKWorldLib.synthesis.progress import Progress
from CEKWorldLib.synthesis.session import Session
from CEKWorldLib.synthesis.times import default_times, parse_times

_SHEET_SLICES, _SHEET_TIMES = 2, 8
_EARLY_S = 90.0  # the first post-contrast phase of breast protocols, whose enhancement readers quote


@dataclass(frozen=True)
class Work:
    """A finished synthesis with what belongs to it.

    Attributes:
        session: complete.
        regions: region name to mask.
        truth: the simulated case under this run's injection, when the input is one.
        training: what the model was trained on, in words.
        others: the same synthesis with the next seeds, made one by one as they are asked for.
    """

    session: Session
    regions: Regions
    truth: Case | None
    training: str
    others: Iterator[Session]


def prepare(args: argparse.Namespace) -> Work:
    """Reads the input and synthesizes it.

    Raises:
        CEKWorldError: input, mask, model or times are not as they should be.
    """
    case, exam = _read(args)
    given = {"arrival_s": args.arrival, "dose_mmol_per_kg": args.dose, "relaxivity": args.relaxivity}
    start = case.injection if case else Injection()
    injection = replace(start, **{name: value for name, value in given.items() if value is not None})
    for warning in exam.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    times = default_times(injection.arrival_s, exam.anatomy) if args.times is None else parse_times(args.times)
    regions = mask_regions(args.roi or (), exam.pre)

    model = load_model(args.model)
    steps = args.steps if args.steps is not None or args.samples == 1 else model.sample_steps

    def synthesized(seed: int) -> Session:
        session = Session(model, args.device, steps, seed, disk_cache=args.cache)
        session.prepare(exam, injection)
        _synthesize(session, times, args.extrapolate)
        return session

    session = synthesized(args.seed)
    others = (synthesized(args.seed + n) for n in range(1, args.samples))
    if not regions and case:
        regions = case_regions(case)
    if not regions:
        regions = automatic_regions(exam.pre, _largest_enhancement(session))
    simulated = model_metadata(args.model).get("trained_on_simulated_data")
    training = "trained on simulated data" if simulated else "trained on exams its card names"
    return Work(session, regions, replace(case, injection=injection) if case else None, training, others)


def results(work: Work, folder: Path) -> str:
    """Writes the result files.

    Returns:
        The table of regions, as text.
    """
    session = work.session
    arrival, times = session.injection.arrival_s, session.times
    facts = _facts(work)
    _write_phases(folder / "phases.seq.nrrd", session, facts)
    for other in work.others:
        (folder / SAMPLES).mkdir(exist_ok=True)
        _write_phases(folder / SAMPLES / f"seed_{other.seed}.seq.nrrd", other, facts)

    curves = _curves(work, np.union1d(times, plot_times(times[0], times[-1], arrival)))
    write_curves(folder / "curves.csv", [curve.at(np.array(times)) for curve in curves], arrival)
    subtitle = f"model {session.model.name} ({session.model.sha256[:8]}), {work.training}"
    write_curve_plot(folder / "curves.png", curves, arrival, times, subtitle)
    _write_sheet(work, folder / "contact_sheet.png", subtitle)
    (folder / "run.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return _table(curves)


def _write_phases(path: Path, session: Session, facts: Mapping[str, Any]) -> None:
    """One synthesis as a sequence that says what made it."""
    attributes = {f"CEKWorld.{name}": value for name, value in facts.items() if isinstance(value, str)}
    attributes |= {"CEKWorld.Synthetic": "1", "CEKWorld.Notice": NOTICE, "CEKWorld.seed": str(session.seed)}
    frames = (session.frame(t, extrapolate=True) for t in _bar(session.times, "writing phases", "phase"))
    write_sequence(path, session.exam.pre, session.times, frames, attributes)


def _read(args: argparse.Namespace) -> tuple[Case | None, Exam]:
    """The exam, and the simulated case it comes from when its truth lies beside it."""
    folder = args.input if args.input.is_dir() else args.input.parent
    is_case = (folder / "case.json").is_file() and args.input.name in (folder.name, "pre.nrrd")
    if not is_case:
        return None, read_exam(args.input, args.anatomy, args.series)
    refuse_series(args.input, args.series)
    case = Case.load(folder)
    exam = case.to_exam()
    return case, replace(exam, anatomy=args.anatomy or exam.anatomy)


def _synthesize(session: Session, times: Sequence[float], extrapolate: bool) -> None:
    with _progress_bar(session.exam.pre.shape[slice_axis(session.exam.pre)]) as bar:

        def show(progress: Progress) -> None:
            bar.update(progress.done - bar.n)

        session.synthesize(times, progress=show, extrapolate=extrapolate)


def _largest_enhancement(session: Session) -> np.ndarray:
    pre = session.exam.pre.voxels
    largest = np.zeros_like(pre)
    frame = np.empty_like(pre)
    for t in session.times:
        np.maximum(largest, session.frame(t, out=frame, extrapolate=True) - pre, out=largest)
    return largest


def _curves(work: Work, times: np.ndarray) -> list[RegionCurve]:
    session, truth = work.session, work.truth
    pre = session.exam.pre.voxels
    return [
        RegionCurve(
            name=name,
            voxels=int(np.count_nonzero(mask)),
            times_s=times,
            baseline=float(pre[mask].mean(dtype=float)),
            signal=session.curve(mask, times.tolist(), extrapolate=True),
            truth_baseline=float(truth.curve(mask, [0.0])[0]) if truth else None,
            truth=truth.curve(mask, times.tolist()) if truth else None,
        )
        for name, mask in work.regions.items()
    ]


def _write_sheet(work: Work, path: Path, subtitle: str) -> None:
    session, truth = work.session, work.truth
    pre = session.exam.pre
    axis = slice_axis(pre)
    slices = _sheet_slices(work.regions, pre.shape[axis], axis)
    chosen = np.linspace(0, len(session.times) - 1, min(_SHEET_TIMES, len(session.times))).round().astype(int)
    times = [session.times[i] for i in chosen]
    if times[0] > session.injection.arrival_s:
        times.insert(0, 0.0)
    planes = np.stack([[session.slice(t, k, axis, extrapolate=True) for t in times] for k in slices])
    true_planes = np.stack([truth.signal(t).take(slices, axis) for t in times], axis=1) if truth else None
    write_contact_sheet(
        path, pre, slices, times, planes, session.injection.arrival_s, true_planes, work.regions, subtitle
    )


def _sheet_slices(regions: Regions, count: int, axis: int) -> list[int]:
    """The slice that shows most of the first region, and others away from it and from each other."""
    first = next(iter(regions.values()))
    chosen = [int(first.sum(axis=tuple({0, 1, 2} - {axis})).argmax())]
    for k in (count // 2, count // 4, 3 * count // 4):
        if len(chosen) < _SHEET_SLICES and all(abs(k - other) >= max(count / 6, 1) for other in chosen):
            chosen.append(k)
    return sorted(chosen)


def _facts(work: Work) -> dict[str, Any]:
    """What the run was, for a reader of its results. Neither paths nor header fields, which may name a patient."""
    session, truth = work.session, work.truth
    pre = session.exam.pre
    facts: dict[str, Any] = {
        **session.metadata(),
        "notice": NOTICE,
        "training": work.training,
        "device": session.device,
        "acquisition": asdict(session.exam.acquisition),
        "anatomy": session.exam.anatomy,
        "input_shape": list(pre.shape),
        "input_spacing_mm": list(pre.spacing),
        "input_sha256": hashlib.sha256(pre.voxels.tobytes()).hexdigest(),
        "regions": {name: int(np.count_nonzero(mask)) for name, mask in work.regions.items()},
    }
    if truth:
        facts["simulated_case"] = {"anatomy": truth.anatomy, "split": truth.split, "seed": truth.seed}
    return facts


def _table(curves: Sequence[RegionCurve]) -> str:
    """One line per region: peak, time to peak, at 90 s and at the end; the truth in brackets where it is known."""
    last = float(curves[0].times_s[-1])
    early = _EARLY_S if curves[0].times_s[0] <= _EARLY_S < last else None
    header = ["region", "voxels", "peak (%)", "TTP (s)"]
    header += [f"{early:.0f} s (%)"] if early else []
    rows = [[*header, f"{last:.0f} s (%)"]]
    for curve in curves:
        versions = [curve]
        if curve.truth is not None and curve.truth_baseline is not None:
            versions.append(replace(curve, signal=curve.truth, baseline=curve.truth_baseline))
        numbers = [[*v.peak, *([v.enhancement_at(early)] if early else []), v.enhancement_at(last)] for v in versions]
        cells = [" ".join(_bracketed(_whole(x), i) for i, x in enumerate(pair)) for pair in zip(*numbers, strict=True)]
        rows.append([curve.name, str(curve.voxels), *cells])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    lines.insert(1, "-" * len(lines[0]))
    title = "Signal enhancement over pre-contrast" + (
        ", in brackets the simulated truth" if curves[0].truth is not None else ""
    )
    return "\n".join([title, *lines])


def _whole(value: float) -> str:
    return "-" if np.isnan(value) else str(round(value))


def _bracketed(text: str, index: int) -> str:
    return f"({text})" if index else text


def _progress_bar(total: int) -> tqdm:
    # tqdm draws nothing where nobody watches (disable=None: not a terminal).
    return tqdm(total=total, desc="synthesizing", unit="slice", disable=None, file=sys.stderr)


def _bar(items: Sequence[float], what: str, unit: str) -> Iterator[float]:
    return iter(tqdm(items, desc=what, unit=unit, disable=None, file=sys.stderr))
