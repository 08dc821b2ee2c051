"""The body mask and the intensity scale."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from CEKWorldLib.exam.intensity import body_mask, intensity_scale


def disc(shape=(3, 256, 256), centre=(128, 128), radius=80):
    rows, columns = np.ogrid[: shape[1], : shape[2]]
    return np.broadcast_to(np.hypot(rows - centre[0], columns - centre[1]) < radius, shape)


def rician(signal, sd, seed=0):
    rng = np.random.default_rng(seed)
    return np.hypot(signal + rng.normal(0, sd, signal.shape), rng.normal(0, sd, signal.shape)).astype(np.float32)


def test_the_mask_is_the_body_to_within_two_pixels_in_noise_of_four_percent():
    mask = body_mask(rician(300.0 * disc(), 12.0))
    assert mask[disc(radius=77)].all()
    assert not mask[~disc(radius=85)].any()


def test_dark_organs_inside_and_fat_saturated_fat_belong_to_the_body():
    signal = 60.0 * disc() + 240.0 * disc(radius=60)
    signal[disc(radius=20)] = 0.0
    assert body_mask(rician(signal, 4.0))[disc(radius=77)].all()


def test_two_breasts_are_kept_and_a_speck_is_not():
    left, right, speck = (
        disc(centre=(128, 60), radius=40),
        disc(centre=(128, 190), radius=35),
        disc(centre=(20, 20), radius=4),
    )
    mask = body_mask(100.0 * (left | right | speck).astype(np.float32))
    assert mask[disc(centre=(128, 60), radius=37)].all() and mask[disc(centre=(128, 190), radius=32)].all()
    assert not mask[:, :60].any()


@pytest.mark.parametrize("factor", [1e-3, 4096.0])
def test_units_of_intensity_do_not_matter(factor):
    voxels = rician(300.0 * disc(), 12.0)
    assert np.array_equal(body_mask(voxels * np.float32(factor)), body_mask(voxels))
    assert intensity_scale(voxels * np.float32(factor)) == pytest.approx(factor * intensity_scale(voxels), rel=1e-5)


def test_the_scale_is_that_of_tissue_not_of_air_or_single_vessels():
    signal = 300.0 * disc()
    wide = np.pad(signal, ((0, 0), (128, 128), (128, 128)))
    assert intensity_scale(rician(wide, 6.0)) == pytest.approx(intensity_scale(rician(signal, 6.0)), rel=0.01)
    signal[disc(radius=5)] = 3000.0
    assert intensity_scale(rician(signal, 6.0)) == pytest.approx(310, rel=0.03)


def test_one_small_slice_and_a_volume_without_air_or_signal_have_a_scale():
    assert intensity_scale(rician(np.full((1, 16, 16), 50.0), 1.0)) == pytest.approx(52, rel=0.05)
    assert body_mask(np.full((2, 20, 20), 5.0, np.float32)).all()
    assert intensity_scale(np.zeros((2, 20, 20), np.float32)) == 1.0


def test_the_real_abdomen_mask_holds_every_labelled_organ(shared_data):
    folder = shared_data / "abdomen_pre_real"
    voxels = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "example_mr_sm.nii.gz"))).astype(np.float32)
    organs = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "example_seg_mr.nii.gz"))) > 0
    mask = body_mask(voxels)
    assert mask[organs].mean() > 0.999
    assert 0.6 < mask.mean() < 0.9
