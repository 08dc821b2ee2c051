"""Kinetics drawn again under a pre-contrast image that stays as it is.

What a patient's pre-contrast image shows (anatomy, relaxation, density) and what it does not (perfusion, arterial
input, duration of the injection) come from one stream of random numbers, but no pixel before contrast depends on the
latter. Drawn again from a stream of their own they give another patient with the same pre-contrast image: the mean over
such patients is the best anybody could predict from it, and their spread is what nobody can know.

Lesion families are not drawn again. Their shape and T1 mostly tell them apart, so the mean is a little better than what
the image really tells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class RedrawnPatient(np.random.Generator):
    """The random numbers of a patient, with other ones for ``kinetics``.

    Args:
        stream: of the patient.
        number: which of the other draws, from 1.
    """

    def __init__(self, stream: np.random.SeedSequence, number: int) -> None:
        super().__init__(np.random.PCG64(stream))
        other = np.random.SeedSequence(stream.entropy, spawn_key=(*stream.spawn_key, number))
        self.kinetics = np.random.default_rng(other)


def patient_rng(stream: np.random.SeedSequence, kinetics: int) -> np.random.Generator:
    """The patient's own random numbers for 0, those of another draw of kinetics else."""
    return RedrawnPatient(stream, kinetics) if kinetics else np.random.default_rng(stream)


def draw_kinetic(rng: np.random.Generator, draw: Callable[[np.random.Generator], T]) -> T:
    """Draws something no pre-contrast pixel depends on; ``rng`` moves on alike whether or not it is drawn again."""
    own = draw(rng)
    return draw(rng.kinetics) if isinstance(rng, RedrawnPatient) else own
