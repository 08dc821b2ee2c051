"""The compact world model: what is computed once, what is exactly zero, what is shared."""

from __future__ import annotations

import pytest
import torch
from tiny_model import TINY, tiny_model

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.protocol import Acquisition, Injection
from CEKWorldLib.models.condition import CONDITION_SIZE, Condition, condition_vector, hide
from CEKWorldLib.models.time_encoder import clock_text, time_features
from CEKWorldLib.models.world import SliceFeatures, WorldModel

ARRIVAL_S = 20.0
CONDITION = Condition(injection=Injection(arrival_s=ARRIVAL_S))
TIMES = torch.tensor([0.0, 15.0, 20.0, 25.0, 60.0, 300.0])


@pytest.fixture(scope="module")
def model() -> WorldModel:
    return tiny_model()


@pytest.fixture(scope="module")
def stack() -> torch.Tensor:
    return torch.rand(3, 3, 64, 96, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def noise() -> torch.Tensor:
    return torch.randn(3, 4, 16, 24, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("start", ["mean", "noise"])
def test_latents_are_exactly_zero_up_to_arrival_and_not_after(model, stack, noise, steps, start):
    latents = model.sample(model.encode(stack, CONDITION), TIMES, noise, steps, start)
    assert latents.shape == (3, 6, 4, 16, 24)
    assert (latents[:, :3] == 0).all()
    assert (latents[:, 3:].abs().amax((2, 3, 4)) > 0).all()


def test_zero_latent_decodes_to_exactly_zero_enhancement(model, stack):
    features = model.encode(stack, CONDITION)
    assert (model.decode(torch.zeros(3, 2, 4, 16, 24), features) == 0).all()


def test_image_encoder_runs_once_however_many_steps_and_times(model, stack, noise, monkeypatch):
    calls = []
    forward = model.image_encoder.forward
    monkeypatch.setattr(model.image_encoder, "forward", lambda x: calls.append(1) or forward(x))
    features = model.encode(stack, CONDITION)
    model.sample(features, TIMES, noise, 4)
    model.sample(features, TIMES + 7, noise, 2)
    assert len(calls) == 1


def test_samples_do_not_depend_on_how_slices_and_times_are_batched(model, stack, noise):
    features = model.encode(stack, CONDITION)
    together = model.sample(features, TIMES, noise, 2)
    alone = model.sample(features.select([1]), TIMES[4:], noise[1:2], 2)
    torch.testing.assert_close(together[1:2, 4:], alone, atol=1e-4, rtol=1e-4)


def test_selected_and_joined_features_are_the_features(model, stack):
    features = model.encode(stack, CONDITION)
    joined = SliceFeatures.concatenate([features.select([0]), features.select([1, 2])])
    assert len(joined) == 3 and joined.nbytes == features.nbytes
    torch.testing.assert_close(joined.injected[-1], features.injected[-1])


def test_sample_is_continuous_in_time_across_arrival(model, stack, noise):
    features = model.encode(stack, CONDITION)
    near = model.sample(features, torch.tensor([ARRIVAL_S, ARRIVAL_S + 0.01]), noise, 0)
    far = model.sample(features, torch.tensor([ARRIVAL_S + 60.0]), noise, 0)
    assert (near[:, 1] - near[:, 0]).abs().max() < 0.01 * far.abs().max()


def test_every_unet_level_hears_the_image_encoder(model, stack, noise):
    """Silencing one injection at a time changes the sample: none of the zero convolutions is disconnected."""
    features = model.encode(stack, CONDITION)
    full = model.sample(features, TIMES[4:], noise, 1)
    for index in range(len(features.injected)):
        silenced = list(features._tensors())
        silenced[6 + index] = torch.zeros_like(silenced[6 + index])
        changed = model.sample(SliceFeatures._from(silenced), TIMES[4:], noise, 1)
        assert not torch.allclose(full, changed, atol=1e-7), index


def test_injection_starts_at_zero_as_in_controlnet():
    fresh = WorldModel(TINY)
    assert all((parameter == 0).all() for parameter in fresh.injection.parameters())


def test_a_time_encoder_that_there_is_not_is_refused():
    with pytest.raises(CEKWorldError, match="continous.*choose continuous or text"):
        tiny_model(time_encoder="continous")


def test_text_time_encoder_rounds_to_whole_seconds(stack, noise):
    model = tiny_model(time_encoder="text")
    features = model.encode(stack, CONDITION)
    latents = model.sample(features, torch.tensor([60.2, 60.4, 61.4]), noise, 1)
    torch.testing.assert_close(latents[:, 0] * 1, latents[:, 1], atol=0.05, rtol=0.05)
    assert not torch.allclose(latents[:, 1], latents[:, 2], atol=1e-6)


def test_clock_text_reads_like_a_clock():
    assert [clock_text(t) for t in (-3, 0, 65.4, 3599.6)] == ["00:00:00", "00:00:00", "00:01:05", "01:00:00"]


def test_time_features_do_not_move_before_arrival_and_are_smooth_after():
    since = torch.linspace(-30, 600, 6301)
    features = time_features(since)
    assert (features[since <= 0] == features[0]).all()
    assert (features.diff(dim=0).abs().max()) < 0.2


def test_unknown_settings_are_zero_with_their_flags_down():
    known = condition_vector(Condition(Acquisition(5.0, 2.0, 12.0, 3.0, True), anatomy="brain"))
    unknown = condition_vector(Condition())
    assert len(known) == len(unknown) == CONDITION_SIZE
    assert known[5:10].tolist() == [1.0] * 5 and unknown[:10].tolist() == [0.0] * 10
    assert known[-1] == 1.0 and unknown[-3:].tolist() == [0.0] * 3


def test_hiding_forgets_header_and_anatomy_but_never_the_injection():
    vectors = condition_vector(
        Condition(Acquisition(4.0, 1.0, 10.0, 3.0, True), Injection(dose_mmol_per_kg=0.2), "breast")
    ).expand(500, -1)
    hidden = hide(vectors, 0.3, torch.Generator().manual_seed(0))
    assert 0.2 < (hidden[:, 5] == 0).float().mean() < 0.4
    assert 0.2 < (hidden[:, -3] == 0).float().mean() < 0.4
    torch.testing.assert_close(hidden[:, 10:12], vectors[:, 10:12])
