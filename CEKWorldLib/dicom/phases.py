"""Synthesized phases as MR Image Storage: one series per phase, in the study and frame of reference of the source.

Enhanced MR would ask for details of an acquisition that never happened, Secondary Capture would lose the geometry, and
several phases in one series are stacked into one bogus volume by readers such as ITK's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage, generate_uid
from pydicom.valuerep import format_number_as_ds

from CEKWorldLib.dicom.marking import Provenance, code, mark_synthetic_image
from CEKWorldLib.dicom.mr_image import describe_acquisition
from CEKWorldLib.dicom.pixels import PixelScale
from CEKWorldLib.dicom.series_numbers import free_offset
from CEKWorldLib.dicom.source import Source, SourceImage
from CEKWorldLib.dicom.stack import Stack
from CEKWorldLib.dicom.writing import new_folder, write_dataset
from CEKWorldLib.errors import Cancelled, CEKWorldError
from CEKWorldLib.exam.dicom_protocol import first_frame, group_of
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.synthesis.progress import Cancel, is_cancelled

FIRST_SERIES_NUMBER = 9001  # after everything a scanner numbers; later exports of a study take the next free ones
_EVEN_S = 1e-3

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class ExportedPhases:
    """What was written.

    Attributes:
        folder: holds one folder per phase.
        study_uid: StudyInstanceUID, the source's own unless it was not DICOM.
        series_uids: SeriesInstanceUID of each phase.
        files: number of images.
        notes: sentences to show the user.
    """

    folder: Path
    study_uid: str
    series_uids: tuple[str, ...]
    files: int
    notes: tuple[str, ...]


def export_phases(
    series: TimeSeries,
    source: Source,
    provenance: Provenance,
    output: Path | str,
    progress: Report | None = None,
    cancel: Cancel | None = None,
) -> ExportedPhases:
    """Writes every phase of a synthesized series, or nothing.

    Args:
        series: synthesized phases.
        source: what they were made from (``read_source``), or ``new_study`` where that was not DICOM.
        provenance: what made them.
        output: folder in which the export becomes a new folder of its own, so that exports never meet.
        progress: called with (images written, images in all) after each image.
        cancel: asked before each image.

    Raises:
        CEKWorldError: the series was acquired, does not lie on the source's slices, or cannot be written.
        Cancelled: the user asked to stop; nothing was written.
    """
    if not series.synthetic:
        raise CEKWorldError("The series was acquired, not synthesized; acquired images are not issued a second time.")
    stack = Stack.of(series.grid)
    references = stack.source_images(source)
    scale = PixelScale.of(series.frames)
    numbers = range(FIRST_SERIES_NUMBER, FIRST_SERIES_NUMBER + len(series.times_s))
    first_number = FIRST_SERIES_NUMBER + free_offset(numbers, source, Path(output))
    image = _Image(series, source, stack, scale, first_number)
    series_uids = tuple(generate_uid(prefix=None) for _ in series.times_s)
    total, done = len(series.times_s) * stack.shape[0], 0
    with new_folder(Path(output)) as new:
        for phase, (t, uid) in enumerate(zip(series.times_s.tolist(), series_uids, strict=True)):
            folder = new.staging / f"phase_{phase + 1:03d}"
            folder.mkdir()
            image.start_phase(phase, t, uid, provenance)
            for k, plane in enumerate(stack.planes(series.frames[phase])):
                if is_cancelled(cancel):
                    raise Cancelled("Stopped; nothing was exported.")
                dataset = image.at(k, plane, references[k] if references else None)
                write_dataset(dataset, folder / f"slice_{k + 1:04d}.dcm")
                done += 1
                if progress:
                    progress(done, total)
    return ExportedPhases(new.target, str(source.common.StudyInstanceUID), series_uids, total, _notes(scale))


class _Image:
    """One dataset that becomes each image in turn: what images share is set once."""

    def __init__(self, series: TimeSeries, source: Source, stack: Stack, scale: PixelScale, first_number: int) -> None:
        self._times, self._source, self._stack, self._scale = series.times_s, source, stack, scale
        self._first_number = first_number
        self._data = data = Dataset()
        now = source.now()
        data.update(source.common)
        data.SOPClassUID, data.Modality = MRImageStorage, "MR"
        data.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
        data.InstanceCreationDate, data.InstanceCreationTime = _date(now), _time(now)
        header = source.images[0].header if source.images else None
        data.RecognizableVisualFeatures = "YES" if source.may_show_face else "NO"
        describe_acquisition(data, header, series.acquisition)
        _, data.Rows, data.Columns = stack.shape
        data.PixelSpacing = [_decimal(value) for value in stack.spacing[:2]]
        data.SpacingBetweenSlices = _decimal(stack.spacing[2])
        thickness = header and group_of(header, first_frame(header), "PixelMeasuresSequence").get("SliceThickness")
        data.SliceThickness = _decimal(thickness or stack.spacing[2])
        data.ImageOrientationPatient = [_decimal(value) for value in stack.orientation]
        scale.describe(data)

    def start_phase(self, phase: int, t_s: float, series_uid: str, provenance: Provenance) -> None:
        """Sets what the images of one phase share.

        Clock times are those of the source plus t; the exact t stands in DerivationDescription. TriggerTime is for
        cardiac gating, and contrast attributes would claim an injection: neither is written.
        """
        data = self._data
        mark_synthetic_image(data, self._source, provenance, t_s)
        data.SeriesInstanceUID, data.SeriesNumber = series_uid, self._first_number + phase
        data.SeriesDescription = f"SYNTHETIC t={_label(t_s)}s (CEKWorld AI)"
        moment = self._source.started + timedelta(seconds=t_s)
        for event in ("Series", "Acquisition", "Content"):
            setattr(data, f"{event}Date", _date(moment))
            setattr(data, f"{event}Time", _time(moment))
        data.AcquisitionNumber = data.TemporalPositionIdentifier = phase + 1
        data.NumberOfTemporalPositions = len(self._times)
        steps = np.diff(self._times)
        if len(steps) and np.ptp(steps) < _EVEN_S:
            data.TemporalResolution = _decimal(1000.0 * float(steps.mean()))

    def at(self, k: int, plane: np.ndarray, reference: SourceImage | None) -> Dataset:
        """The complete image of one slice; valid until the next call."""
        data, position = self._data, self._stack.positions[k]
        data.SOPInstanceUID, data.InstanceNumber = generate_uid(prefix=None), k + 1
        data.ImagePositionPatient = [_decimal(value) for value in position]
        normal = np.cross(self._stack.orientation[:3], self._stack.orientation[3:])
        data.SliceLocation = _decimal(float(position @ normal))
        if reference:
            data.SourceImageSequence = [_reference(reference)]
        data.PixelData = self._scale.stored(plane).tobytes()
        return data


def _reference(image: SourceImage) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = image.header.SOPClassUID
    item.ReferencedSOPInstanceUID = image.header.SOPInstanceUID
    if image.frame is not None:
        item.ReferencedFrameNumber = image.frame
    item.PurposeOfReferenceCodeSequence = [code("121322", "DCM", "Source image for image processing operation")]
    return item


def _notes(scale: PixelScale) -> tuple[str, ...]:
    notes = []
    if scale.factor != 1.0:
        notes.append(f"Pixels hold the signal times {scale.factor:g}, in all phases alike.")
    if scale.below:
        notes.append(f"{scale.below} voxels below zero were stored as zero.")
    return tuple(notes)


def _decimal(value: float) -> str:
    """A DS value: at most 16 characters (PS3.5 6.2); differences below a femtometre are rounding."""
    return format_number_as_ds(round(float(value), 12) + 0.0)


def _label(t_s: float) -> str:
    return f"{t_s:+04.0f}" if t_s == round(t_s) else f"{t_s:+06.1f}"


def _date(moment: datetime) -> str:
    return moment.strftime("%Y%m%d")


def _time(moment: datetime) -> str:
    return moment.strftime("%H%M%S.%f")
