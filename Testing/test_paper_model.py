"""The published model: its sizes are those of the paper, and it samples and trains at reduced width."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext

import pytest
import torch

pytest.importorskip("transformers", reason="the paper's model needs transformers (pip install cekworld[paper])")

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.bundle import load_model
from CEKWorldLib.models.condition import CONDITION_SIZE, Condition
from CEKWorldLib.models.paper import PaperConfiguration, PaperWorldModel
from CEKWorldLib.training.batches import Batch
from CEKWorldLib.training.configuration import read_configuration
from CEKWorldLib.training.consistency import Consistency
from CEKWorldLib.training.data import DataPlan
from CEKWorldLib.training.diffusion_stage import DiffusionStage
from CEKWorldLib.training.run import run

NARROW = PaperConfiguration((16, 32, 32, 32), 1, (8, 16, 16, 16), 16, 1, heads=2, groups=8)


@pytest.fixture(scope="module")
def narrow() -> PaperWorldModel:
    torch.manual_seed(0)
    return PaperWorldModel(NARROW)


def test_whole_model_has_the_sizes_of_the_paper():
    with torch.device("meta"):
        model = PaperWorldModel()
    millions = {
        name: round(sum(p.numel() for p in part.parameters()) / 1e6, 1) for name, part in model.named_children()
    }
    assert millions == {"autoencoder": 83.7, "text_encoder": 123.1, "unet": 859.5, "controlnet": 361.3}
    assert model.latent_shape(256, 256) == (4, 32, 32)


@torch.no_grad()
def test_samples_from_shared_noise_and_decodes_to_enhancement(narrow):
    stack = torch.rand(2, 3, 64, 64)
    features = narrow.encode(stack, Condition())
    latents = narrow.sample(features, torch.tensor([30.0, 90.0, 300.0]), torch.randn(2, 4, 8, 8), steps=2)
    enhancement = narrow.decode(latents, features)
    assert latents.shape == (2, 3, 4, 8, 8) and enhancement.shape == (2, 3, 64, 64)
    assert torch.isfinite(enhancement).all()


class Repeated:
    """A source that knows one batch: three slices at three times."""

    def __init__(self) -> None:
        rng = torch.Generator().manual_seed(4)
        enhancement = torch.rand(3, 3, 64, 64, generator=rng)
        self.batch = Batch(
            stack=torch.rand(3, 3, 64, 64, generator=rng),
            enhancement=enhancement,
            times_s=torch.tensor([[60.0, 120.0, 300.0], [40.0, 90.0, 200.0], [20.0, 50.0, 90.0]]),
            arrival_s=torch.full((3,), 20.0),
            condition=torch.zeros(3, CONDITION_SIZE),
            weight=torch.ones_like(enhancement),
            labels=torch.zeros(3, 64, 64, dtype=torch.int64),
        )

    def draw(self, slices: int, times: int, size: int, seed: int, step: int, device: torch.device) -> Batch:
        return self.batch


def test_training_steps_on_one_batch_lower_the_loss(narrow):
    stage, batch = DiffusionStage(), Repeated().batch
    frozen = narrow.unet.down_blocks[0].resnets[0].conv1.weight.clone()
    optimiser = torch.optim.AdamW([p for module in stage.trained(narrow) for p in module.parameters()], 2e-3)
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        loss = stage.losses(narrow, batch, torch.Generator().manual_seed(3))["noise"]
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert torch.equal(narrow.unet.down_blocks[0].resnets[0].conv1.weight, frozen)


def test_consistency_adds_its_terms_as_the_authors_compute_them(narrow):
    consistency = Consistency(alignment=6.0, difference=1.0, mode="official", difference_share=1.0)
    terms = DiffusionStage(consistency).losses(narrow, Repeated().batch, torch.Generator().manual_seed(3))
    assert set(terms) == {"noise", "alignment", "difference"}
    assert all(term > 0 for term in terms.values())
    with pytest.raises(CEKWorldError, match="official"):
        DiffusionStage(Consistency(difference=1.0, mode="latent"))


CONFIGURATION = """
[model]
architecture = "paper"
name = "narrow"
unet = [16, 32, 32, 32]
unet_layers = 1
autoencoder = [8, 16, 16, 16]
text = 16
text_layers = 1
heads = 2
groups = 8

