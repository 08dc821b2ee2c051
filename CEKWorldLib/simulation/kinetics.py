"""Tracer kinetics: tissue concentration from a plasma curve and the tissue's parameters.

All models are sums of convolutions with decaying exponentials, and a convolution of a piecewise-linear curve with an
exponential has an exact recursion on any time grid. It is written once, below, and the models stand on it.

Units: concentrations mM, times s, volume fractions 1; flows and transfer constants 1/min as in the literature
(mL/min per mL of tissue). Results are time-major: (T, *voxels).

Models: Tofts et al., J Magn Reson Imaging 1999;10:223; Sourbron and Buckley, Phys Med Biol 2012;57:R1 (exchange,
uptake, Patlak); Materne et al., Magn Reson Med 2002;47:135 (liver).
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

Array = Any
"""A numpy array or a torch tensor; what comes out is of the kind that went in."""

MINUTE = 60.0

# Voxels worked on together: about eight float32 arrays of this length stay in a core's second-level cache.
_BLOCK = 16384


def exponential_convolution(cp: Array, rates_per_s: Array, times_s: Array) -> Array:
    """Integral of cp(u) exp(-rate (t - u)) du from the first time to t, exact for piecewise-linear cp.

    With x = rate * dt, phi1 = (1 - exp(-x)) / x and phi2 = (1 - phi1) / x, one step of the recursion is

        y_i = y_(i-1) exp(-x) + dt [(phi1 - phi2) cp_(i-1) + phi2 cp_i]

    Args:
        cp: input curve, (T,), numpy array or torch tensor. Taken to be zero before the first time.
        rates_per_s: rate constants, 1/s, >= 0, any shape; scalar, numpy array or torch tensor. Its type, precision and
            device are those of the result.
        times_s: seconds, rising, (T,), in any spacing.

    Returns:
        (T, *rates.shape), in units of cp times seconds.

    Raises:
        ValueError: times do not rise or do not match the curve.
    """
    xp = _namespace(rates_per_s)
    rates = rates_per_s if xp is not np else _floating(rates_per_s)
    curve, times = _floats(cp), _floats(times_s)
    steps = np.diff(times)
    if curve.ndim != 1 or curve.shape != times.shape or not (steps > 0).all():
        raise ValueError(f"need one input value per rising time, got curve {curve.shape} and times {times.shape}")
    flat = rates.reshape(-1)
    result = xp.zeros((len(times), len(flat)), dtype=flat.dtype, **({} if xp is np else {"device": flat.device}))
    for begin in range(0, len(flat), _BLOCK):
        _convolve_block(xp, result[:, begin : begin + _BLOCK], curve, flat[begin : begin + _BLOCK], steps)
    return result.reshape((len(times), *rates.shape))


def _convolve_block(xp: ModuleType, result: Array, curve: np.ndarray, rates: Array, steps: np.ndarray) -> None:
    previous_step = np.nan
    y = xp.zeros_like(rates)
    for i, step in enumerate(steps, start=1):
        if not abs(step - previous_step) < 1e-9 * step:
            lost, first, last = _step_weights(xp, rates, float(step))
            previous_step = step
        y = y - y * lost + (float(curve[i - 1]) * first + float(curve[i]) * last)
        result[i] = y


def _step_weights(xp: ModuleType, rates: Array, step: float) -> tuple[Array, Array, Array]:
    """1 - exp(-x), dt (phi1 - phi2) and dt phi2, good in float32: phi1 and the loss follow from phi2 without quotients.

    Below x = 0.01, where phi2 would cancel, it goes on by its Taylor polynomial, off by less than 1e-8. The loss stands
    for exp(-x), whose rounding (6e-8 in float32) would add up over many short steps to 6e-5 of the result.
    """
    x = rates * step
    at = xp.clip(x, 0.01, None)
    phi2 = (1 + xp.expm1(-at) / at) / at + (at - x) * (1 / 6 - (at + x) / 24)
    phi1 = 1 - x * phi2
    return x * phi1, step * (phi1 - phi2), step * phi2


def delayed(times_s: np.ndarray, curve: np.ndarray, delay_s: float) -> np.ndarray:
    """The curve, later by a delay, on the same times (T,); zero before it begins."""
    return np.interp(times_s - delay_s, times_s, curve, left=0.0)


def tofts(cp: Array, times_s: Array, ktrans: Array, ve: Array) -> Array:
    """Tofts model: C = Ktrans * cp (x) exp(-Ktrans / ve * t).

    Args:
        cp: plasma concentration, mM, (T,).
        times_s: seconds, rising, (T,).
        ktrans: transfer constant, 1/min, any shape.
        ve: extravascular extracellular volume fraction, > 0.

    Returns:
        Tissue concentration, mM, (T, *voxels).
    """
    ktrans, ve = _broadcast(ktrans, ve)
    tissue = exponential_convolution(cp, ktrans / ve / MINUTE, times_s)
    tissue *= ktrans / MINUTE
    return tissue


def extended_tofts(cp: Array, times_s: Array, ktrans: Array, ve: Array, vp: Array) -> Array:
    """Extended Tofts model: the Tofts model plus plasma, C = vp * cp + Ktrans * cp (x) exp(-Ktrans / ve * t).

    Arguments and result as in ``tofts``; ``vp`` is the plasma volume fraction.
    """
    ktrans, ve, vp = _broadcast(ktrans, ve, vp)
    return _add_plasma(tofts(cp, times_s, ktrans, ve), cp, vp)


def patlak(cp: Array, times_s: Array, ps: Array, vp: Array) -> Array:
    """Patlak model: plasma and one-way uptake, C = vp * cp + PS * integral of cp.

    Args:
        cp: plasma concentration, mM, (T,).
        times_s: seconds, rising, (T,).
        ps: permeability-surface product (or Ktrans), 1/min, any shape.
        vp: plasma volume fraction.

    Returns:
        Tissue concentration, mM, (T, *voxels).
    """
    ps, vp = _broadcast(ps, vp)
    tissue = exponential_convolution(cp, 0 * ps, times_s)
    tissue *= ps / MINUTE
    return _add_plasma(tissue, cp, vp)


def two_compartment_exchange(cp: Array, times_s: Array, fp: Array, ps: Array, vp: Array, ve: Array) -> Array:
    """Two-compartment exchange model: C = Fp * cp (x) [A exp(-K+ t) + (1 - A) exp(-K- t)].

    With a = (Fp + PS) / vp, b = PS / ve, c = Fp / vp: K+ and K- are the roots of K^2 - (a + b) K + b c, and
    A = (c - K-) / (K+ - K-), which is what makes the residue leave 1 at the slope -Fp / vp.

    Args:
        cp: arterial plasma concentration, mM, (T,).
        times_s: seconds, rising, (T,).
        fp: plasma flow, mL/min per mL, > 0, any shape.
        ps: permeability-surface product, 1/min.
        vp: plasma volume fraction, > 0.
        ve: extravascular extracellular volume fraction, > 0.

    Returns:
        Tissue concentration, mM, (T, *voxels).
    """
    fp, ps, vp, ve = _broadcast(fp, ps, vp, ve)
    total, product, leave = (fp + ps) / vp + ps / ve, ps / ve * fp / vp, fp / vp
    fast = (total + (total**2 - 4 * product) ** 0.5) / 2
    slow = product / fast  # not the other root's formula, which cancels where PS is small
    share = (leave - slow) / (fast - slow)
    tissue = exponential_convolution(cp, fast / MINUTE, times_s)
    tissue *= share * fp / MINUTE
    tissue += (1 - share) * fp / MINUTE * exponential_convolution(cp, slow / MINUTE, times_s)
    return tissue


def two_compartment_uptake(cp: Array, times_s: Array, fp: Array, ps: Array, vp: Array) -> Array:
    """Two-compartment uptake model, the exchange model without return: C = Fp * cp (x) [(1 - E) exp(-t / Tp) + E].

    E = PS / (Fp + PS) is extracted, Tp = vp / (Fp + PS). Arguments and result as in ``two_compartment_exchange``.
    """
    fp, ps, vp = _broadcast(fp, ps, vp)
    extracted = ps / (fp + ps)
    tissue = exponential_convolution(cp, (fp + ps) / vp / MINUTE, times_s)
    tissue *= (1 - extracted) * fp / MINUTE
    tissue += extracted * fp / MINUTE * exponential_convolution(cp, 0 * fp, times_s)
    return tissue


def dual_input_liver(
    ca: Array,
    cpv: Array,
    times_s: Array,
    flow: Array,
    arterial_fraction: Array,
    distribution_volume: Array,
    arterial_delay_s: float = 0.0,
    portal_delay_s: float = 0.0,
) -> Array:
    """Liver with two inputs and one compartment: dC/dt = k1a ca(t - da) + k1p cpv(t - dp) - k2 C.

    k1a = f F, k1p = (1 - f) F, k2 = F / DV (Materne 2002).

    Args:
        ca: arterial plasma concentration, mM, (T,), numpy.
        cpv: portal-venous plasma concentration, mM, (T,), numpy.
        times_s: seconds, rising, (T,), numpy.
        flow: total plasma flow F, mL/min per mL, any shape.
        arterial_fraction: share f of the flow that is arterial; 0.15 to 0.25 in a healthy liver.
        distribution_volume: DV, volume fraction that contrast reaches, > 0.
        arterial_delay_s: further delay of the arterial input, s.
        portal_delay_s: further delay of the portal input, s.

    Returns:
        Tissue concentration, mM, (T, *voxels).
    """
    flow, arterial_fraction, distribution_volume = _broadcast(flow, arterial_fraction, distribution_volume)
    rate = flow / distribution_volume / MINUTE
    tissue = exponential_convolution(delayed(times_s, ca, arterial_delay_s), rate, times_s)
    tissue *= arterial_fraction * flow / MINUTE
    portal = exponential_convolution(delayed(times_s, cpv, portal_delay_s), rate, times_s)
    portal *= (1 - arterial_fraction) * flow / MINUTE
    tissue += portal
    return tissue


def _add_plasma(tissue: Array, cp: Array, vp: Array) -> Array:
    for i, plasma in enumerate(_floats(cp)):
        tissue[i] += float(plasma) * vp
    return tissue


def _broadcast(*parameters: Array) -> tuple[Array, ...]:
    tensor = next((p for p in parameters if _namespace(p) is not np), None)
    if tensor is None:
        return tuple(np.broadcast_arrays(*map(_floating, parameters)))
    xp = _namespace(tensor)
    return tuple(xp.broadcast_tensors(*(xp.as_tensor(p, dtype=tensor.dtype, device=tensor.device) for p in parameters)))


def _floating(values: Array) -> np.ndarray:
    values = np.asarray(values)
    return values if values.dtype.kind == "f" else values.astype(float)


def _floats(curve: Array) -> np.ndarray:
    return np.asarray(curve if _namespace(curve) is np else curve.tolist(), float)


def _namespace(values: Array) -> ModuleType:
    """The module that computes on these values: torch for its tensors, numpy (without loading torch) for all else."""
    if type(values).__module__.partition(".")[0] == "torch":
        import torch

        return torch
    return np
