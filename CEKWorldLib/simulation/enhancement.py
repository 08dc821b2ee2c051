"""Concentration of every voxel at any time, from a table of solved convolutions.

The model of ``simulation.tissue`` needs only two numbers of a voxel inside its convolution: kep, and the time since its
own delay. So each input is convolved once per case, over a grid of both, and voxels look their value up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import ArrayLike

from CEKWorldLib.exam.protocol import Injection
from CEKWorldLib.simulation.aif import HEMATOCRIT, arterial_plasma, portal_plasma
from CEKWorldLib.simulation.kinetics import MINUTE, exponential_convolution

STEP_S = 0.4
"""Time grid. Linear interpolation across it is off by STEP^2 / 8 * c'', 0.4 % of the peak for the sharpest bolus."""

KEP_PER_MIN = np.geomspace(0.002, 20.0, 96)
"""Rate grid, 1/min, 10 % apart; kep outside is taken at the nearest end."""

CAPILLARY_TRANSIT_S = 8.0
"""Mean transit through arterioles and capillaries. It spreads the bolus that tissue plasma carries: without it, tissue
with vp = 0.1 would show a first-pass spike of the aorta's shape, which no DCE series does."""

TISSUE_VP, VESSEL_VP = 0.2, 0.45
"""vp up to which plasma is taken as capillary and from which as vessel (blood has 0.58); in between, at the edges of
vessels, a mixture, or vessels would have dark rims in the arterial phase."""

# Voxels worked on together: arrays of this length stay in a core's cache, 2.3 ms per 65,536 voxels instead of 3.4.
_BLOCK = 16384


