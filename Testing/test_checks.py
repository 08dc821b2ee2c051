"""What is refused, what is warned about, and that real volumes pass."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.checks import (
    MAX_VOXELS,
    check_size,
    check_volume,
    contrast_warnings,
    post_contrast_word,
    protocol_warnings,
)
from CEKWorldLib.exam.protocol import Acquisition
from CEKWorldLib.exam.reading import read_exam
from CEKWorldLib.exam.volume import Volume


def head(slices=10, side=64, seed=0):
    """A disc of tissue with a bright rim of fat in noise."""
    rows, columns = np.ogrid[:side, :side]
    radius = np.hypot(rows - side / 2, columns - side / 2) / side
    signal = 400.0 * (radius < 0.4) + 200.0 * ((radius > 0.36) & (radius < 0.4))
    noise = np.random.default_rng(seed).normal(0, 10, (slices, side, side))
    return np.abs(signal + noise).astype(np.float32)


def refusal(voxels, **geometry):
    with pytest.raises(CEKWorldError) as caught:
        check_volume(Volume(voxels, **geometry), "scan.nrrd")
    message = str(caught.value)
    assert "scan.nrrd" in message and "\n" not in message and message.endswith(".")
    return message


def test_a_noisy_head_passes():
    check_volume(Volume(head()), "scan.nrrd")
    check_volume(Volume(head(1, 16)), "scan.nrrd")


def test_whole_numbers_of_an_8_bit_scan_pass():
    check_volume(Volume(np.rint(head() / 600 * 255).astype(np.float32)), "scan.nrrd")


def test_small_negative_overshoots_of_interpolation_pass():
    voxels = head()
    voxels[:, :4] = -3.0
    check_volume(Volume(voxels), "scan.nrrd")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_single_nan_or_infinite_voxel_is_refused(bad):
    voxels = head()
    voxels[3, 4, 5] = bad
    assert "1 NaN or infinite" in refusal(voxels)


def test_constant_empty_and_tiny_volumes_are_refused():
    assert "constant" in refusal(np.full((3, 32, 32), 7.0, np.float32))
    assert "no voxels" in refusal(np.empty((0, 32, 32), np.float32))
    assert "only 15 x 64 pixels" in refusal(head()[:, :15])


def test_a_thin_axis_that_holds_the_slices_is_not_too_small():
    sagittal = np.ascontiguousarray(np.moveaxis(head(10), 0, 2))
    check_volume(Volume(sagittal, (5.0, 1.0, 1.0)), "scan.nrrd")
    assert "pixels" in refusal(sagittal, spacing=(1.0, 1.0, 1.0))


def test_oversized_volumes_are_refused_from_their_header():
    check_size((512, 512, 512), "scan.nrrd")
    with pytest.raises(CEKWorldError, match="too large"):
        check_size((4096, 4096, MAX_VOXELS // 4096**2 + 1), "scan.nrrd")


def test_ct_and_z_scored_values_are_refused():
    ct = head() * 2.5 - 1000
    assert "strongly negative" in refusal(ct)
    z = head()
    assert "strongly negative" in refusal((z - z.mean()) / z.std())


def test_label_maps_with_few_or_many_labels_are_refused():
    blocks = np.kron(np.arange(1, 65).reshape(8, 8), np.ones((8, 8)))[None].repeat(4, 0).astype(np.float32)
    assert "label map" in refusal(blocks)
    assert "label map" in refusal((head() > 200).astype(np.float32))


def test_a_broken_geometry_is_refused():
    assert "spacing" in refusal(head(), spacing=(1.0, 0.0, 1.0))
    assert "spacing" in refusal(head(), origin=(float("nan"), 0.0, 0.0))
    assert "right angles" in refusal(head(), direction=(1, 0.3, 0, 0, 1, 0, 0, 0, 1))


@pytest.mark.parametrize(
    "text",
    ["AX T1 VIBE +C", "t1 fl3d tra dyn_4", "TCGA-DU-7294_t1_postGd_bet.nii.gz", "T1 post", "postcontrast", "sag t1 gad",
     "THRIVE C+", "BraTS_t1ce.nii.gz", "Gd-EOB 20 min", "DCE", "LAVA portal venous", "T1 + KM"],
)  # fmt: skip
def test_words_for_contrast_are_recognised(text):
    assert post_contrast_word(text)


@pytest.mark.parametrize(
    "text",
    ["", "pre", "T1", "t1_mprage_sag", "AX LAVA PRE", "precontrast", "t1_pre_bet.nii.gz", "3D T1 non-contrast",
     "posterior", "T1 without contrast", "vibe dyn pre", "t1 nativ", "T1 post op", "spacer", "gdansk", "art 3d",
     "example_mr_sm.nii.gz"],
)  # fmt: skip
def test_words_for_no_contrast_and_look_alikes_are_not(text):
    assert post_contrast_word(text) is None


def test_a_contrast_agent_in_the_header_warns_once():
    (warning,) = contrast_warnings(Volume(head()), ("T1 post",), agent=True)
    assert "already contrast-enhanced" in warning and "agent" in warning
    assert contrast_warnings(Volume(head()), ("T1 pre",)) == ()


def vessels(voxels, count, slices, seed=0):
    rng = np.random.default_rng(seed)
    result = voxels.copy()
    for row, column in rng.integers(20, 44, (count, 2)):
        result[slices, row : row + 2, column : column + 2] = 1100
    return result


def test_many_bright_vessels_warn_and_inflow_in_two_arteries_does_not():
    many = [vessels(head(16, 64), 4, np.s_[k : k + 2], k) for k in range(0, 16, 3)]
    assert contrast_warnings(Volume(np.max(many, axis=0)))
    assert contrast_warnings(Volume(vessels(head(16), 2, np.s_[:]))) == ()


def test_the_real_post_contrast_brain_looks_it_without_its_name_and_real_native_scans_do_not(shared_data):
    post = shared_data / "brain_pre_post_real" / "TCGA-DU-7294_t1_postGd_bet.nii.gz"
    volume = Volume.from_image(sitk.ReadImage(str(post)))
    (warning,) = contrast_warnings(volume)
    assert "bright vessels" in warning
    native = [
        "brain_pre_post_real/TCGA-DU-7294_t1_pre_bet.nii.gz",
        "abdomen_pre_real/example_mr_sm.nii.gz",
        "dicom_t1_real",
    ]
    assert [read_exam(shared_data / name).warnings for name in native] == [(), (), ()]


def test_other_sequences_are_warned_about():
    assert protocol_warnings(Acquisition(5.0, 2.0, 12.0)) == ()
    assert protocol_warnings(Acquisition()) == ()
    (warning,) = protocol_warnings(Acquisition(4000.0, 90.0))
    assert "TR 4000 ms and TE 90 ms" in warning
