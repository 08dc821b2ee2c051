"""Metrics give what their definitions say on data whose answer is known, and evaluation runs on a tiny model."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from tiny_model import tiny_model

from CEKWorldLib.cli.main import main
from CEKWorldLib.evaluation import evaluate, metrics
from CEKWorldLib.evaluation.case_pictures import CasePicture
from CEKWorldLib.evaluation.case_scores import CURVE_TIMES_S, Truth, score_frames
from CEKWorldLib.models.bundle import save_model
from CEKWorldLib.models.folders import verify
from CEKWorldLib.simulation.case import simulate

RNG = np.random.default_rng(0)
PRE = RNG.uniform(50, 100, (2, 32, 32))
TRUTH = np.stack([PRE, 1.5 * PRE, 2.0 * PRE])
EVERYWHERE = np.ones_like(PRE, bool)


def test_doing_nothing_has_an_error_ratio_of_one_and_the_truth_of_zero():
    still = np.broadcast_to(PRE, TRUTH.shape)
    assert metrics.mae_ratio(still, TRUTH, PRE, EVERYWHERE) == pytest.approx(1.0)
    assert metrics.mae_ratio(TRUTH, TRUTH, PRE, EVERYWHERE) == 0.0


def test_enhancing_tissue_is_what_rises_by_more_than_the_threshold_and_is_not_air():
    pre = np.full((1, 4, 4), 100.0)
    truth = np.stack([pre, pre])
    truth[1, 0, 0], pre[0, 3] = 130.0, 1.0
    truth[:, 0, 3] = 50.0
    mask = metrics.enhancing_tissue(pre, truth)
    assert mask[0, 0].all() and not mask[0, 1:].any()


def test_spearman_sees_order_alone_and_gives_zero_for_a_flat_curve():
    rising = np.arange(10.0)
    assert metrics.spearman(np.exp(rising), rising) == pytest.approx(1.0)
    assert metrics.spearman(-rising, rising) == pytest.approx(-1.0)
    assert metrics.spearman(np.ones(10), rising) == 0.0


def test_gradient_correlation_is_one_for_a_scaled_image_and_low_for_a_shifted_one():
    image = RNG.standard_normal((1, 64, 64))
    mask = np.ones_like(image, bool)
    assert metrics.gradient_correlation(3 * image + 7, image, mask) == pytest.approx(1.0)
    assert metrics.gradient_correlation(np.roll(image, 3, -1), image, mask) < 0.2


def test_second_difference_ratio_compares_the_sharpest_bends():
    bend = np.array([0.0, 0.0, 1.0, 2.0])
    assert metrics.second_difference_ratio(2 * bend, bend) == pytest.approx(2.0)


def test_psnr_and_rmse_are_by_their_formulas():
    off = TRUTH + 2.0
    assert metrics.rmse(off, TRUTH, EVERYWHERE) == pytest.approx(2.0)
    assert metrics.psnr(off, TRUTH, 200.0, EVERYWHERE) == pytest.approx(40.0)


def test_similarity_of_a_still_series_is_one_frame_to_frame():
    still = np.stack([PRE] * 3)
    assert metrics.consecutive_ssim(still, 100.0) == pytest.approx(1.0)
    assert metrics.ssim(TRUTH + RNG.normal(0, 30, TRUTH.shape), TRUTH, 200.0) < 0.9


@pytest.fixture(scope="module")
def truth() -> Truth:
    return Truth.of(simulate("breast", 3, "validation", shape=(1, 128, 128)))


def test_the_truth_itself_scores_perfectly_and_the_source_as_nothing(truth):
    source = truth.case.pre.voxels
    noise = source - truth.pre
    perfect = score_frames(truth.series + noise, source, truth)
    nothing = score_frames(np.broadcast_to(source, truth.series.shape), source, truth)
    assert perfect["enhancing_mae_ratio"] < 1e-5 and perfect["ssim"] > 0.9999
    assert perfect.get("lesion_spearman", 1.0) > 0.999
    assert nothing["enhancing_mae_ratio"] == pytest.approx(1.0)
    assert nothing["anatomy_gradient_correlation"] == pytest.approx(1.0)


def test_truth_holds_one_frame_per_curve_time_and_starts_before_arrival(truth):
    assert len(truth.series) == len(CURVE_TIMES_S)
    np.testing.assert_array_equal(truth.series[0], truth.pre)


def test_a_case_picture_shows_the_brightest_moment_of_the_largest_lesion_and_the_curves_without_the_noise(truth):
    source = truth.case.pre.voxels
    frames = source + 0.5 * (truth.series - truth.pre)
    picture = CasePicture.of(truth, frames, score_frames(frames, source, truth))
    lesions = truth.lesions()
    largest = max(lesions, key=lambda n: lesions[n].sum())
    np.testing.assert_array_equal(picture.region, lesions[largest][0])
    seconds = CURVE_TIMES_S.tolist()
    true_curve = truth.case.curve(lesions[largest], seconds)
    np.testing.assert_allclose(picture.true_curve, 100 * (true_curve / true_curve[0] - 1), atol=0.01)
    np.testing.assert_allclose(picture.curve, 0.5 * picture.true_curve, atol=0.01)
    assert picture.time_s == CURVE_TIMES_S[true_curve.argmax()]
    np.testing.assert_allclose(picture.enhancement, 0.5 * picture.true_enhancement, atol=0.01)
    assert truth.case.lesions[largest].family.replace("_", " ") in picture.title and "error 50 %" in picture.title


def test_a_case_without_a_lesion_is_shown_by_its_enhancing_tissue(truth):
    healthy = replace(truth, case=replace(truth.case, lesions=()))
    picture = CasePicture.of(healthy, truth.series, {"enhancing_mae_ratio": 0.0})
    np.testing.assert_array_equal(picture.region, truth.tissue[0])
    assert "enhancing tissue" in picture.title and "Spearman" not in picture.title


def test_evaluation_scores_every_variant_and_its_figures_go_into_the_card(tmp_path, monkeypatch, capsys):
    save_model(tiny_model(), tmp_path / "tiny", {}, "# Tiny\n")
    (tmp_path / "tiny/notes.txt").write_text("ours")
    monkeypatch.setattr(evaluate, "SPLITS", ("test",))
    monkeypatch.setattr(evaluate, "ANATOMIES", ("breast",))
    monkeypatch.setattr(evaluate, "SLICES", 1)
    (tmp_path / "pictures").mkdir()
    evaluate.run(str(tmp_path / "tiny"), 1, "cpu", tmp_path / "e.json", tmp_path / "pictures")
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["cases-breast.png"]
    result = json.loads((tmp_path / "e.json").read_text())
    assert set(result["summary"]) == set(evaluate.SUMMARY)
    names = {record["variant"] for record in result["cases"]}
    assert {"no enhancement", "regression only", "noise start, 4 steps", "oracle"} <= names
    assert result["oracle"]["enhancing_mae_ratio"] < 0.3 < result["summary"]["enhancing_mae_ratio"]
    assert all(np.isfinite(v) for record in result["cases"] for v in record.values() if isinstance(v, float))
    assert "Spearman" in capsys.readouterr().out

    card = ["models", "card", str(tmp_path / "tiny"), "--quality", str(tmp_path / "e.json")]
    assert main(card) == main(card) == 0
    written = capsys.readouterr().out
    assert written == 2 * (tmp_path / "tiny/docs/README.md").read_text() and written.startswith("# Tiny\n")
    row = f"| breast | as in training | {result['summary']['enhancing_mae_ratio']:.2f} |"
    assert written.count(row) == 2 and len(list(tmp_path.iterdir())) == 3
    verify(tmp_path / "tiny")
    assert (tmp_path / "tiny/notes.txt").read_text() == "ours"


def test_figures_of_other_weights_are_refused(tmp_path, capsys):
    save_model(tiny_model(), tmp_path / "tiny", {}, "# Tiny\n")
    measured = {"model": {"name": "tiny", "sha256": "0" * 64}, "cases": []}
    (tmp_path / "e.json").write_text(json.dumps(measured))
    (tmp_path / "no.json").write_text("{}")
    for name, reason in (("e.json", "is of other weights"), ("no.json", "is not what cekworld evaluate")):
        assert main(["models", "card", str(tmp_path / "tiny"), "--quality", str(tmp_path / name)]) == 2
        assert reason in capsys.readouterr().err
    assert (tmp_path / "tiny/docs/README.md").read_text() == "# Tiny\n"
