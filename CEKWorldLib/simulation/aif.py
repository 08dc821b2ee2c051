"""Input functions: how the contrast concentration in arterial and portal-venous blood runs after an injection.

Parker:   Parker et al., Magn Reson Med 2006;56:993, doi:10.1002/mrm.21066.
Georgiou: Georgiou et al., Magn Reson Med 2019;81:1197, doi:10.1002/mrm.27524.
Orton:    Orton et al., Phys Med Biol 2008;53:1225, doi:10.1088/0031-9155/53/5/005 (AIF 2).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator
from scipy.special import gammaln

from CEKWorldLib.exam.protocol import Injection
from CEKWorldLib.simulation.kinetics import delayed, exponential_convolution

Curve = NDArray[np.float64]

REFERENCE_DOSE = 0.1
"""mmol/kg; the dose every published curve here belongs to. Concentration is linear in the dose."""

HEMATOCRIT = 0.42
"""Share of blood that is cells; contrast stays in the plasma, so plasma = blood / (1 - hematocrit)."""

CIRCULATION_S = 45.0
"""Seconds of the published curves that hold the first pass and the first recirculation; later the body eliminates."""

# Parker 2006, table 1: areas (mM min), widths and centres (min) of two Gaussians, then the modulated exponential.
_PARKER_AREA, _PARKER_WIDTH, _PARKER_CENTRE = (0.809, 0.330), (0.0563, 0.132), (0.17046, 0.365)
_PARKER_ALPHA, _PARKER_BETA, _PARKER_S, _PARKER_TAU = 1.050, 0.1685, 38.078, 0.483

# Georgiou 2019 prints 0.37, 0.33, 10.06 mM; 0.11, 1.17, 16.02 /min; 5.26; 0.032, 0.129 min. The digits it leaves out
# are refitted to the paper's own supplementary curve, as OSIPI gives it: 3e-5 mM off; the printed ones are 0.08 mM off.
_GEORGIOU_AMPLITUDE, _GEORGIOU_RATE = (0.374322, 0.331184, 10.0612), (0.112701, 1.17465, 16.01996)
_GEORGIOU_ALPHA, _GEORGIOU_BETA, _GEORGIOU_TAU = 5.266989, 0.03207883, 0.128556

# Orton 2008, AIF 2: mM and 1/min.
_ORTON_AB, _ORTON_MUB, _ORTON_AG, _ORTON_MUG = 2.84, 22.8, 1.36, 0.171


def parker(t_s: ArrayLike) -> Curve:
    """Parker's population curve: first pass and recirculation as Gaussians, then a decaying exponential.

    Args:
        t_s: seconds after arrival, any shape.

    Returns:
        Blood concentration, mM at 0.1 mmol/kg, 0 at and before arrival (the formula alone gives 0.08 mM there).
    """
    t_s = np.asarray(t_s, float)
    t = np.maximum(t_s, 0) / 60
    curve = _PARKER_ALPHA * np.exp(-_PARKER_BETA * t) / (1 + np.exp(-_PARKER_S * (t - _PARKER_TAU)))
    for area, width, centre in zip(_PARKER_AREA, _PARKER_WIDTH, _PARKER_CENTRE, strict=True):
        curve += area / (width * np.sqrt(2 * np.pi)) * np.exp(-((t - centre) ** 2) / (2 * width**2))
    return np.where(t_s > 0, curve, 0.0)


def georgiou(t_s: ArrayLike) -> Curve:
    """Georgiou's curve: a gamma variate that recirculates without end, times a sum of three exponentials.

    The j-th passage is a gamma density of shape (j + 1)(alpha + 1), scale beta, that starts at j * tau.

    Args:
        t_s: seconds after arrival, any shape.

    Returns:
        Blood concentration, mM at 0.1 mmol/kg, 0 at and before arrival.
    """
    t_s = np.asarray(t_s, float)
    t = np.maximum(t_s, 0) / 60
    passages = np.zeros_like(t)
    for j in range(int(t.max(initial=0) / _GEORGIOU_TAU) + 1):
        power = (j + 1) * (_GEORGIOU_ALPHA + 1) - 1
        elapsed = np.maximum(t - j * _GEORGIOU_TAU, 1e-12) / _GEORGIOU_BETA
        passages += np.exp(power * np.log(elapsed) - elapsed - gammaln(power + 1)) / _GEORGIOU_BETA
    tail = sum(a * np.exp(-m * t) for a, m in zip(_GEORGIOU_AMPLITUDE, _GEORGIOU_RATE, strict=True))
    return np.where(t_s > 0, passages * tail, 0.0)


def orton(t_s: ArrayLike) -> Curve:
    """Orton's closed form: a raised-cosine bolus, convolved with an exponential for the whole body.

    Args:
        t_s: seconds after arrival, any shape.

    Returns:
        Blood concentration, mM at 0.1 mmol/kg, 0 at and before arrival. It is on the scale
        of blood, as Parker's: peak 6.2 mM at 9 s.
    """
    t = np.maximum(np.asarray(t_s, float), 0) / 60
    bolus_end = 2 * np.pi / _ORTON_MUB
    within = np.minimum(t, bolus_end)
    bolus = _ORTON_AB * (1 - np.cos(_ORTON_MUB * within))
    sine = (_ORTON_MUG * np.cos(_ORTON_MUB * within) + _ORTON_MUB * np.sin(_ORTON_MUB * within)) / (
        _ORTON_MUG**2 + _ORTON_MUB**2
    )
    decay = np.exp(-_ORTON_MUG * within)
    body = (1 - decay) / _ORTON_MUG - sine + _ORTON_MUG * decay / (_ORTON_MUG**2 + _ORTON_MUB**2)
    return bolus + _ORTON_AB * _ORTON_AG * body * np.exp(-_ORTON_MUG * (t - within))


AIFS: dict[str, Callable[[ArrayLike], Curve]] = {"parker": parker, "georgiou": georgiou, "orton": orton}


def arterial_plasma(
    name: str, t_s: ArrayLike, injection: Injection, hematocrit: float = HEMATOCRIT, duration_s: float = 0.0
) -> Curve:
    """Arterial plasma concentration of one patient after one injection.

    Cardiac output stretches the passes of the bolus in time: at half the output the first pass comes twice as late and
    lasts twice as long at the same height, so that its area is dose / output (Stewart and Hamilton). After
    ``CIRCULATION_S`` the clock runs at its own pace again, as elimination does not depend on the heart.

    Args:
        name: key of ``AIFS``.
        t_s: seconds after the start of the injection, any shape.
        injection: arrival, dose and cardiac output.
        hematocrit: share of blood that is cells.
        duration_s: extra injection time; the curve is averaged over that many seconds before t.

    Returns:
        Plasma concentration, mM, 0 until the arrival.
    """
    after_arrival = np.asarray(t_s, float) - injection.arrival_s

    def blood(elapsed_s: Curve) -> Curve:
        stretched = injection.cardiac_output * elapsed_s
        late = CIRCULATION_S + elapsed_s - CIRCULATION_S / injection.cardiac_output
        return AIFS[name](np.where(stretched < CIRCULATION_S, stretched, late))

    if duration_s > 0:
        # A quarter of a second is a seventh of the narrowest scale of the curves (Georgiou's beta, 1.9 s).
        grid = np.arange(0.0, max(after_arrival.max(initial=0.0), 0.0) + 0.5, 0.25)
        area = PchipInterpolator(grid, blood(grid)).antiderivative()
        begin, end = np.maximum(after_arrival - duration_s, 0), np.maximum(after_arrival, 0)
        curve = (area(end) - area(begin)) / duration_s
    else:
        curve = blood(after_arrival)
    return curve * (injection.dose_mmol_per_kg / REFERENCE_DOSE) / (1 - hematocrit)


def portal_plasma(t_s: ArrayLike, ca: ArrayLike, transit_s: float = 12.0, delay_s: float = 6.0) -> Curve:
    """Portal-venous plasma concentration: the arterial one, mixed in the gut's vessels and late.

    cpv(t) = ca (x) exp(-t / transit) / transit, shifted by the delay: the gut as one well-mixed compartment.

    Args:
        t_s: seconds, rising, (T,); starts before the arterial arrival.
        ca: arterial plasma concentration at those times, mM, (T,).
        transit_s: mean transit time through the gut, 10 to 15 s.
        delay_s: from the gut to the liver, 5 to 8 s.

    Returns:
        Portal plasma concentration, mM, (T,).
    """
    times, arterial = np.asarray(t_s, float), np.asarray(ca, float)
    return delayed(times, exponential_convolution(arterial, 1 / transit_s, times) / transit_s, delay_s)
