"""The model grid: canonical orientation, exact identity, accurate and fast ways there and back."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import SimpleITK as sitk

from CEKWorldLib.exam.grid import ModelGrid, stack_neighbours
from CEKWorldLib.exam.volume import Volume

CANONICAL = {
    "axial": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "sagittal": ((0, 1, 0), (0, 0, -1), (1, 0, 0)),
    "coronal": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
}


def direction(columns, rows, slices):
    return tuple(np.column_stack([columns, rows, slices]).astype(float).ravel())


def canonical(shape, view="axial", spacing=(1.0, 1.0, 3.0), seed=0):
    voxels = np.random.default_rng(seed).random(shape, np.float32)
    return Volume(voxels, spacing, (3.0, -20.0, 7.0), direction(*CANONICAL[view]))


def smooth(shape, spacing, period_mm=40.0):
    k, j, i = (np.arange(n) for n in shape)
    rows = np.sin(2 * np.pi * j * spacing[1] / period_mm)[None, :, None]
    columns = np.cos(2 * np.pi * i * spacing[0] / period_mm)[None, None, :]
    return (500 + 300 * rows * columns + k[:, None, None]).astype(np.float32)


def stored_as(volume, order, flips):
    """The same patient, stored with its array axes in another order and direction."""
    image = sitk.PermuteAxes(volume.to_image(), order)
    return Volume.from_image(sitk.Flip(image, flips, False))


@pytest.mark.parametrize("view", CANONICAL)
def test_a_canonical_volume_of_the_model_size_is_passed_through_unchanged(view):
    volume = canonical((5, 256, 256), view, (0.7, 0.7, 2.0))
    grid = ModelGrid.of(volume)
    assert grid.view == view
    assert grid.shape == volume.shape
    assert grid.pixel_mm == pytest.approx(0.7)
    assert np.array_equal(grid.to_model(volume.voxels), volume.voxels)
    assert np.array_equal(grid.to_source(volume.voxels), volume.voxels)
    assert np.array_equal(grid.slice_to_source(volume.voxels[2]), volume.voxels[2])


@pytest.mark.parametrize("view", CANONICAL)
def test_every_way_to_store_a_volume_gives_the_same_model_image(view):
    reference = canonical((5, 64, 48), view)
    expected = ModelGrid.of(reference, 64).to_model(reference.voxels)
    for order in itertools.permutations(range(3)):
        for flips in itertools.product([False, True], repeat=3):
            volume = stored_as(reference, order, flips)
            grid = ModelGrid.of(volume, 64)
            assert grid.view == view
            assert np.array_equal(grid.to_model(volume.voxels), expected), (order, flips)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_way_back_undoes_every_storage_order(order):
    reference = canonical((5, 64, 48))
    for flips in itertools.product([False, True], repeat=3):
        volume = stored_as(reference, order, flips)
        grid = ModelGrid.of(volume, 64)
        model = grid.to_model(volume.voxels)
        back = grid.to_source(model)
        assert back.shape == volume.shape
        assert back.flags.c_contiguous
        assert np.allclose(back, volume.voxels, atol=1e-6)
        for k in range(5):
            own = np.take(volume.voxels, k, grid.slice_axis)
            assert np.allclose(grid.slice_to_source(model[grid.slice_index(k)]), own, atol=1e-6)


def test_an_oblique_volume_keeps_its_slices_and_takes_the_nearest_view():
    angle = np.radians(25)
    tilted = direction((1, 0, 0), (0, np.cos(angle), np.sin(angle)), (0, -np.sin(angle), np.cos(angle)))
    volume = Volume(np.random.default_rng(1).random((4, 64, 64), np.float32), (1, 1, 3), (0, 0, 0), tilted)
    grid = ModelGrid.of(volume, 64)
    assert grid.view == "axial"
    assert np.array_equal(grid.to_model(volume.voxels), volume.voxels)


def test_pixels_land_where_the_geometry_says():
    """Oracle: SimpleITK's linear resampling onto the same pixels, with its own arithmetic of positions."""
    volume = canonical((3, 91, 117), spacing=(3.0, 2.5, 4.0))
    volume = volume.like(smooth(volume.shape, volume.spacing, 60.0))
    grid = ModelGrid.of(volume)
    model = grid.to_model(volume.voxels)
    _, height, width = grid.shape
    centre = [volume.origin[a] + volume.spacing[a] * (volume.shape[2 - a] - 1) / 2 for a in (0, 1)]
    corner = [c - grid.pixel_mm * (n - 1) / 2 for c, n in zip(centre, (width, height), strict=True)]
    resampled = sitk.Resample(
        volume.to_image(), (width, height, 3), sitk.Transform(), sitk.sitkLinear, (*corner, volume.origin[2]),
        (grid.pixel_mm, grid.pixel_mm, 4.0), volume.direction, 0.0, sitk.sitkFloat32,
    )  # fmt: skip
    expected = sitk.GetArrayFromImage(resampled)
    inner = expected > 0
    # The outermost source half pixel is extrapolated by one and left empty by the other.
    edge = int(np.ceil(3.0 / grid.pixel_mm)) + 1
    rows, columns = np.flatnonzero(inner[0].any(1)), np.flatnonzero(inner[0].any(0))
    box = np.s_[:, rows[0] + edge : rows[-1] - edge, columns[0] + edge : columns[-1] - edge]
    assert model[box].size > 100_000
    assert np.abs(model[box] - expected[box]).max() < 0.05  # of a range of 600; float32 positions


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((3, 512, 512), (0.7, 0.7, 2.0)), ((3, 91, 117), (3.0, 3.0, 3.0)), ((2, 384, 274), (0.7, 0.667, 0.7)),
     ((2, 320, 320), (1.0, 1.0, 1.0)), ((1, 192, 192), (1.0, 1.0, 5.0)), ((2, 256, 300), (1.5, 0.6, 5.0))],
)  # fmt: skip
def test_smooth_signal_survives_the_way_there_and_back(shape, spacing):
    volume = Volume(smooth(shape, spacing, 60.0), spacing)
    grid = ModelGrid.of(volume)
    assert grid.shape[0] == shape[0]
    assert all(side % 32 == 0 and 32 <= side <= 256 for side in grid.shape[1:])
    error = np.abs(grid.to_source(grid.to_model(volume.voxels)) - volume.voxels)[:, 3:-3, 3:-3]
    # 4 % of the amplitude at 20 pixels per period; 0.5 % on average at usual pixel sizes.
    assert error.max() < (12 if max(spacing[:2]) >= 3 else 4)
    assert error.mean() < (5 if max(spacing[:2]) >= 3 else 1.5)


