"""A scalar volume with its place in the patient."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Volume:
    """Voxels and their geometry, in SimpleITK's conventions (LPS millimetres).

    Attributes:
        voxels: float32 array (slices, rows, columns), that is index order (k, j, i).
        spacing: mm along (i, j, k).
        origin: LPS position in mm of voxel (0, 0, 0).
        direction: row-major 3x3 matrix whose columns are the unit vectors of i, j and k.
    """

    voxels: np.ndarray
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = IDENTITY

    @classmethod
    def from_image(cls, image: sitk.Image) -> Volume:
        """Copies a 3-D scalar SimpleITK image."""
        return cls(
            voxels=sitk.GetArrayFromImage(image).astype(np.float32, copy=False),
            spacing=image.GetSpacing(),
            origin=image.GetOrigin(),
            direction=image.GetDirection(),
        )

    def to_image(self) -> sitk.Image:
        image = sitk.GetImageFromArray(self.voxels)
        image.SetSpacing(self.spacing)
        image.SetOrigin(self.origin)
        image.SetDirection(self.direction)
        return image

    def like(self, voxels: np.ndarray) -> Volume:
        """The same geometry around other voxels of the same shape."""
        if voxels.shape != self.voxels.shape:
            raise ValueError(f"voxels {voxels.shape} do not fit a volume of {self.voxels.shape}")
        return replace(self, voxels=voxels)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.voxels.shape
