"""What a model makes of a held-out exam."""

from __future__ import annotations

import numpy as np
import torch

from CEKWorldLib.evaluation.ablation.exams import HeldOutExam
from CEKWorldLib.models.sampler import Start
from CEKWorldLib.models.world import WorldModel


@torch.no_grad()
def predict(model: WorldModel, exam: HeldOutExam, steps: int, start: Start) -> tuple[np.ndarray, np.ndarray]:
    """Samples the exam at all of its times; the noise is a function of the exam's seed.

    Args:
        steps: Euler steps; 0 with the start "mean" is the regression alone.

    Returns:
        Enhancement (T, S, S) and latents (T, 4, h, w).
    """
    device = next(model.parameters()).device
    stack, condition = (torch.from_numpy(x)[None].to(device) for x in (exam.stack, exam.condition))
    arrival = torch.tensor([exam.arrival_s], dtype=torch.float32, device=device)
    features = model.encode_slices(stack, condition, arrival)
    noise = torch.randn(1, *model.latent_shape(*stack.shape[-2:]), generator=torch.Generator().manual_seed(exam.seed))
    times = torch.from_numpy(exam.times.all).to(arrival) + arrival
    latents = model.sample(features, times, noise.to(device), steps, start)
    return model.decode(latents, features)[0].cpu().numpy(), latents[0].cpu().numpy()
