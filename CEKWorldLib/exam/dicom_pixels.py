"""The stored values of DICOM files, compressed or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.dicom_files import parse
from CEKWorldLib.exam.itk_names import itk_name


def stored_values(file: Path) -> np.ndarray:
    """Decodes a file: (rows, columns), or (frames, rows, columns) where it holds several.

    Raises:
        CEKWorldError: pixels damaged, truncated, or compressed beyond the installed decoders; or the file's name is not
            UTF-8 and SimpleITK alone can decode it.
    """
    compression = None
    try:
        data = parse(file, pixels=True)
        meta = getattr(data, "file_meta", None) or FileMetaDataset()
        if "TransferSyntaxUID" not in meta:
            # Without a meta header the encoding is what the parser found it to be.
            implicit, little = data.original_encoding
            explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
            meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
            data.file_meta = meta
        elif meta.TransferSyntaxUID.is_compressed:
            compression = meta.TransferSyntaxUID.name
            if not get_decoder(meta.TransferSyntaxUID).is_available:
                return _decoded_by_gdcm(file, data)
        return data.pixel_array
    except CEKWorldError:
        raise
    except Exception as error:  # decoders raise a dozen kinds; each means these pixels cannot be had
        if compression:
            reason = f"is compressed as {compression}, damaged or not decodable here; export it uncompressed"
        else:
            reason = "has damaged or truncated pixel data; export it again"
        raise CEKWorldError(f"{file.name} {reason}.") from error


def _decoded_by_gdcm(file: Path, data: Dataset) -> np.ndarray:
    """One image by SimpleITK's decoders: JPEG Lossless, in which many archives keep MR, is theirs alone.

    They apply the file's rescale, which is undone here.
    """
    if int(data.get("NumberOfFrames") or 1) > 1:
        raise ValueError("frames may have a rescale each")
    image = sitk.ReadImage(itk_name(file), imageIO="GDCMImageIO")
    slope, intercept = float(data.get("RescaleSlope") or 1.0), float(data.get("RescaleIntercept") or 0.0)
    (values,) = sitk.GetArrayFromImage(image)
    return np.rint((values - intercept) / slope)
