"""The spoiled gradient-echo signal of tissue with contrast in it, and back from signal to concentration.

S = M0 sin(a) (1 - E) / (1 - E cos(a)) exp(-TE R2*), E = exp(-TR R1), R1 = 1/T10 + r1 C, R2* = 1/T20* + r2 C:
the Ernst steady state (Ernst and Anderson, Rev Sci Instrum 1966;37:93) under fast water exchange.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from CEKWorldLib.exam.protocol import Acquisition


def spgr_signal(
    proton_density: ArrayLike,
    t1_s: ArrayLike,
    concentration_mm: ArrayLike,
    acquisition: Acquisition,
    relaxivity: float,
    t2star_s: ArrayLike | None = None,
    r2_relaxivity: float = 5.5,
) -> np.ndarray:
    """Signal of a spoiled gradient echo.

    Args:
        proton_density: signal of fully relaxed water, any unit, any shape; the result is in its unit.
        t1_s: longitudinal relaxation time before contrast, s.
        concentration_mm: contrast concentration in the tissue, mM.
        acquisition: TR, flip angle and (for ``t2star_s``) TE.
        relaxivity: r1, 1/(mM s).
        t2star_s: effective transverse relaxation time before contrast, s; None leaves out the decay over TE.
        r2_relaxivity: r2*, 1/(mM s).

    Returns:
        Signal, of the arguments' common shape and precision.

    Raises:
        ValueError: TR, flip angle or a needed TE is not known.
    """
    repetition_s, cosine, sine = _settings(acquisition)
    concentration = np.asarray(concentration_mm)
    rate = relaxivity * concentration + 1 / np.asarray(t1_s)
    # 1 - E is about TR R1 = 0.004: expm1 keeps all float32 digits of it, 1 - exp would lose it beyond 2e-5.
    recovered = -np.expm1(-repetition_s * rate)
    signal = np.asarray(proton_density) * sine * recovered / (1 - cosine + cosine * recovered)
    if t2star_s is not None:
        if acquisition.echo_time_ms is None:
            raise ValueError("the echo time is not known, and the decay over it was asked for")
        echo_s = acquisition.echo_time_ms / 1000
        signal = signal * np.exp(-echo_s * (r2_relaxivity * concentration + 1 / np.asarray(t2star_s)))
    return signal


def spgr_concentration(
    signal: ArrayLike, baseline: ArrayLike, t1_s: ArrayLike, acquisition: Acquisition, relaxivity: float
) -> np.ndarray:
    """Concentration from signal: the inverse of ``spgr_signal`` without decay over TE.

    Args:
        signal: signal with contrast, any shape.
        baseline: signal without contrast, same unit, > 0.
        t1_s: longitudinal relaxation time before contrast, s.
        acquisition: TR and flip angle.
        relaxivity: r1, 1/(mM s).

    Returns:
        Concentration, mM; NaN where the signal exceeds what any concentration gives.

    Raises:
        ValueError: TR or flip angle is not known.
    """
    repetition_s, cosine, sine = _settings(acquisition)
    full = np.asarray(baseline) / spgr_signal(1.0, t1_s, 0.0, acquisition, relaxivity)
    share = np.asarray(signal) / (full * sine)
    share = np.where(share < 1, share, np.nan)  # at 1 the steady state is fully relaxed
    rate = -np.log((1 - share) / (1 - share * cosine)) / repetition_s
    return (rate - 1 / np.asarray(t1_s)) / relaxivity


def _settings(acquisition: Acquisition) -> tuple[float, float, float]:
    if acquisition.repetition_time_ms is None or acquisition.flip_angle_deg is None:
        raise ValueError("the repetition time or the flip angle is not known")
    angle = np.deg2rad(acquisition.flip_angle_deg)
    return acquisition.repetition_time_ms / 1000, float(np.cos(angle)), float(np.sin(angle))
