"""The published model: its sizes are those of the paper, and it samples and trains at reduced width."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("transformers", reason="the paper's model needs transformers (pip install cekworld[paper])")

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.condition import Condition
from CEKWorldLib.models.paper import PaperSizes, PaperWorldModel

NARROW = PaperSizes((16, 32, 32, 32), 1, (8, 16, 16, 16), 16, 1, heads=2, groups=8)


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


def test_training_steps_on_one_batch_lower_the_loss(narrow):
    hint, post = torch.rand(2, 3, 64, 64), torch.rand(2, 1, 64, 64)
    trained = [*narrow.controlnet.parameters(), *narrow.unet.parameters()]
    optimiser = torch.optim.AdamW(trained, 2e-3)
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        loss = narrow.diffusion_loss(hint, post, torch.tensor([60.0, 120.0]), torch.Generator().manual_seed(3))
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_times_become_different_text_and_none_the_empty_prompt(narrow):
    with torch.no_grad():
        text = narrow.time_text(torch.tensor([60.0, 61.0]))
        assert text.shape == (2, 77, 16)
        assert not torch.allclose(text[0], text[1]) and narrow.time_text(None).shape == (1, 77, 16)


def test_a_folder_that_is_not_stable_diffusion_is_refused_by_name(tmp_path):
    with pytest.raises(CEKWorldError, match="lacks unet, vae"):
        PaperWorldModel.from_stable_diffusion(tmp_path)
