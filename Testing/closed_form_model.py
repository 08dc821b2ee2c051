"""A world model without weights, whose enhancement has a closed form, and a phantom exam for it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from CEKWorldLib.exam.exam import Exam
from CEKWorldLib.exam.protocol import Injection
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.models.condition import Condition
from CEKWorldLib.synthesis.session import Session

LATENT = 4  # pixels per latent pixel
TIMES = (0.0, 24.0, 30.0, 45.0, 90.0, 240.0, 400.0)
ROUNDING = 1.0  # float16 latents and key frames, in a signal of 500


class ClosedFormModel:
    """Enhancement = (own + 0.25 next - 0.125 previous slice) * uptake(t) + 0.05 * noise * uptake(t).

    Args:
        largest_batch: images (slices x times) that fit into memory; a larger decode raises ``error``.
        error: what running out of memory raises.
        fails_on: device type without any memory.
    """

    name = "closed form"
    sha256 = "5" * 64
    time_range_s = (0.0, 600.0)
    sample_steps = 1

    def __init__(self, largest_batch: int | None = None, error: Exception | None = None, fails_on: str = "") -> None:
        self.largest_batch = largest_batch
        self.error = error or torch.OutOfMemoryError("CUDA out of memory.")
        self.fails_on = fails_on
        self.device = torch.device("cpu")
        self.encoded: list[int] = []
        self.sampled: list[int] = []
        self.decoded: list[int] = []

    def to(self, device: torch.device) -> ClosedFormModel:
        self.device = device
        return self

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        return 2, height // LATENT, width // LATENT

    def encode(self, stack: Tensor, condition: Condition) -> tuple[Tensor, float]:
        assert torch.is_inference_mode_enabled()
        if self.device.type == self.fails_on:
            raise self.error
        self.encoded.append(len(stack))
        return stack, condition.injection.arrival_s

    def sample(self, features: tuple[Tensor, float], times_s: Tensor, noise: Tensor, steps: int | None) -> Tensor:
        stack, arrival = features
        self.sampled.append(len(stack))
        rise = torch.tensor([uptake(float(t), arrival) for t in times_s])[None, :, None, None, None]
        even = torch.ones(len(stack), 1, 1, *noise.shape[-2:])
        return torch.cat([rise * even, rise * noise[:, None, :1]], 2)

    def decode(self, latents: Tensor, features: tuple[Tensor, float]) -> Tensor:
        images = latents.shape[0] * latents.shape[1]
        if self.largest_batch is not None and images > self.largest_batch:
            raise self.error
        self.decoded.append(images)
        previous, own, following = features[0].unbind(1)
        pattern = (own + 0.25 * following - 0.125 * previous)[:, None]
        fine = latents.repeat_interleave(LATENT, -1).repeat_interleave(LATENT, -2)
        return fine[:, :, 0] * pattern + 0.05 * fine[:, :, 1]


def uptake(t: float, arrival: float) -> float:
    """Wash-in over 20 s, wash-out over 400 s; zero up to arrival."""
    since = t - arrival
    return 0.0 if since <= 0 else (1 - np.exp(-since / 20)) * np.exp(-since / 400)


def phantom(slices: int = 4, rows: int = 256, columns: int = 256, **geometry) -> Exam:
    """A bright textured ellipse in dark air, the same for the same size."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    inside = (y / 0.6) ** 2 + (x / 0.7) ** 2 < 1
    texture = 400 + 60 * rng.standard_normal((slices, 1, 1)) + 80 * np.sin(9 * y + 3) * np.cos(7 * x)
    voxels = np.where(inside, texture, 0.0) + rng.uniform(0, 4, (slices, rows, columns))
    return Exam(Volume(voxels.astype(np.float32), **geometry))


def expected_enhancement(session, t: float) -> np.ndarray:
    """The closed form for a session's exam in the source's scale and geometry, without the body box.

    No voxel loses more than the signal it has.
    """
    prepared = session._prepared
    images = prepared.images.numpy()
    following, previous = np.concatenate([images[1:], images[-1:]]), np.concatenate([images[:1], images[:-1]])
    noise = prepared.noise[:, 0].numpy().repeat(LATENT, -1).repeat(LATENT, -2)
    model = (images + 0.25 * following - 0.125 * previous + 0.05 * noise) * uptake(t, session.injection.arrival_s)
    enhancement = prepared.grid.to_source(model.astype(np.float32)) * prepared.scale
    return np.maximum(enhancement, -session.exam.pre.voxels)


def made(exam: Exam | None = None, times=TIMES, model: ClosedFormModel | None = None, **settings) -> Session:
    """A session that has synthesized the phantom, or another exam."""
    session = Session(model or ClosedFormModel(), device="cpu", **settings)
    session.prepare(exam or phantom(), Injection(arrival_s=20.0))
    session.synthesize(times)
    return session
