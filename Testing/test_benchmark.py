"""The ablation: metrics against definitions, times that training never meets, a run that goes on where it stopped."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy import stats

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.evaluation.ablation import benchmark, pictures
from CEKWorldLib.evaluation.ablation.bars import bars
from CEKWorldLib.evaluation.ablation.budget import SHIPPED, read_budget
from CEKWorldLib.evaluation.ablation.curve_scores import curve_scores, curve_type, dynamic_time_warping, end_jump
from CEKWorldLib.evaluation.ablation.exams import STUDIES, HeldOutExam, StudyTimes
from CEKWorldLib.evaluation.ablation.rows import ROWS, WITHOUT_FLOW, choose_rows
from CEKWorldLib.evaluation.ablation.scores import score
from CEKWorldLib.evaluation.ablation.summary import Estimate, markdown, paired, summarise
from CEKWorldLib.kinetics.curve_type import CurveType
from CEKWorldLib.training.acquisition_times import sparse_times
from CEKWorldLib.training.loop import Loop

TRAINED = ["baseline", "joint-learned", "mean-start-text"]
SECONDS = 20.0 + 5.0 * np.arange(60)


def uptake(washout_s: float) -> np.ndarray:
    since = SECONDS - SECONDS[0]
    return 100.0 * (1 - np.exp(-since / 25.0)) * np.exp(-since / washout_s)


def test_warping_distance_equals_its_recursive_definition():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal(7), rng.standard_normal(9)

    @cache
    def distance(i: int, j: int) -> float:
        if i < 0 and j < 0:
            return 0.0
        if i < 0 or j < 0:
            return np.inf
        return abs(a[i] - b[j]) + min(distance(i - 1, j), distance(i, j - 1), distance(i - 1, j - 1))

    assert dynamic_time_warping(a, b) == pytest.approx(distance(6, 8) / 9)
    assert dynamic_time_warping(b, b) == 0.0


def test_warping_forgives_a_delay_that_a_plain_difference_does_not():
    curve = uptake(300.0)
    late = np.concatenate([np.zeros(3), curve[:-3]])
    assert dynamic_time_warping(late, curve) < 0.25 * np.abs(late - curve).mean()


@pytest.mark.parametrize(
    ("washout_s", "expected"), [(1e9, CurveType.PERSISTENT), (900.0, CurveType.PLATEAU), (150.0, CurveType.WASHOUT)]
)
def test_curve_types_are_those_of_the_readers(washout_s, expected):
    growing = uptake(washout_s) * (1 + (SECONDS - 20) / 600 if washout_s == 1e9 else 1)
    assert curve_type(growing, 100.0, SECONDS) == expected


def test_a_perfect_curve_has_perfect_scores():
    scores = curve_scores(uptake(400.0), uptake(400.0), 100.0, SECONDS)
    assert scores["spearman"] == pytest.approx(1.0) and scores["curve_type"] == 1.0
    assert scores["dtw"] == scores["enhancement_error"] == 0.0 and scores["second_difference"] == 1.0


def test_an_end_jump_is_the_first_or_last_step_over_the_largest_between():
    assert end_jump(np.array([0.0, 1.0, 2.0, 3.0])) == 1.0
    assert end_jump(np.array([0.0, 3.0, 4.0, 5.0])) == 3.0
    assert end_jump(np.array([0.0, 1.0, 3.0, 7.0])) == 2.0


@pytest.mark.parametrize("anatomy", STUDIES)
def test_training_never_meets_the_times_called_never_acquired(anatomy):
    times, rng = StudyTimes.of(anatomy), np.random.default_rng(1)
    acquired = np.concatenate([sparse_times(rng, anatomy, 0.0) for _ in range(300)])
    never = np.concatenate([times.between, times.early])
    assert np.abs(acquired[:, None] - never[None]).min() > 0.4
    assert len(times.at("frames")) == len(times.acquired) + len(never)
    np.testing.assert_array_equal(times.all[times.at("curve")], times.curve)


def test_intervals_are_students():
    estimate = Estimate.of([1.0, 2.0, 4.0])
    low, high = stats.t.interval(0.95, 2, loc=7 / 3, scale=stats.sem([1.0, 2.0, 4.0]))
    assert estimate.mean == pytest.approx(7 / 3) and 2 * estimate.interval == pytest.approx(high - low)
    assert Estimate.of([3.0]).text(1) == "3.0"


def records(seeds: int = 3) -> list[dict]:
    rng, made = np.random.default_rng(0), []
    for row, bonus in (("baseline", 0.0), ("two-stage", 0.1)):
        for seed in range(seeds):
            for anatomy in STUDIES:
                for exam in range(2):
                    value = 0.5 + bonus + 0.01 * seed + 0.02 * rng.standard_normal()
                    names = ("ssim", "cssim", "cssim_truth", "spearman", "psnr_acquired", "psnr_between", "psnr_early")
                    facts = {"row": row, "seed": seed, "anatomy": anatomy, "exam": exam}
                    made.append(facts | dict.fromkeys(names, value) | {"end_jump": 0.5, "end_jump_truth": 0.4})
    return made


def test_rows_are_compared_seed_by_seed():
    difference = paired(records(), "breast", "ssim", "two-stage", "baseline")
    assert difference.mean == pytest.approx(0.1, abs=0.04) and len(difference.seeds) == 3
    assert paired(records(), "breast", "ssim", "two-stage", "lal") is None


def test_bars_say_what_is_met_and_what_is_missed():
    sentences = bars(records(), overhead=0.5)
    assert sum(s.startswith("met") for s in sentences) == 12
    assert [s for s in sentences if s.startswith("missed")] == [
        "missed: LAL and LDL cost 50% of a training step (bar 35 %)"
    ]


def test_tables_list_rows_in_order_with_their_intervals():
    text = markdown(summarise(records()), {"two-stage": "both", "baseline": "plain", "lal": "not done"})
    assert text.index("| both |") < text.index("| plain |") and "±" in text and "not done" not in text


def test_every_row_can_be_chosen_and_a_wrong_one_is_named():
    names = {row.name for row in ROWS}
    assert len(names) == len(ROWS) and {*pictures.SHOWN, *pictures.TIME_AS_TEXT} <= names | set(WITHOUT_FLOW)
    assert [row.name for row in choose_rows(["two-stage", "baseline"])] == ["baseline", "two-stage"]
    with pytest.raises(CEKWorldError, match="nonsense.*baseline"):
        choose_rows(["nonsense"])


@pytest.mark.parametrize("name", [path.stem for path in SHIPPED.glob("*.toml")])
def test_shipped_budgets_give_every_row_the_same_steps(name):
    budget = read_budget(name)
    assert budget.half.steps > 0 and budget.size % 32 == 0


def test_a_budget_with_a_wrong_entry_is_refused_by_name(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text((SHIPPED / "tiny.toml").read_text().replace("half_steps", "halfsteps"))
    with pytest.raises(CEKWorldError, match="mine.toml"):
        read_budget(file)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark") / "ablation"
    benchmark.run("tiny", folder, seeds=1, rows=TRAINED, workers=1, device="cpu")
    return folder


def test_a_run_writes_results_tables_and_pictures(results):
    values = json.loads((results / "results.json").read_text())
    rows = {record["row"] for record in values["exams"]}
    assert rows == {"no-enhancement", "oracle", "regression", "regression-text", *TRAINED}
    assert "ControlNet-like baseline" in (results / "tables.md").read_text()
    for anatomy in STUDIES:
        assert (results / f"strips-{anatomy}.png").stat().st_size > 10_000


def test_a_run_that_is_done_trains_nothing_again(results, monkeypatch):
    def trains(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(Loop, "run", trains)
    benchmark.run("tiny", results, seeds=1, rows=TRAINED, workers=1, device="cpu")


def test_rows_told_the_time_in_another_way_start_from_a_regression_of_their_own(results):
    encoders = {
        name: {key.split(".")[1] for key in load_file(results / "seed-0" / f"{name}.safetensors") if "time_enc" in key}
        for name in ("regression", "flow-noise", "regression-text", "flow-mean-text")
    }
    assert encoders["regression"] == encoders["flow-noise"] and "transformer" not in encoders["regression"]
    assert encoders["regression-text"] == encoders["flow-mean-text"] and "transformer" in encoders["regression-text"]


def test_a_row_trained_again_from_the_same_seed_has_the_same_scores(results):
    path = results / "seed-0" / "rows" / "joint-learned.json"
    before = json.loads(path.read_text())
    path.unlink()
    benchmark.run("tiny", results, seeds=1, rows=["joint-learned"], workers=1, device="cpu")
    for old, new in zip(before, json.loads(path.read_text()), strict=True):
        scores = {name: value for name, value in old.items() if isinstance(value, float)}
        assert {name: new[name] for name in scores} == pytest.approx(scores, rel=1e-5, nan_ok=True)


def test_results_of_another_budget_are_not_mixed_in(results):
    with pytest.raises(CEKWorldError, match="another budget"):
        benchmark.run("cpu", results, seeds=1, rows=None, workers=1, device="cpu")


@pytest.mark.parametrize("anatomy", STUDIES)
def test_the_oracle_beats_doing_nothing(results, anatomy):
    exam = HeldOutExam.load(next((results / "exams").glob(f"{anatomy}-*.safetensors")), anatomy)
    nothing, oracle = (score(x, exam)["rmse"] for x in (np.zeros_like(exam.truth), exam.oracle))
    assert oracle < 0.5 * nothing
