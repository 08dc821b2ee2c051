"""The signal equation against OSIPI's signal-to-concentration data, dcmri, and known limits."""

from __future__ import annotations

import csv

import dcmri
import numpy as np
import pytest

from CEKWorldLib.exam.protocol import Acquisition
from CEKWorldLib.simulation.spgr import spgr_concentration, spgr_signal

ACQUISITION = Acquisition(repetition_time_ms=5, echo_time_ms=2, flip_angle_deg=12, field_strength_t=3)


def test_concentration_from_signal_is_the_osipi_reference(shared_data):
    with (shared_data / "osipi" / "SI_to_Conc__SI2Conc_data.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    for row in rows:
        signal, expected = (np.array(row[key].split(), float) for key in ("s", "conc"))
        acquisition = Acquisition(repetition_time_ms=1000 * float(row["TR"]), flip_angle_deg=float(row["FA"]))
        baseline = signal[1 : int(row["numbaselinepts"])].mean()  # the reference leaves out the first sample
        ours = spgr_concentration(signal, baseline, float(row["T1base"]), acquisition, float(row["r1"]))
        np.testing.assert_allclose(ours, expected, atol=1e-9, err_msg=row["label"])


@pytest.mark.parametrize("flip", [8, 12, 25])
def test_steady_state_agrees_with_dcmri(flip):
    t1, concentration = np.array([0.3, 0.8, 1.4, 4.0]), np.array([[0.0], [0.3], [4.0]])
    acquisition = Acquisition(repetition_time_ms=4, flip_angle_deg=flip)
    expected = dcmri.signal_ss(100.0, 1 / t1 + 4.5 * concentration, 0.004, flip)
    np.testing.assert_allclose(spgr_signal(100.0, t1, concentration, acquisition, 4.5), expected, rtol=1e-9)


def test_percent_enhancement_saturates_as_published():
    # TR 5 ms, 12 degrees, T10 1.3 s, r1 4.5: +46, +174, +364, +467 % at 0.1, 0.5, 2, 5 mM.
    signal = spgr_signal(1.0, 1.3, np.array([0, 0.1, 0.5, 2, 5]), ACQUISITION, 4.5)
    np.testing.assert_allclose(100 * (signal[1:] / signal[0] - 1), [46, 174, 364, 467], atol=0.6)


def test_signal_and_concentration_are_inverse():
    concentration = np.linspace(0, 6, 50)
    signal = spgr_signal(730.0, 0.9, concentration, ACQUISITION, 5.0)
    np.testing.assert_allclose(spgr_concentration(signal, signal[0], 0.9, ACQUISITION, 5.0), concentration, atol=1e-9)


def test_signal_above_any_concentration_is_not_a_number():
    baseline = spgr_signal(1.0, 1.3, 0.0, ACQUISITION, 4.5)
    assert np.isnan(spgr_concentration(1.1 * np.sin(np.deg2rad(12)), baseline, 1.3, ACQUISITION, 4.5))


def test_echo_time_darkens_dense_contrast():
    plain = spgr_signal(1.0, 1.3, np.array([0.0, 10.0]), ACQUISITION, 4.5)
    with_decay = spgr_signal(1.0, 1.3, np.array([0.0, 10.0]), ACQUISITION, 4.5, t2star_s=0.03, r2_relaxivity=5.5)
    np.testing.assert_allclose(with_decay / plain, np.exp(-0.002 * (1 / 0.03 + 5.5 * np.array([0, 10]))))


def test_maps_stay_float32_and_faint_enhancement_survives_it():
    t1 = np.full((4, 5), 1.3, np.float32)
    faint = np.full((4, 5), 0.002, np.float32)
    signals = [spgr_signal(np.ones((4, 5), np.float32), t1, c, ACQUISITION, 4.5, 0.03 * t1) for c in (0 * faint, faint)]
    exact = [spgr_signal(1.0, 1.3, c, ACQUISITION, 4.5, 0.039) for c in (0.0, 0.002)]
    assert signals[1].dtype == np.float32
    np.testing.assert_allclose(signals[1] - signals[0], exact[1] - exact[0], rtol=1e-3)


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="repetition time"):
        spgr_signal(1.0, 1.0, 0.0, Acquisition(flip_angle_deg=12), 4.5)
    with pytest.raises(ValueError, match="echo time"):
        spgr_signal(1.0, 1.0, 0.0, Acquisition(repetition_time_ms=5, flip_angle_deg=12), 4.5, t2star_s=0.03)