@pytest.mark.parametrize(("shape", "spacing"), [((2, 512, 400), (0.5, 0.6, 2)), ((2, 91, 117), (3, 3, 3))])
def test_zeros_come_back_as_zeros_and_a_constant_as_itself(shape, spacing):
    grid = ModelGrid.of(Volume(np.zeros(shape, np.float32), spacing))
    assert not grid.to_source(np.zeros(grid.shape, np.float32)).any()
    constant = grid.to_source(grid.to_model(np.full(shape, 7.0, np.float32)))
    assert np.allclose(constant, 7.0, rtol=1e-6)


def test_signal_never_overshoots_and_the_padding_stays_out():
    volume = Volume((np.random.default_rng(2).random((2, 300, 200)) > 0.5).astype(np.float32), (0.8, 0.8, 2))
    grid = ModelGrid.of(volume)
    model = grid.to_model(volume.voxels)
    assert model.min() >= 0 and model.max() <= 1 + 1e-6
    padded = model[:, :, :8]
    assert grid.shape[2] == 192 and not padded.any()  # 170.7 columns of image in 192
    lit = model.copy()
    lit[:, :, :8] = 1e6
    assert np.array_equal(grid.to_source(lit), grid.to_source(model))


def test_halving_averages_instead_of_skipping():
    checkerboard = (np.indices((512, 512)).sum(0) % 2).astype(np.float32)[None]
    model = ModelGrid.of(Volume(checkerboard, (0.5, 0.5, 2))).to_model(checkerboard)
    assert model.shape == (1, 256, 256)
    assert np.allclose(model, 0.5, atol=1e-6)


@pytest.mark.parametrize("slices", [1, 2, 512])
def test_any_number_of_slices_is_kept(slices):
    grid = ModelGrid.of(Volume(np.zeros((slices, 40, 60), np.float32), (2, 2, 2)), 64)
    assert grid.to_model(np.zeros((slices, 40, 60), np.float32)).shape == (slices, 64, 64)


def test_the_thickest_axis_holds_the_slices_wherever_it_is_stored():
    volume = Volume(np.zeros((64, 64, 12), np.float32), (5.0, 1.0, 1.0))  # a sagittal series reoriented by software
    grid = ModelGrid.of(volume, 64)
    assert (grid.slice_axis, grid.view, grid.shape) == (2, "sagittal", (12, 64, 64))
    isotropic = ModelGrid.of(Volume(np.zeros((64, 64, 12), np.float32), (1.0, 1.0, 1.0)), 64)
    assert isotropic.slice_axis == 0


def test_arrays_of_another_shape_are_refused():
    grid = ModelGrid.of(Volume(np.zeros((2, 40, 60), np.float32)), 64)
    with pytest.raises(ValueError, match="not those of the volume"):
        grid.to_model(np.zeros((2, 60, 40), np.float32))
    with pytest.raises(ValueError, match="not on the grid"):
        grid.to_source(np.zeros((2, 40, 60), np.float32))
    with pytest.raises(ValueError, match="not on the grid"):
        grid.slice_to_source(np.zeros((40, 60), np.float32))


def test_one_slice_comes_back_within_ten_milliseconds():
    grid = ModelGrid.of(Volume(np.zeros((1, 512, 512), np.float32), (0.7, 0.7, 2)))
    plane = np.random.default_rng(3).random(grid.shape[1:], np.float32)
    grid.slice_to_source(plane)
    times = []
    for _ in range(9):
        start = time.perf_counter()
        grid.slice_to_source(plane)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.010


def test_neighbours_are_channels_and_edges_repeat():
    array = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((1, 2, 3), np.float32)
    stack = stack_neighbours(array)
    assert stack.shape == (4, 3, 2, 3)
    assert stack[:, :, 0, 0].tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]
    assert stack_neighbours(array[:1])[:, :, 0, 0].tolist() == [[0, 0, 0]]
