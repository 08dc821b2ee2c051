"""Training from real exams: batches of what was acquired, a run from the shipped weights, a packed model."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from exam_archive import frames, write_one_series, write_phase_files

from CEKWorldLib.cli.main import main
from CEKWorldLib.dataset.building import Plan, build
from CEKWorldLib.dataset.cache import CachedExam, open_exams
from CEKWorldLib.dataset.identity import Fractions
from CEKWorldLib.dataset.preparing import Settings
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.bundle import load_model
from CEKWorldLib.models.folders import model_metadata
from CEKWorldLib.training import configuration as configurations
from CEKWorldLib.training.batches import UNKNOWN_TISSUE, Slab, make_batch
from CEKWorldLib.training.configuration import read_configuration
from CEKWorldLib.training.data import DataPlan
from CEKWorldLib.training.exam_source import ExamSource
from CEKWorldLib.training.source import MixedSource
from CEKWorldLib.training.stages import tissue_terms

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def exams(tmp_path_factory):
    """Two exams, of three phases after the injection and of one."""
    folder = tmp_path_factory.mktemp("real")
    write_one_series(folder / "archive" / "1", "p1", frames(1))
    write_phase_files(folder / "archive" / "2", "p2", frames(2)[:2])
    (folder / "archive" / "2" / "times.csv").write_text("-20\n100\n")
    plan = Plan(settings=Settings(registration=False), fractions=Fractions(1.0, 0.0, 0.0), anatomy="breast")
    assert [outcome.status for outcome in build(folder / "archive", folder / "exams", plan)] == ["accepted"] * 2
    return folder / "exams"


def source_of(exams, phases: int) -> ExamSource:
    return ExamSource([exam for exam in open_exams(exams) if len(exam.record.times_s) == phases])


def test_a_batch_holds_the_acquired_phases_and_no_other(exams):
    batch = source_of(exams, 3).draw(4, 4, 256, 0, 0, CPU)
    assert batch.times_s.tolist() == [[90.0, 210.0, 330.0]] * 4
    assert batch.stack.shape == batch.enhancement.shape == (4, 3, 256, 256)
    assert (batch.labels <= 0).all() and (batch.labels == UNKNOWN_TISSUE).float().mean() > 0.5
    assert batch.enhancement.amax() > 0.5
    assert (source_of(exams, 3).draw(4, 2, 256, 0, 1, CPU).times_s.diff(dim=1) > 0).all()


def test_an_exam_with_one_phase_gets_a_time_before_arrival_without_enhancement(exams):
    batch = source_of(exams, 1).draw(2, 4, 256, 0, 0, CPU)
    assert (batch.times_s[:, 0] <= batch.arrival_s).all() and batch.times_s[:, 1].tolist() == [100.0, 100.0]
    assert not batch.enhancement[:, 0].any() and batch.enhancement[:, 1].any()


def test_batches_of_exams_with_different_numbers_of_phases_have_equal_ones(exams):
    source = ExamSource.open(exams)
    batches = [source.draw(3, 4, 64, 0, step, CPU) for step in range(12)]
    assert {batch.times_s.shape[1] for batch in batches} == {2, 3}


def test_a_batch_is_a_function_of_seed_and_step_and_smaller_images_are_windows(exams):
    source = ExamSource.open(exams)
    one, same, other = (source.draw(2, 3, 64, 5, step, CPU) for step in (1, 1, 2))
    assert torch.equal(one.stack, same.stack) and one.stack.shape[-2:] == (64, 64)
    assert one.stack.shape != other.stack.shape or not torch.equal(one.stack, other.stack)


def test_the_neighbours_of_an_edge_slice_repeat(exams):
    exam = source_of(exams, 3).exams[0]
    for slices, expected in (((0, 1), (0, 0, 1)), ((3, 4), (2, 3, 3))):
        edge = CachedExam(exam.folder, replace(exam.record, slices=slices))
        drawn = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "CEKWorldLib.training.exam_source.make_batch", lambda slabs, *_, drawn=drawn: drawn.extend(slabs)
            )
            ExamSource([edge]).draw(1, 1, 256, 0, 0, CPU)
        np.testing.assert_array_equal(drawn[0].pre, exam.pre[list(expected)])


def test_slices_smaller_than_the_image_are_padded_with_air_of_which_nothing_is_said():
    slab = Slab(
        pre=np.ones((3, 96, 128), np.float32),
        enhancement=np.ones((2, 96, 128), np.float32),
        labels=np.full((96, 128), 5, np.int16),
        times_s=np.array([30.0, 60.0], np.float32),
        arrival_s=20.0,
        condition=np.zeros(15, np.float32),
        mirror=False,
    )
    batches = [make_batch([slab], 128, np.random.default_rng(seed), CPU) for seed in range(8)]
    still = next(batch for batch in batches if (batch.labels == 5).sum() == 96 * 128)  # not moved by chance
    assert (still.labels[0, :16] == UNKNOWN_TISSUE).all() and not still.stack[0, :, :16].any()


def test_pixels_without_a_label_go_without_the_terms_of_tissues(exams):
    from tiny_model import tiny_model

    model = tiny_model()
    model.tissue_head.requires_grad_(True)
    batch = ExamSource.open(exams).draw(2, 2, 64, 0, 0, CPU)
    features = model.image_encoder(batch.stack)[0]
    unknown = replace(batch, labels=torch.full_like(batch.labels, UNKNOWN_TISSUE))
    latents = torch.ones(2, 2, 4, *features.shape[-2:])
    loss = sum(tissue_terms(model, features, unknown, 0.5 * latents, latents).values())
    loss.backward()
    assert loss == 0 and not model.tissue_head.weight.grad.any()  # zero, not absent: processes average gradients
    known = unknown.labels.clone()
    known[:, 10:20] = 5
    terms = tissue_terms(model, features, replace(batch, labels=known), 0.5 * latents, latents)
    assert terms["tissue"] > 0 and terms["balance"] > 0


def test_a_mix_draws_from_each_source_by_its_share():
    class Named:
        def __init__(self, name):
            self.name = name

        def draw(self, *_):
            return self.name

    mix = MixedSource((Named("real"), Named("simulated")), (0.75, 0.25))
    drawn = [mix.draw(1, 1, 64, 0, step, CPU) for step in range(400)]
    assert 0.68 < drawn.count("real") / 400 < 0.82
    assert drawn == [mix.draw(1, 1, 64, 0, step, CPU) for step in range(400)]


def test_the_shipped_fine_tuning_fits_the_shipped_weights():
    tuned, compact = read_configuration("finetune"), read_configuration("compact")
    assert replace(tuned.model, name="compact") == compact.model
    assert tuned.data.exams is not None and 0 < tuned.data.exam_share < 1


def test_data_that_mean_nothing_are_refused(tmp_path):
    with pytest.raises(CEKWorldError, match="no share"):
        DataPlan(slabs=3, exam_share=1.5)
    with pytest.raises(CEKWorldError, match=r"need a \[bank\]"):
        DataPlan().source(tmp_path, 1)
    with pytest.raises(CEKWorldError, match="no data set"):
        ExamSource.open(configurations.SHIPPED)


def test_shipped_weights_are_trained_on_real_exams_and_packed(exams, tmp_path, capsys):
    """``cekworld train`` on a data set alone, then ``cekworld models pack`` of its checkpoints."""
    compact = (configurations.SHIPPED / "compact.toml").read_text().split("[bank]")[0]
    stages = '[[stages]]\nname = "d"\nkind = "decoder"\nsteps = 2\nslices = 1\ntimes = 2\nsize = 64\n'
    stages += '[[stages]]\nname = "r"\nkind = "refinement"\nsteps = 1\nslices = 1\ntimes = 2\nsize = 128\n'
    (tmp_path / "mine.toml").write_text(compact.replace('"compact"', '"mine"') + stages)
    arguments = ["--data", str(exams), "--init", "compact", "--device", "cpu", "--output", str(tmp_path / "run")]
    assert main(["train", str(tmp_path / "mine.toml"), *arguments]) == 0
    assert not (tmp_path / "run/bank").exists()
    trained = load_model(tmp_path / "run/model")
    changed = [
        name
        for name, weight in load_model("compact").state_dict().items()
        if (weight != trained.state_dict()[name]).any()
    ]
    assert any(name.startswith("autoencoder") for name in changed)
    assert any(name.startswith("image_encoder") for name in changed)
    assert model_metadata(tmp_path / "run/model")["trained_on_simulated_data"] is False
    card = (tmp_path / "run/model/docs/README.md").read_text()
    assert "Real exams from a local archive" in card and "model 'compact'" in card

    assert main(["model", "pack", str(tmp_path / "run"), "--output", str(tmp_path / "packed"), "--name", "ours"]) == 0
    packed = load_model(tmp_path / "packed")
    for name, weight in trained.state_dict().items():
        torch.testing.assert_close(packed.state_dict()[name], weight, atol=0, rtol=0, msg=name)
    assert packed.name == "ours"
    assert model_metadata(tmp_path / "packed")["training"]["steps_done"] == {"d": 2, "r": 1}

    (tmp_path / "run/r.safetensors").unlink()  # as if the second stage had not begun
    assert main(["models", "pack", str(tmp_path / "run"), "--output", str(tmp_path / "early")]) == 0
    early = load_model(tmp_path / "early").state_dict()
    start = load_model("compact").state_dict()
    assert all(torch.equal(early[name], start[name]) for name in early if name.startswith("image_encoder"))
    assert any(not torch.equal(early[name], start[name]) for name in early if name.startswith("autoencoder"))
    assert json.loads((tmp_path / "early/manifest.json").read_text())


def test_a_folder_without_a_run_or_without_checkpoints_is_named(tmp_path, capsys):
    assert main(["models", "pack", str(tmp_path), "--output", str(tmp_path / "m")]) == 2
    assert "no folder of a training run" in capsys.readouterr().err
