"""The statistics of one curve, or of any number of them side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from CEKWorldLib.kinetics.curve_type import CurveType, InitialPhase
from CEKWorldLib.kinetics.measures import measure
from CEKWorldLib.kinetics.quantities import QUANTITIES
from CEKWorldLib.kinetics.settings import Settings
from CEKWorldLib.kinetics.time_axis import TimeAxis


@dataclass(frozen=True)
class Statistics:
    """What a curve's shape says. Arrays have the trailing shape of the signal; NaN marks what is not defined.

    Enhancement PE is 100 (S - S0) / S0 with S0 the mean of the pre-contrast samples. Names, labels and units for files
    and plots are in ``quantities.QUANTITIES``.

    Attributes:
        baseline: S0, in signal units.
        reference_enhancement: PE of the sample the delayed phase is compared with, %.
        percent_enhancement: PE at t_e, %.
        delayed_enhancement: PE at t_l, %.
        peak_enhancement: largest PE after contrast, %.
        delayed_change: D, the change from the reference sample to t_l in % of the signal or of the enhancement there,
            as the settings define it.
        ser: signal enhancement ratio PE(t_e) / PE(t_l) as UCSF defines it.
        arrival_s: bolus arrival: the last sample before the signal rises.
        ttp_s: time to peak, seconds after the start of the injection.
        ttp_from_arrival_s: time to peak, seconds after bolus arrival.
        wash_in: PE(t_e) over the time since bolus arrival, %/s.
        max_slope: steepest rise between two samples, %/s.
        wash_out: least-squares slope from the peak to t_l, %/min.
        iauc60: area under PE in the 60 s after bolus arrival, % s; ``iauc90`` and ``iauc180`` likewise.
        initial_phase: ``InitialPhase``, int8.
        curve_type: ``CurveType``, int8; NONE where not evaluable. Weak enhancement keeps its type here.
        weak: enhancement at t_e below the gate or below three standard deviations of the noise.
        t_e_s: true time of the initial sample.
        t_l_s: true time of the delayed sample; NaN where none follows.
        notes: sentences on what the times allow.
        settings: the definitions used.
    """

    baseline: np.ndarray
    reference_enhancement: np.ndarray
    percent_enhancement: np.ndarray
    delayed_enhancement: np.ndarray
    peak_enhancement: np.ndarray
    delayed_change: np.ndarray
    ser: np.ndarray
    arrival_s: np.ndarray
    ttp_s: np.ndarray
    ttp_from_arrival_s: np.ndarray
    wash_in: np.ndarray
    max_slope: np.ndarray
    wash_out: np.ndarray
    iauc60: np.ndarray
    iauc90: np.ndarray
    iauc180: np.ndarray
    initial_phase: np.ndarray
    curve_type: np.ndarray
    weak: np.ndarray
    t_e_s: float
    t_l_s: float
    notes: tuple[str, ...]
    settings: Settings

    @property
    def gated_type(self) -> np.ndarray:
        """The curve type as a map shows it: NONE also where enhancement is weak."""
        return np.where(self.weak, np.int8(CurveType.NONE), self.curve_type)

    def numbers(self) -> dict[str, float]:
        """Every quantity of a single curve.

        Raises:
            TypeError: these are the statistics of several curves.
        """
        return {name: float(getattr(self, name)) for name in QUANTITIES}

    def type_of(self) -> tuple[InitialPhase, CurveType]:
        """The initial phase and the type of a single curve.

        Raises:
            TypeError: these are the statistics of several curves.
        """
        return InitialPhase(int(self.initial_phase)), CurveType(int(self.curve_type))


def curve_statistics(signal: np.ndarray, times_s: np.ndarray, settings: Settings | None = None) -> Statistics:
    """Measures curves.

    A curve whose baseline is not positive, lies in the noise, or that holds a NaN is not evaluable: every number is NaN
    and both phases are NONE. Formulas and their sources are in ``measures``.

    Args:
        signal: (T,) or (T, ...) in one signal scale for all times, as the scanner or the synthesis gives it.
        times_s: (T,) seconds after the start of the injection, in any order; times given twice are averaged.
        settings: definitions; None takes the defaults.

    Returns:
        Statistics with arrays of the trailing shape; float32 for float32 signal, float64 for any other.

    Raises:
        CEKWorldError: fewer than three distinct times, or none after the injection.
        ValueError: not as many samples as times.
    """
    settings = settings or Settings()
    axis = TimeAxis.of(times_s, settings)
    signal = np.asarray(signal)
    samples = axis.ordered(signal if signal.dtype == np.float32 else signal.astype(float))
    shape = samples.shape[1:]
    measures = measure(samples.reshape(len(samples), -1), axis, settings)
    arrays = {name: values.reshape(shape) for name, values in measures.items()}
    return Statistics(**arrays, t_e_s=axis.t_e_s, t_l_s=axis.t_l_s, notes=axis.notes, settings=settings)
