"""What a synthesized image says of the MR acquisition it starts from (MR Image module, PS3.3 C.8.3.1)."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from CEKWorldLib.dicom.source import take_over
from CEKWorldLib.exam.dicom_protocol import acquisition_of
from CEKWorldLib.exam.protocol import Acquisition

# Enumerated in the standard: other values, which some converters write, are not passed on.
_SCANNING_SEQUENCES = {"SE", "IR", "GR", "EP", "RM"}
_SEQUENCE_VARIANTS = {"SK", "MTC", "SS", "TRSS", "SP", "MP", "OSP", "NONE"}
_ACQUISITION_TYPES = {"2D", "3D"}
_COPIED = (
    "ScanOptions", "EchoTrainLength", "InversionTime", "ImagingFrequency", "ImagedNucleus", "EchoNumbers",
    "NumberOfAverages", "PixelBandwidth", "PercentSampling", "PercentPhaseFieldOfView", "NumberOfPhaseEncodingSteps",
    "InPlanePhaseEncodingDirection", "AcquisitionMatrix", "SequenceName", "ProtocolName", "ReceiveCoilName",
    "TransmitCoilName", "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod",
)  # fmt: skip
_EMPTY = ("ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime", "EchoTrainLength")  # type 2


def describe_acquisition(dataset: Dataset, header: Dataset | None, acquisition: Acquisition) -> None:
    """Writes the sequence settings; those nobody knows are left empty where the standard lets them be.

    Args:
        dataset: to be completed.
        header: of a source image; None where the source was not DICOM.
        acquisition: what the series knows, where the header is silent.
    """
    header = Dataset() if header is None else header
    for keyword in _EMPTY:
        setattr(dataset, keyword, "")
    take_over(dataset, header, _COPIED)
    # "RM", research mode, and "NONE" are the terms for a sequence that is not known.
    dataset.ScanningSequence = _known(header, "ScanningSequence", _SCANNING_SEQUENCES) or ["RM"]
    dataset.SequenceVariant = _known(header, "SequenceVariant", _SEQUENCE_VARIANTS) or ["NONE"]
    dataset.MRAcquisitionType = (_known(header, "MRAcquisitionType", _ACQUISITION_TYPES) or [""])[0]
    if "IR" in dataset.ScanningSequence and "InversionTime" not in dataset:
        dataset.InversionTime = None
    dataset.LossyImageCompression = "01" if header.get("LossyImageCompression") == "01" else "00"
    read = acquisition_of(header)
    for keyword, value, known in (
        ("RepetitionTime", read.repetition_time_ms, acquisition.repetition_time_ms),
        ("EchoTime", read.echo_time_ms, acquisition.echo_time_ms),
        ("FlipAngle", read.flip_angle_deg, acquisition.flip_angle_deg),
        ("MagneticFieldStrength", read.field_strength_t, acquisition.field_strength_t),
    ):
        if number := value or known:
            setattr(dataset, keyword, f"{number:.10g}")


def _known(header: Dataset, keyword: str, terms: set[str]) -> list[str]:
    """The header's values of an attribute, where all of them are terms of the standard."""
    value = header.get(keyword) or []
    values = [str(item) for item in value] if isinstance(value, MultiValue) else [str(value)]
    return values if value and set(values) <= terms else []
