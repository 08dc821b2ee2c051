"""LPIPS as far as it can be judged without the published weights: with random ones, in the published layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.evaluation.ablation.summary import markdown, summarise
from CEKWorldLib.evaluation.lpips import ALEXNET, FOLDER_VARIABLE, LINEAR, Lpips, lpips_on_disk


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Both files, as torchvision and the package lpips lay them out."""
    folder = tmp_path_factory.mktemp("lpips")
    torch.manual_seed(0)
    model = Lpips()
    backbone = {name: value for name, value in model.state_dict().items() if name.startswith("features.")}
    torch.save(backbone | {"classifier.1.weight": torch.zeros(2)}, folder / ALEXNET)
    linear = {f"lin{n}.model.1.weight": weight[None, :, None, None].data for n, weight in enumerate(model.linear)}
    torch.save(linear, folder / LINEAR)
    return folder


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 64, 64, generator=torch.Generator().manual_seed(1))


def plain(model: Lpips, a: np.ndarray, b: np.ndarray) -> float:
    """The paper's equation 1, pixel by pixel."""
    total = 0.0
    scale = [(2 * x[None] - 1 - model.mean.numpy()) / model.sd.numpy() for x in (a, b)]
    x, y = (torch.from_numpy(image).float()[None] for image in scale)
    ends = iter(model.linear)
    for layer in model.features:
        x, y = layer(x), layer(y)
        if not isinstance(layer, torch.nn.ReLU):
            continue
        weight = next(ends).detach().numpy()
        f, g = (features[0].detach().numpy() for features in (x, y))
        rows, columns = f.shape[1:]
        distances = [
            np.sum(weight * (f[:, r, c] / np.linalg.norm(f[:, r, c]) - g[:, r, c] / np.linalg.norm(g[:, r, c])) ** 2)
            for r in range(rows)
            for c in range(columns)
        ]
        total += np.mean(distances)
    return total


def test_it_is_the_papers_equation(folder, images):
    model = Lpips.read(folder)
    expected = plain(model, *images.numpy())
    assert float(model(images[:1], images[1:])[0]) == pytest.approx(expected, rel=1e-4)


def test_an_image_has_no_distance_to_itself_and_more_the_more_it_is_disturbed(folder, images):
    model, noise = Lpips.read(folder), torch.randn(images.shape, generator=torch.Generator().manual_seed(2))
    distances = [float(model(images, (images + sd * noise).clamp(0, 1)).mean()) for sd in (0.0, 0.05, 0.2)]
    assert distances[0] == 0.0 < distances[1] < distances[2]
    assert torch.allclose(model(images, images.flip(0)), model(images.flip(0), images))


def test_a_series_is_judged_with_one_data_range(folder, images):
    model, series = Lpips.read(folder), images.numpy()
    other = series[::-1].copy()
    assert model.of_series(700 * series, 700 * other, 700.0) == pytest.approx(model.of_series(series, other, 1.0))


def test_weights_are_found_where_the_variable_says_and_nowhere_is_no_error(folder, tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert lpips_on_disk() is None
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    assert isinstance(lpips_on_disk(), Lpips)


@pytest.mark.parametrize(("name", "content"), [(ALEXNET, None), (LINEAR, b"no weights"), (LINEAR, {})])
def test_a_file_that_is_missing_damaged_or_another_one_is_named(folder, tmp_path, monkeypatch, name, content):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    if content is None:
        (tmp_path / name).unlink()
    elif isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        torch.save(content, tmp_path / name)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(CEKWorldError, match=name):
        lpips_on_disk()


def test_tables_have_its_column_only_where_it_was_measured():
    record = {"row": "baseline", "seed": 0, "anatomy": "breast", "ssim": 0.9, "cssim_truth": 0.99}
    assert "LPIPS" not in markdown(summarise([record]), {"baseline": "plain"})
    assert "LPIPS" in markdown(summarise([record | {"lpips": 0.1}]), {"baseline": "plain"})
