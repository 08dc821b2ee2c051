"""Speed and memory of the engine on this machine, on the bundled sample exam."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from CEKWorldLib.evaluation.series_bench import series_rows
from CEKWorldLib.exam.exam import Exam
from CEKWorldLib.models.bundle import load_model
from CEKWorldLib.models.world import WorldModel
from CEKWorldLib.simulation.case import Case
from CEKWorldLib.simulation.labels import Label
from CEKWorldLib.synthesis.session import Session
from CEKWorldLib.synthesis.times import default_times

SAMPLE = Path(__file__).parents[2] / "Resources" / "sample" / "breast"
SECONDS = np.arange(0.0, 361.0)
BARS = {
    "synthesize_s": 90.0,
    "first_slice_s": 5.0,
    "scrub_three_slices_ms": 5.0,
    "scrub_volume_ms": 40.0,
    "decode_slice_ms": 150.0,
    "interpolation_error": 0.05,
    "peak_memory_gb": 4.0,
    "gpu_exam_s": 10.0,
    "kinetic_maps_s": 2.0,
    "dicom_export_s": 20.0,
}
_TALL = 128
_GPU_SLICES, _GPU_TIMES = 160, 24


def bench(model: WorldModel, device: str = "auto") -> dict[str, float]:
    """Measures every row; see ``BARS`` for what was promised."""
    case = Case.load(SAMPLE)
    exam, times = case.to_exam(), default_times(case.injection.arrival_s, case.anatomy)
    rows = {}
    session = Session(model, device=device)
    session.prepare(exam, case.injection)
    begun, first = time.perf_counter(), []
    session.synthesize(times, progress=lambda _: first.append(time.perf_counter() - begun))
    rows["synthesize_s"] = time.perf_counter() - begun
    rows["first_slice_s"] = first[0]
    rows["peak_memory_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    lesion_slice = int(np.argmax((case.labels >= Label.LESION).sum((1, 2))))
    rows["decode_slice_ms"] = _milliseconds(lambda t: session.decoded(t, lesion_slice))
    rows["interpolation_error"] = interpolation_error(session, case, lesion_slice)
    rows |= scrubbing(model, exam, case, times, device)
    if torch.cuda.is_available() and device != "cpu":
        rows["gpu_exam_s"] = gpu_exam(model, exam, case)
    return rows | series_rows()


def interpolation_error(session: Session, case: Case, k: int) -> float:
    """Largest difference of a lesion or organ curve in slice k from exact synthesis, over the curve's maximum rise."""
    codes = [
        c for c in np.unique(case.labels[k]) if c not in (Label.AIR, Label.FAT) and (case.labels[k] == c).sum() > 30
    ]
    exact = np.stack([session.exact(float(t), k) for t in SECONDS])
    shown = np.stack([session.slice(float(t), k) for t in SECONDS])
    errors = []
    for code in codes:
        mask = case.labels[k] == code
        truth, seen = exact[:, mask].mean(1), shown[:, mask].mean(1)
        rise = truth.max() - truth[0]
        if rise > 0.05 * truth[0]:
            errors.append(np.abs(truth - seen).max() / rise)
    return float(max(errors))


def scrubbing(model: WorldModel, exam: Exam, case: Case, times, device: str) -> dict[str, float]:
    """Moving the time slider over 256x256x128 voxels: the sample's slices, repeated, synthesized by regression."""
    slices = np.resize(np.arange(exam.pre.shape[0]), _TALL)
    tall = Exam(replace(exam.pre, voxels=exam.pre.voxels[slices]), exam.acquisition, exam.anatomy)
    session = Session(model, device=device, steps=0)
    session.prepare(tall, case.injection)
    session.synthesize(times)
    middle = [n // 2 for n in tall.pre.shape]
    out = np.empty(tall.pre.shape, np.float32)
    return {
        "scrub_three_slices_ms": _milliseconds(lambda t: [session.slice(t, middle[axis], axis) for axis in range(3)]),
        "scrub_volume_ms": _milliseconds(lambda t: session.frame(t, out=out)),
    }


def gpu_exam(model: WorldModel, exam: Exam, case: Case) -> float:
    """Seconds for 160 slices at 24 times on the GPU, the second of two runs."""
    slices = np.resize(np.arange(exam.pre.shape[0]), _GPU_SLICES)
    tall = Exam(replace(exam.pre, voxels=exam.pre.voxels[slices]), exam.acquisition, exam.anatomy)
    times = np.linspace(0.0, 480.0, _GPU_TIMES).tolist()
    for _ in range(2):
        session = Session(model, device="cuda", memory_limit_bytes=8 << 30)
        session.prepare(tall, case.injection)
        begun = time.perf_counter()
        session.synthesize(times)
    return time.perf_counter() - begun


def _milliseconds(read: Callable[[float], object], repeats: int = 40) -> float:
    """Median time to read at random times."""
    moments = np.random.default_rng(0).uniform(25.0, 470.0, repeats)
    read(30.0)
    elapsed = []
    for t in moments:
        begun = time.perf_counter()
        read(float(t))
        elapsed.append(1000.0 * (time.perf_counter() - begun))
    return float(np.median(elapsed))


def run(model: str, device: str, json_path: Path | None) -> None:
    """The command line's entry: measures, prints a table, writes JSON."""
    rows = bench(load_model(model), device)
    print(f"\n{'':24s}{'measured':>12s}{'bar':>12s}")
    for name, value in rows.items():
        print(f"{name:24s}{value:12.3f}{BARS[name]:12.3f}{'' if value <= BARS[name] else '   misses'}")
    if json_path:
        json_path.write_text(json.dumps({"summary": rows, "threads": torch.get_num_threads()}, indent=1) + "\n")
