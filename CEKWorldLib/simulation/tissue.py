"""What a tissue is to the simulator: MR properties and tracer kinetics, drawn once per case within published ranges."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from CEKWorldLib.simulation.redraw import draw_kinetic


@dataclass(frozen=True)
class Tissue:
    """Parameters of one tissue in one case.

    The kinetics are one model for every voxel, so that whole maps can be evaluated at once:

        C(t) = vp * ca(t - delay) + Ktrans * [(1 - portal) * ca + portal * cpv](t - delay) (x) exp(-kep t)

    with ca the arterial and cpv the portal-venous plasma curve; the plasma of tissue, unlike that of vessels, carries
    ca spread by the capillary transit (``enhancement.CAPILLARY_TRANSIT_S``). It is the extended Tofts model where
    portal = 0, the dual-input liver model where portal > 0, a vessel where vp is the plasma share of blood (0.58) and
    Ktrans is 0.

    Attributes:
        t1_s: longitudinal relaxation time before contrast, seconds, at the exam's field strength.
        proton_density: water signal density relative to 1.
        t2star_s: effective transverse relaxation time, seconds.
        fat: fat fraction of the signal, 0 to 1; fat does not enhance and vanishes under fat saturation.
        vp: plasma volume fraction.
        ktrans: transfer constant, 1/min.
        kep: rate constant Ktrans / ve, 1/min.
        portal: share of the input that comes through the portal vein, 0 to 1.
        delay_s: arrival after the arterial bolus, seconds.
    """

    t1_s: float
    proton_density: float = 1.0
    t2star_s: float = 0.03
    fat: float = 0.0
    vp: float = 0.0
    ktrans: float = 0.0
    kep: float = 0.2
    portal: float = 0.0
    delay_s: float = 0.0

    def drawn(self, rng: np.random.Generator, spread: float = 0.08, perfusion_spread: float = 0.2) -> Tissue:
        """This tissue as one patient has it: each parameter times a log-normal factor.

        Args:
            spread: log standard deviation of T1, proton density and T2*.
            perfusion_spread: log standard deviation of vp, Ktrans and kep; the delay varies by it as well.
        """
        still = np.exp(spread * rng.standard_normal(3))
        moving = np.exp(perfusion_spread * draw_kinetic(rng, lambda stream: stream.standard_normal(4)))
        return replace(
            self,
            t1_s=self.t1_s * still[0],
            proton_density=self.proton_density * (1 + (still[1] - 1) / 2),
            t2star_s=self.t2star_s * still[2],
            vp=min(self.vp * moving[0], 1.0),
            ktrans=self.ktrans * moving[1],
            kep=self.kep * moving[2],
            delay_s=self.delay_s * moving[3],
        )


@dataclass(frozen=True)
class Texture:
    """Spatial variation inside a tissue, as log standard deviations over a correlation length."""

    length_mm: float = 4.0
    t1: float = 0.03
    proton_density: float = 0.03
    perfusion: float = 0.15
    kep: float = 0.08


PARAMETERS: tuple[str, ...] = tuple(f.name for f in fields(Tissue))
SMOOTH = Texture(t1=0.0, proton_density=0.0, perfusion=0.0, kep=0.0)
