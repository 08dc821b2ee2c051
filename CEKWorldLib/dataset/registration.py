"""Brings the phases of an exam onto its pre-contrast phase, without warping contrast away.

Rigid, then B-spline, by mutual information (Mattes et al., IEEE TMI 2003), which asks that grey values predict each
other, not that they are alike: contrast arrives and organs brighten. Two things keep an enhancing lesion from being
shrunk until it no longer brightens (Rohlfing et al., IEEE TMI 2003; Tanner et al., Medical Physics 2007):
control points lie 40 mm apart, wider than most lesions, and a transform that changes any volume by over a fifth is
refused. Each step is kept only where it makes the images more alike than the step before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import SimpleITK as sitk

CONTROL_SPACINGS_MM = (40.0, 80.0)  # the wider one where the other changes volumes too much
MAX_VOLUME_CHANGE = 0.2
_LEAST_GAIN = 0.01  # nats; on the tests' phantom contrast alone gains 0.003 by moves of 1 mm, motion of 5 mm 0.8
_BINS = 32
_WORKING_SIDE = 128  # voxels; motion of a millimetre shows at 2 mm, and full size costs ten times as much
_SAMPLES = 30_000  # ten for each parameter of a breast's B-spline
_EVALUATIONS = 30  # of the B-spline's metric; more gain under a hundredth of a nat
_SEED = 7
_LEAST_SLICES = 4  # what ITK's smoothing needs along an axis; thinner exams are registered slice by slice

Kept = Literal["none", "rigid", "B-spline"]


@dataclass(frozen=True)
class Alignment:
    """How a phase was brought onto the pre-contrast phase.

    Attributes:
        kept: the last step that made the images more alike.
        similarity_before, similarity_after: mutual information in nats; higher is more alike.
        largest_mm: largest displacement inside the body.
        median_mm: of all body voxels.
    """

    kept: Kept
    similarity_before: float
    similarity_after: float
    largest_mm: float
    median_mm: float


def register(
    pre: np.ndarray, phase: np.ndarray, body: np.ndarray, spacing: tuple[float, float, float]
) -> tuple[np.ndarray, Alignment]:
    """Registers one phase to the pre-contrast phase.

    Args:
        pre, phase: (slices, rows, columns) float32, one intensity scale.
        body: mask of what is to be aligned, same shape.
        spacing: mm along slices, rows and columns.

    Returns:
        The phase on the voxels of ``pre`` and how it came there. Where it shows nothing (moved in from outside of the
        image) it is the pre-contrast voxel, that is no enhancement. A phase that is kept as it is, is not resampled.
    """
    if len(pre) >= _LEAST_SLICES:
        return _register(_image(pre, spacing), _image(phase, spacing), _image(body, spacing))
    in_plane = spacing[1:]
    parts = [
        _register(_image(pre[k], in_plane), _image(phase[k], in_plane), _image(body[k], in_plane))
        if body[k].any()
        else (phase[k], Alignment("none", 0.0, 0.0, 0.0, 0.0))
        for k in range(len(pre))
    ]
    most_moved = max((alignment for _, alignment in parts), key=lambda alignment: alignment.largest_mm)
    return np.stack([moved for moved, _ in parts]), most_moved


def _register(pre: sitk.Image, phase: sitk.Image, body: sitk.Image) -> tuple[np.ndarray, Alignment]:
    fixed, moving, mask = (_reduced(image) for image in (pre, phase, body))
    mask = sitk.Cast(mask > 0.5, sitk.sitkUInt8)
    identity = sitk.Transform(pre.GetDimension(), sitk.sitkIdentity)
    before = best = similarity(fixed, moving, mask, identity)
    kept: Kept = "none"
    transform = identity
    steps: list[tuple[Kept, Callable[[sitk.Transform], sitk.Transform | None]]] = [
        ("rigid", lambda _: _rigid(fixed, moving, mask)),
        *(("B-spline", partial(_b_spline, fixed, moving, mask, spacing)) for spacing in CONTROL_SPACINGS_MM),
    ]
    for name, step in steps:
        if kept == "B-spline":
            break
        candidate = step(transform)
        if candidate is None or not _keeps_volumes(fixed, mask, candidate):
            continue
        value = similarity(fixed, moving, mask, candidate)
        if value > best + _LEAST_GAIN:
            transform, best, kept = candidate, value, name
    if kept == "none":
        return sitk.GetArrayFromImage(phase), Alignment("none", before, before, 0.0, 0.0)
    lengths = np.linalg.norm(_displacements(fixed, transform), axis=-1)[sitk.GetArrayViewFromImage(mask) > 0]
    moved = _moved(pre, phase, transform)
    return moved, Alignment(kept, before, best, float(lengths.max()), float(np.median(lengths)))


def similarity(fixed: sitk.Image, moving: sitk.Image, mask: sitk.Image, transform: sitk.Transform) -> float:
    """Mutual information in nats of the two images inside the mask under a transform, over all voxels."""
    method = _method(fixed, mask)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInitialTransform(transform)
    return -float(method.MetricEvaluate(fixed, moving))


def _rigid(fixed: sitk.Image, moving: sitk.Image, mask: sitk.Image) -> sitk.Transform | None:
    flat = fixed.GetDimension() == 2
    start = sitk.Euler2DTransform() if flat else sitk.Euler3DTransform()
    centre = [(size - 1) / 2 for size in fixed.GetSize()]
    start.SetCenter(fixed.TransformContinuousIndexToPhysicalPoint(centre))
    method = _method(fixed, mask)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0, minStep=0.01, numberOfIterations=60, relaxationFactor=0.6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([2.0, 0.0])
    method.SetInitialTransform(start, inPlace=True)
    return start if _executed(method, fixed, moving) else None


def _b_spline(
    fixed: sitk.Image, moving: sitk.Image, mask: sitk.Image, spacing_mm: float, before: sitk.Transform
) -> sitk.Transform | None:
    """A B-spline after the transform so far."""
    extent = [size * step for size, step in zip(fixed.GetSize(), fixed.GetSpacing(), strict=True)]
    mesh = [max(1, round(side / spacing_mm)) for side in extent]
    start = sitk.BSplineTransformInitializer(fixed, mesh)
    method = _method(fixed, mask)
    method.SetMovingInitialTransform(before)
    method.SetOptimizerAsLBFGSB(
        gradientConvergenceTolerance=1e-4, numberOfIterations=20, maximumNumberOfFunctionEvaluations=_EVALUATIONS
    )
    method.SetInitialTransform(start, inPlace=True)
    if not _executed(method, fixed, moving):
        return None
    return sitk.CompositeTransform([before, start])


def _method(fixed: sitk.Image, mask: sitk.Image) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricFixedMask(mask)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(min(1.0, _SAMPLES / fixed.GetNumberOfPixels()), _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _executed(method: sitk.ImageRegistrationMethod, fixed: sitk.Image, moving: sitk.Image) -> bool:
    try:
        method.Execute(fixed, moving)
    except RuntimeError:  # ITK's answer to images that slid apart; the step before then stands
        return False
    return True


def _keeps_volumes(fixed: sitk.Image, mask: sitk.Image, transform: sitk.Transform) -> bool:
    field = sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat64, fixed.GetSize(), fixed.GetOrigin(), fixed.GetSpacing(), fixed.GetDirection()
    )
    determinant = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(field))
    change = np.abs(determinant[sitk.GetArrayViewFromImage(mask) > 0] - 1.0)
    return bool(change.max() <= MAX_VOLUME_CHANGE)


def _displacements(fixed: sitk.Image, transform: sitk.Transform) -> np.ndarray:
    """In mm, (..., dimensions)."""
    field = sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat64, fixed.GetSize(), fixed.GetOrigin(), fixed.GetSpacing(), fixed.GetDirection()
    )
    return sitk.GetArrayFromImage(field)


def _moved(pre: sitk.Image, phase: sitk.Image, transform: sitk.Transform) -> np.ndarray:
    """The phase resampled; cubic, because linear interpolation would blur it against the pre-contrast phase."""
    outside = float(np.finfo(np.float32).min)
    linear = sitk.Resample(phase, pre, transform, sitk.sitkLinear, outside, sitk.sitkFloat32)
    shown = sitk.GetArrayViewFromImage(linear) > outside / 2
    cubic = sitk.GetArrayFromImage(sitk.Resample(phase, pre, transform, sitk.sitkBSpline3, 0.0, sitk.sitkFloat32))
    lowest, highest = sitk.GetArrayViewFromImage(phase).min(), sitk.GetArrayViewFromImage(phase).max()
    return np.where(shown, np.clip(cubic, lowest, highest), sitk.GetArrayViewFromImage(pre))


def _reduced(image: sitk.Image) -> sitk.Image:
    """Block means, at most about 128 voxels a side; thin stacks keep their slices."""
    factors = [max(1, round(side / _WORKING_SIDE)) for side in image.GetSize()]
    return sitk.BinShrink(image, factors)


def _image(array: np.ndarray, spacing: tuple[float, ...]) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(array, np.float32))
    image.SetSpacing([float(step) for step in reversed(spacing)])
    return image
