"""Maps as volumes on disk, one file each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from CEKWorldLib.exam.itk_names import itk_name
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.export.atomic import replacing


def write_map(path: Path | str, values: np.ndarray, grid: Volume, attributes: Mapping[str, str]) -> None:
    """Writes one map as NRRD.

    Args:
        path: file to write, ``*.nrrd``; SimpleITK would not notice that a NIfTI file ends early on a full disk.
        values: (slices, rows, columns); float32 with NaN where not defined, or the integers of a label map.
        grid: geometry.
        attributes: kept in the header.

    Raises:
        CEKWorldError: the file cannot be written, or its name is not UTF-8.
    """
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    for name, text in attributes.items():
        image.SetMetaData(name, text)
    with replacing(Path(path)) as temporary:
        try:
            sitk.WriteImage(image, itk_name(temporary), useCompression=True)
        except RuntimeError as error:  # all that SimpleITK says of a full disk
            raise OSError("the disk may be full") from error
