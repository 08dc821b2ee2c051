"""The whole ablation from one call: jobs in processes, tables, pictures. A run that was stopped goes on."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from CEKWorldLib import __version__
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.evaluation.ablation import jobs, pictures
from CEKWorldLib.evaluation.ablation.bars import bars
from CEKWorldLib.evaluation.ablation.budget import Budget, read_budget
from CEKWorldLib.evaluation.ablation.exams import STUDIES
from CEKWorldLib.evaluation.ablation.overhead import overhead
from CEKWorldLib.evaluation.ablation.rows import NOTHING, ORACLE, REGRESSION, ROWS, WITHOUT_FLOW, Row, choose_rows
from CEKWorldLib.evaluation.ablation.summary import markdown, summarise
from CEKWorldLib.export.atomic import replacing
from CEKWorldLib.models.world import WorldModel, channels_last
from CEKWorldLib.training.collection import Collection

Job = Callable[[], None]
TITLES = WITHOUT_FLOW | {row.name: row.title for row in ROWS}


def run(budget: str, output: Path, seeds: int, rows: list[str] | None, workers: int, device: str) -> None:
    """The command line's entry: trains and scores what is missing in ``output``, then writes results, tables, pictures.

    Args:
        budget: name or file.
        seeds: how many, from 0.
        rows: names; all when None.
        workers: processes.
        device: auto, cpu or cuda.

    Raises:
        CEKWorldError: unknown row or budget, or ``output`` holds results of another budget.
    """
    chosen, settings = choose_rows(rows), read_budget(budget)
    place_device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    threads = max(1, (os.cpu_count() or 1) // workers)
    place = jobs.Workplace(output, settings, place_device, threads)
    _claim(output, settings, seeds)
    work = phases(place, chosen, seeds)
    with tqdm(total=sum(map(len, work)), desc="benchmark", unit="job") as bar:
        for phase in work:
            _run_phase(phase, workers, threads, bar)
    report(place, seeds)


def phases(place: jobs.Workplace, rows: Sequence[Row], seeds: int) -> list[list[Job]]:
    """The work in groups; all of a group can be done at the same time, once those before it are done."""
    every = range(seeds)
    beginnings = tuple(dict.fromkeys(row.beginning for row in rows))
    times = tuple(dict.fromkeys(beginning.time for beginning in beginnings))
    data: list[Job] = [partial(jobs.make_exam, place, a, n) for a in STUDIES for n in range(place.budget.exams)]
    data += [partial(jobs.make_patients, place, seed) for seed in every]
    regression: list[Job] = [partial(jobs.train_regression, place, seed, time) for seed in every for time in times]
    regression += [partial(jobs.score_untrained, place, name) for name in (NOTHING, ORACLE)]
    return [
        data,
        regression,
        [partial(jobs.train_beginning, place, seed, beginning) for seed in every for beginning in beginnings],
        [partial(jobs.train_row, place, seed, row) for seed in every for row in rows],
    ]


def report(place: jobs.Workplace, seeds: int) -> None:
    """Writes ``results.json``, ``tables.md`` and the pictures of everything that is scored so far."""
    records = read_records(place, seeds)
    summary = summarise(records)
    cost = measure_overhead(place)
    checks = bars(records, cost)
    text = f"{markdown(summary, TITLES)}\n### Bars\n\n" + "\n".join(f"- {check}" for check in checks) + "\n"
    results: dict[str, Any] = {
        "cekworld": __version__,
        "budget": place.budget.as_dict(),
        "seeds": sorted({r["seed"] for r in records if r["seed"] is not None}),
        "overhead": cost,
        "bars": checks,
        "summary": {
            anatomy: {row: {k: vars(v) for k, v in scores.items()} for row, scores in by_row.items()}
            for anatomy, by_row in summary.items()
        },
        "exams": records,
    }
    for name, content in (("results.json", json.dumps(results, indent=1) + "\n"), ("tables.md", text)):
        with replacing(place.folder / name) as temporary:
            temporary.write_text(content)
    pictures.write_all(place, TITLES)
    print(f"\n{text}\nWritten to {place.folder}: results.json, tables.md and pictures.")


def read_records(place: jobs.Workplace, seeds: int) -> list[dict[str, Any]]:
    """The scores of single exams of every row that is done."""
    files = [place.scores_file(name, None) for name in (NOTHING, ORACLE)]
    trained = (*REGRESSION.values(), *(row.name for row in ROWS))
    files += [place.scores_file(name, seed) for name in trained for seed in range(seeds)]
    return [record for file in files if file.exists() for record in json.loads(file.read_text())]


def measure_overhead(place: jobs.Workplace) -> float:
    """Cost of LAL and LDL per training step at this budget, on this machine; measured once."""
    path = place.folder / "overhead.json"
    if not path.exists():
        schedule, device = place.budget.half, torch.device(place.device)
        source = Collection.load(place.seed_folder(0) / "patients.safetensors")
        batch = source.draw(schedule.slices, schedule.times, schedule.size, 0, 0, device)
        torch.manual_seed(0)
        model = channels_last(WorldModel(place.budget.model)).to(device)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(overhead(model, batch)))
    return json.loads(path.read_text())


def _claim(output: Path, budget: Budget, seeds: int) -> None:
    """Makes the folders, or checks that what lies there is of the same budget."""
    note = output / "budget.json"
    mine = json.loads(json.dumps(budget.as_dict()))
    if note.exists():
        if json.loads(note.read_text()) != mine:
            raise CEKWorldError(f"{output} holds a benchmark of another budget; choose another folder, or delete it.")
    elif output.exists() and any(output.iterdir()):
        raise CEKWorldError(f"{output} is not empty and holds no benchmark; choose another folder.")
    for folder in ("exams", *(f"seed-{seed}" for seed in range(seeds))):
        (output / folder).mkdir(parents=True, exist_ok=True)
    with replacing(note) as temporary:
        temporary.write_text(json.dumps(mine, indent=1))


def _run_phase(phase: list[Job], workers: int, threads: int, bar: tqdm) -> None:
    """Does jobs, several in processes of their own; an error or Ctrl-C ends those at once, for every job can go on."""
    if workers == 1:
        for job in phase:
            job()
            bar.update()
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=torch.set_num_threads, initargs=(threads,))
    try:
        for done in as_completed([pool.submit(job) for job in phase]):
            done.result()
            bar.update()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    pool.shutdown()