@dataclass(frozen=True)
class ConcentrationTable:
    """Inputs of one injection, and their convolutions with exponentials.

    Attributes:
        start_s: time of the first column, seconds after injection start; everything is zero until then.
        step_s: time between columns.
        plasma: arterial plasma concentration, mM, (T,) float32: what vessels carry.
        capillary: the same spread by the capillary transit, (T,) float32: what the plasma of tissue carries.
        arterial: arterial plasma convolved with exp(-kep t), mM min, (K, T) float32.
        portal: the same of portal-venous plasma.
    """

    start_s: float
    step_s: float
    plasma: np.ndarray
    capillary: np.ndarray
    arterial: np.ndarray
    portal: np.ndarray

    @classmethod
    def build(cls, times_s: ArrayLike, ca: ArrayLike, cpv: ArrayLike) -> ConcentrationTable:
        """Convolves both inputs.

        Args:
            times_s: seconds after injection start, evenly spaced, (T,); begins at or before the arterial arrival.
            ca: arterial plasma concentration at those times, mM, (T,).
            cpv: portal-venous plasma concentration at those times, mM, (T,).

        Raises:
            ValueError: times are not evenly spaced.
        """
        times = np.asarray(times_s, float)
        steps = np.diff(times)
        if not np.allclose(steps, steps[0]):
            raise ValueError("the table needs evenly spaced times")
        arterial, portal = (
            np.ascontiguousarray(exponential_convolution(c, KEP_PER_MIN / MINUTE, times).T / MINUTE, np.float32)
            for c in (ca, cpv)
        )
        transit = np.array([1.0 / CAPILLARY_TRANSIT_S])
        capillary = exponential_convolution(ca, transit, times)[:, 0] / CAPILLARY_TRANSIT_S
        plasma = np.asarray(ca, np.float32)
        return cls(float(times[0]), float(steps[0]), plasma, np.asarray(capillary, np.float32), arterial, portal)

    @classmethod
    def for_injection(
        cls,
        aif: str,
        injection: Injection,
        duration_s: float = 0.0,
        end_s: float = 720.0,
        hematocrit: float = HEMATOCRIT,
    ) -> ConcentrationTable:
        """The table of one injection, from its arrival to ``end_s``.

        Args:
            aif: key of ``simulation.aif.AIFS``.
            injection: arrival, dose, cardiac output.
            duration_s: extra injection time, see ``arterial_plasma``.
            end_s: last time it can be asked for, seconds after injection start.
            hematocrit: share of blood that is cells.
        """
        columns = int(np.ceil((end_s - injection.arrival_s) / STEP_S)) + 2
        times = injection.arrival_s + STEP_S * np.arange(columns)
        ca = arterial_plasma(aif, times, injection, hematocrit, duration_s)
        return cls.build(times, ca, portal_plasma(times, ca))

    @property
    def end_s(self) -> float:
        """Last time the table covers, seconds after injection start."""
        return self.start_s + self.step_s * (len(self.plasma) - 1)

    def concentration(self, maps: Mapping[str, np.ndarray], t_s: float) -> np.ndarray:
        """Concentration of every voxel at one time, by bilinear interpolation in (log kep, t - delay).

        Args:
            maps: ``vp``, ``ktrans`` (1/min), ``kep`` (1/min), ``portal``, ``delay_s`` (s, >= 0), all of one shape.
            t_s: seconds after injection start, any real number up to the end of the table.

        Returns:
            mM, float32, of the maps' shape. Voxels with neither vp nor Ktrans cost next to nothing.

        Raises:
            ValueError: the table does not reach this time.
        """
        if t_s > self.end_s:
            raise ValueError(f"the table ends at {self.end_s:.1f} s, before {t_s:.1f} s")
        vp, ktrans, kep, portal, delay = (
            np.asarray(maps[name], np.float32).reshape(-1) for name in ("vp", "ktrans", "kep", "portal", "delay_s")
        )
        concentration = np.zeros(np.shape(maps["vp"]), np.float32)
        if t_s <= self.start_s:
            return concentration
        active, flat = np.flatnonzero((vp != 0) | (ktrans != 0)), concentration.reshape(-1)
        for begin in range(0, len(active), _BLOCK):
            at = active[begin : begin + _BLOCK]
            elapsed = float(t_s - self.start_s) - delay[at]
            flat[at] = self._lookup(vp[at], ktrans[at], kep[at], portal[at], elapsed)
        return concentration

    def _lookup(
        self, vp: np.ndarray, ktrans: np.ndarray, kep: np.ndarray, portal: np.ndarray, elapsed_s: np.ndarray
    ) -> np.ndarray:
        column, along = self._columns(elapsed_s)
        row, across = _rows(kep)
        corner = row * len(self.plasma) + column
        washout = self._convolved(self.arterial, corner, along, across)
        fed = np.flatnonzero(portal)
        if len(fed):
            late = self._convolved(self.portal, corner[fed], along[fed], across[fed])
            washout[fed] += portal[fed] * (late - washout[fed])
        blood = _between(self.capillary, column, along)
        vessel = np.flatnonzero(vp > TISSUE_VP)
        share = np.minimum((vp[vessel] - TISSUE_VP) / np.float32(VESSEL_VP - TISSUE_VP), 1)
        blood[vessel] += share * (_between(self.plasma, column[vessel], along[vessel]) - blood[vessel])
        return vp * blood + ktrans * washout

    def _columns(self, elapsed_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        position = np.clip(elapsed_s / self.step_s, 0, len(self.plasma) - 1.001)
        return _split(position)

    def _convolved(self, table: np.ndarray, corner: np.ndarray, along: np.ndarray, across: np.ndarray) -> np.ndarray:
        flat = table.reshape(-1)
        slower = _between(flat, corner, along)
        slower += across * (_between(flat, corner + len(self.plasma), along) - slower)
        return slower


def _rows(kep: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    slowest, fastest, last = float(KEP_PER_MIN[0]), float(KEP_PER_MIN[-1]), len(KEP_PER_MIN) - 1
    position = np.log(np.clip(kep, slowest, fastest) / slowest) * (last / log(fastest / slowest))
    return _split(np.clip(position, 0, last - 0.001))


def _split(position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index (of the type that numpy looks up with, without a copy) and float32 fraction."""
    whole = np.floor(position)
    return whole.astype(np.intp), position - whole


def _between(values: np.ndarray, left: np.ndarray, share: np.ndarray) -> np.ndarray:
    at_left = values.take(left)
    at_left += share * (values.take(left + 1) - at_left)
    return at_left
