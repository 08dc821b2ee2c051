"""Released checkpoints in the latent-diffusion layout: every weight finds its place, and nothing in the file is run."""

from __future__ import annotations

import json
import os

import pytest
import torch

pytest.importorskip("transformers", reason="the paper's model needs transformers (pip install cekworld[paper])")

from diffusers.loaders import single_file_utils
from ldm_layout import ldm_checkpoint
from safetensors.torch import save_file
from transformers import CLIPTokenizer

from CEKWorldLib.cli.main import main
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models import importing
from CEKWorldLib.models.bundle import load_model
from CEKWorldLib.models.condition import Condition
from CEKWorldLib.models.importing import convert, import_checkpoint, read_tensors
from CEKWorldLib.models.ldm_keys import ldm_name
from CEKWorldLib.models.paper import PaperConfiguration, PaperWorldModel

NARROW = PaperConfiguration((16, 32, 32, 48), 2, (8, 16, 16, 24), 16, 1, heads=2, groups=8)


@pytest.fixture(scope="module")
def tensors():
    return ldm_checkpoint(NARROW)


@pytest.fixture(scope="module")
def model(tensors):
    return convert(tensors, NARROW, "file")


def test_every_weight_is_set_from_one_of_the_file_and_all_of_the_file_are_used(tensors, model):
    weights = {name for name in tensors if tensors[name].is_floating_point() and tensors[name].shape != (5,)}
    sums = sorted(float(tensors[name].double().sum()) for name in weights)
    assert sorted(float(tensor.double().sum()) for tensor in model.state_dict().values()) == pytest.approx(sums)
    assert not any(tensor.is_meta for tensor in [*model.parameters(), *model.buffers()])


def test_weights_lie_where_diffusers_own_conversion_puts_them(tensors, model):
    found = {
        "unet": single_file_utils.convert_ldm_unet_checkpoint(tensors, model.unet.config),
        "controlnet": single_file_utils.convert_controlnet_checkpoint(tensors, model.controlnet.config),
        "autoencoder": single_file_utils.convert_ldm_vae_checkpoint(tensors, model.autoencoder.config),
    }
    for part, expected in found.items():
        own = getattr(model, part).state_dict()
        assert set(own) == set(expected), part
        for name, tensor in own.items():
            torch.testing.assert_close(tensor, expected[name].reshape(tensor.shape), msg=f"{part}.{name}")


def test_full_size_names_are_those_of_stable_diffusion():
    """Names known from the released Stable Diffusion 1.5 and ControlNet files."""
    known = {
        "unet.up_blocks.1.upsamplers.0.conv.weight": "model.diffusion_model.output_blocks.5.2.conv.weight",
        "unet.up_blocks.0.upsamplers.0.conv.bias": "model.diffusion_model.output_blocks.2.1.conv.bias",
        "unet.down_blocks.3.resnets.1.conv2.weight": "model.diffusion_model.input_blocks.11.0.out_layers.3.weight",
        "controlnet.controlnet_down_blocks.11.weight": "control_model.zero_convs.11.0.weight",
        "controlnet.controlnet_cond_embedding.conv_out.bias": "control_model.input_hint_block.14.bias",
        "autoencoder.decoder.up_blocks.0.resnets.2.norm1.weight": "first_stage_model.decoder.up.3.block.2.norm1.weight",
    }
    assert {name: ldm_name(name, 2, 4) for name in known} == known


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_a_file_becomes_a_model_folder_that_loads_and_samples(tensors, tmp_path, suffix, monkeypatch, capsys):
    file = tmp_path / f"released{suffix}"
    if suffix == ".ckpt":
        torch.save({"state_dict": tensors, "epoch": 13, "global_step": 7}, file)
    else:
        save_file(tensors, file)
    monkeypatch.setattr(importing, "PaperConfiguration", lambda: NARROW)
    assert main(["model", "import", str(file), "--output", str(tmp_path / "paper")]) == 0
    assert str(tmp_path / "paper") in capsys.readouterr().out
    model = load_model(tmp_path / "paper")
    assert isinstance(model, PaperWorldModel) and model.sha256 and model.name == "paper"
    assert json.loads((tmp_path / "paper/configs/metadata.json").read_text())["trained_on_simulated_data"] is False
    with torch.no_grad():
        features = model.encode(torch.rand(1, 3, 64, 64), Condition())
        latents = model.sample(features, torch.tensor([60.0, 300.0]), torch.randn(1, 4, 8, 8), steps=1)
        assert torch.isfinite(model.decode(latents, features)).all()


def test_faults_are_named_all_at_once(tensors, tmp_path):
    changed = dict(tensors)
    changed.pop("control_model.zero_convs.3.0.weight")
    changed["model.diffusion_model.strange"] = torch.zeros(1)
    changed["first_stage_model.quant_conv.bias"] = torch.zeros(5)
    with pytest.raises(CEKWorldError) as caught:
        convert(changed, NARROW, "released.ckpt")
    text = str(caught.value)
    assert "released.ckpt" in text
    assert "1 missing: control_model.zero_convs.3.0.weight" in text
    assert "1 unexpected: model.diffusion_model.strange" in text
    assert "1 of a wrong shape: first_stage_model.quant_conv.bias [5] for [8]" in text


class Evil:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def test_code_in_a_file_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": torch.zeros(1)}, "callbacks": Evil()}, "evil.ckpt")
    with pytest.raises(CEKWorldError, match="nothing in it is run"):
        import_checkpoint(tmp_path / "evil.ckpt", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.ckpt"]


def test_files_that_are_no_checkpoint_are_refused_by_name(tmp_path):
    (tmp_path / "text.ckpt").write_text("hello")
    (tmp_path / "text.safetensors").write_text("hello")
    torch.save([1, 2], tmp_path / "list.ckpt")
    for name in ("text.ckpt", "text.safetensors", "list.ckpt", "absent.ckpt"):
        with pytest.raises(CEKWorldError, match=name):
            read_tensors(tmp_path / name)


def test_times_are_the_tokens_of_clips_own_tokenizer(model, tmp_path):
    """A vocabulary as OpenAI's tokenizer begins it; times need no more of it."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + number) for number in range(len(others))]
    words = letters + [letter + "</w>" for letter in letters]
    vocabulary = {word: number for number, word in enumerate(words)}
    vocabulary |= {"<|startoftext|>": 49406, "<|endoftext|>": 49407}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    expected = tokenizer(["0:01:05"]).input_ids[0]
    assert model._tokens(["0:01:05"])[0, : len(expected)].tolist() == expected and len(expected) == 9


def test_a_folder_that_is_no_model_is_not_replaced(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_text("dear")
    assert main(["models", "import", "x.ckpt", "--output", str(tmp_path / "photos"), "--overwrite"]) == 2
    assert "no model folder" in capsys.readouterr().err and (tmp_path / "photos/a.jpg").exists()
