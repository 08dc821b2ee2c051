"""Model folders: whole or refused, never unpickled, equal after a round trip."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from tiny_model import tiny_model

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.bundle import load_model, save_model
from CEKWorldLib.models.condition import Condition
from CEKWorldLib.models.folders import list_models, read_card, rewrite_card, verify


@pytest.fixture
def folder(tmp_path):
    save_model(tiny_model(), tmp_path / "mine", {"version": "0"}, "# Card\n")
    return tmp_path / "mine"


def test_a_loaded_model_computes_what_was_saved_up_to_float16(folder):
    stack, noise = torch.rand(1, 3, 32, 32), torch.randn(1, 4, 8, 8)
    times = torch.tensor([60.0, 300.0])
    samples = [m.sample(m.encode(stack, Condition()), times, noise, 1) for m in (tiny_model(), load_model(folder))]
    torch.testing.assert_close(samples[0], samples[1], atol=0.02, rtol=0.02)


def test_a_loaded_model_knows_its_name_range_and_checksum(folder):
    model = load_model(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert model.name == "tiny" and model.time_range_s == (0.0, 600.0)
    assert model.sha256 == manifest["models/model.safetensors"]["sha256"] and not model.training


def test_saving_twice_gives_the_same_weights_file_and_leaves_nothing_beside_it(folder):
    digest = verify(folder)
    assert save_model(tiny_model(), folder, {"version": "0"}, "# Card\n") == digest
    assert [p.name for p in folder.parent.iterdir()] == ["mine"]


def test_every_changed_or_missing_file_is_named(folder):
    for name in json.loads((folder / "manifest.json").read_text()):
        path = folder / name
        kept = path.read_bytes()
        path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        with pytest.raises(CEKWorldError, match=f"{path.name} is damaged"):
            load_model(folder)
        path.unlink()
        with pytest.raises(CEKWorldError, match=f"{path.name} is missing"):
            load_model(folder)
        path.write_bytes(kept)
    load_model(folder)


def test_a_pickle_dressed_as_safetensors_is_refused_even_with_a_matching_manifest(folder):
    weights = folder / "models/model.safetensors"
    torch.save({"evil": torch.zeros(1)}, weights)
    manifest = json.loads((folder / "manifest.json").read_text())
    data = weights.read_bytes()
    manifest["models/model.safetensors"] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CEKWorldError, match="not a safetensors file"):
        load_model(folder)


def test_weights_of_another_configuration_are_refused_before_use(folder):
    other = folder.parent / "other"
    save_model(tiny_model(embedding=24), other, {}, "")
    configuration = json.loads((folder / "configs/model.json").read_text())
    (other / "configs/model.json").write_text(json.dumps(configuration))
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["configs/model.json"] = json.loads((folder / "manifest.json").read_text())["configs/model.json"]
    (other / "configs/model.json").write_bytes((folder / "configs/model.json").read_bytes())
    (other / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CEKWorldError, match="has shape"):
        load_model(other)


def test_a_name_nobody_knows_is_refused_with_the_names_there_are():
    with pytest.raises(CEKWorldError, match="no model 'nobody'"):
        load_model("nobody")


def test_shipped_models_are_whole_and_small_enough_for_the_repository():
    assert "compact" in list_models()
    model = load_model("compact")
    assert sum(p.numel() for p in model.parameters()) * 2 <= 40e6


def test_a_stop_while_the_earlier_model_is_removed_costs_neither(folder, monkeypatch):
    def stopped(path, **_):
        next(p for p in sorted(Path(path).rglob("*")) if p.is_file()).unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr("CEKWorldLib.models.folders.shutil.rmtree", stopped)
    with pytest.raises(KeyboardInterrupt):
        rewrite_card(folder, "another card")
    verify(folder)
    assert read_card(folder) == "another card"


@pytest.mark.parametrize("manifest", ["7", "[]", "{}", '{"models/model.safetensors": "x"}', "no JSON"])
def test_a_manifest_that_is_none_is_one_sentence(folder, manifest):
    (folder / "manifest.json").write_text(manifest)
    with pytest.raises(CEKWorldError, match=r"manifest\.json"):
        load_model(folder)


@pytest.mark.parametrize("change", [{"name": None}, {"architecture": "paper", "depth": 3}, {"unet_widths": 7}])
def test_a_configuration_that_fits_no_network_is_one_sentence(folder, change):
    path = folder / "configs/model.json"
    values = json.loads(path.read_text()) | change
    path.write_text(json.dumps({name: value for name, value in values.items() if value is not None}))
    manifest = json.loads((folder / "manifest.json").read_text())
    data = path.read_bytes()
    manifest["configs/model.json"] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CEKWorldError, match="fits no network"):
        load_model(folder)


def test_a_card_that_is_missing_is_named(folder):
    (folder / "docs/README.md").unlink()
    with pytest.raises(CEKWorldError, match=r"README\.md"):
        read_card(folder)