[bank]
slabs = 1
seed = 0

[[stages]]
name = "diffusion"
kind = "diffusion"
steps = 2
slices = 3
times = 3
size = 64
consistency = { alignment = 6.0, difference = 1.0, mode = "official" }
"""


@pytest.fixture
def stable_diffusion(narrow, tmp_path):
    """A folder in the layout of Stable Diffusion, of narrow networks."""
    folder = tmp_path / "stable-diffusion"
    narrow.unet.save_pretrained(folder / "unet")
    narrow.autoencoder.save_pretrained(folder / "vae")
    narrow.text_encoder.save_pretrained(folder / "text_encoder")
    return folder


def trained(tmp_path, monkeypatch, init: str | None, configuration: str = CONFIGURATION):
    """What `cekworld train` does with a configuration on `Repeated`; gives the model folder."""
    file = tmp_path / "narrow.toml"
    file.write_text(configuration)
    monkeypatch.setattr(PaperWorldModel, "sample_steps", 2)
    monkeypatch.setattr(DataPlan, "source", lambda *_: nullcontext(Repeated()))
    run(str(file), tmp_path / "run", "cpu", seed=0, workers=1, init=init)
    return tmp_path / "run" / "model"


def test_a_run_from_stable_diffusion_ends_in_a_model_folder_that_says_so(
    narrow, stable_diffusion, tmp_path, monkeypatch
):
    model = load_model(trained(tmp_path, monkeypatch, str(stable_diffusion)))
    torch.testing.assert_close(model.text_encoder.state_dict(), narrow.text_encoder.state_dict(), atol=1e-3, rtol=1e-3)
    assert model.name == "narrow"
    metadata = json.loads((tmp_path / "run/model/configs/metadata.json").read_text())
    assert metadata["training"]["init"] == "Stable Diffusion 1.5" and not metadata["trained_on_simulated_data"]
    assert "OpenRAIL" in (tmp_path / "run/model/docs/README.md").read_text().replace(" ", "")


def test_a_run_goes_on_from_a_folder_of_the_published_model(stable_diffusion, tmp_path, monkeypatch):
    first = trained(tmp_path, monkeypatch, str(stable_diffusion))
    first.rename(tmp_path / "before")
    shutil.rmtree(tmp_path / "run")
    assert load_model(trained(tmp_path, monkeypatch, str(tmp_path / "before"))).name == "narrow"


def test_the_published_model_is_not_trained_from_nothing(tmp_path, monkeypatch):
    with pytest.raises(CEKWorldError, match="--init"):
        trained(tmp_path, monkeypatch, None)


def test_a_stable_diffusion_of_other_sizes_or_damaged_is_refused(stable_diffusion, tmp_path, monkeypatch):
    wider = CONFIGURATION.replace("text = 16", "text = 32")
    with pytest.raises(CEKWorldError, match="stable-diffusion is no Stable Diffusion"):
        trained(tmp_path, monkeypatch, str(stable_diffusion), wider)
    next((stable_diffusion / "vae").glob("*.safetensors")).write_bytes(b"damaged")
    shutil.rmtree(tmp_path / "run", ignore_errors=True)
    with pytest.raises(CEKWorldError, match="stable-diffusion is no Stable Diffusion"):
        trained(tmp_path, monkeypatch, str(stable_diffusion))


def test_each_model_is_trained_by_stages_of_its_own(tmp_path):
    assert read_configuration("paper").model == PaperConfiguration()
    file = tmp_path / "mixed.toml"
    file.write_text(CONFIGURATION.replace('kind = "diffusion"', 'kind = "flow"').replace("official", "latent"))
    with pytest.raises(CEKWorldError, match="'flow'"):
        read_configuration(file)


def test_times_become_different_text_and_none_the_empty_prompt(narrow):
    with torch.no_grad():
        text = narrow.time_text(torch.tensor([60.0, 61.0]))
        assert text.shape == (2, 77, 16)
        assert not torch.allclose(text[0], text[1]) and narrow.time_text(None).shape == (1, 77, 16)
