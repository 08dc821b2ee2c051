"""What the panel keeps in the scene: the parameter node, saved and loaded with it."""

from __future__ import annotations

from typing import Annotated, Union

from slicer import (
    vtkMRMLMarkupsClosedCurveNode,
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLMarkupsROINode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLSequenceNode,
)
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from CEKWorldLib.exam.protocol import Injection
from CEKWorldLib.gui.choices import BandOf, ComparedWith, CurveMode, Device, OverlayChoice, Preset, Speed
from CEKWorldLib.kinetics.settings import Settings
from CEKWorldLib.synthesis.times import default_times, parse_times

# Before Slicer 5.10 the wrapper knows no types joined by a bar.
InputNode = Union[vtkMRMLScalarVolumeNode, vtkMRMLSequenceNode, None]  # noqa: UP007
RegionNode = Union[  # noqa: UP007
    vtkMRMLSegmentationNode,
    vtkMRMLMarkupsROINode,
    vtkMRMLMarkupsClosedCurveNode,
    vtkMRMLMarkupsFiducialNode,
    None,
]


@parameterNodeWrapper
class Parameters:
    """The choices of the panel. The time slider is none of them: it moves 30 times a second, and each write here is
    serialized into the node and read back by all widgets.

    Attributes:
        inputNode: pre-contrast volume, or an acquired series.
        model: name, or folder.
        device: where the model runs.
        preset: which times are synthesized.
        times: for the preset ``LIST``.
        arrival: bolus arrival, s after injection start.
        seed: of the first sample.
        samples: more than one tells how sure curves are.
        loop: playback begins again at the end.
        speed: of playback.
        subtraction: pre-contrast is taken off what is shown.
        projection: maximum intensity projection.
        overlay: what lies over the images.
        regionNode: segmentation, box, closed curve or points.
        tissueNode: likewise, with a single region: the reference tissue.
        mode: which voxels a curve is the mean of.
        followRegion: measures again while the region is edited.
        bandOf: what the plateau's band is a percentage of.
        comparedWith: the sample the delayed phase is compared with.
        earlyTime: t_e, s.
        lateTime: t_l, s; 0 takes the last phase of 240 to 480 s.
        seriesArrival: bolus arrival of an acquired series, s; 0 finds it on each curve.
        noise: standard deviation of a sample, in signal units; 0 takes that of the air in maps, and none in regions.
        band: %.
        gate: %.
        exportPhases: whether the DICOM export writes them.
        exportResults: regions and curves, likewise.
        exportMaps: maps, likewise.
    """

    inputNode: InputNode
    model: str = "compact"
    device: Device = Device.AUTO
    preset: Preset = Preset.BREAST
    times: str = "0:360:30"
    arrival: Annotated[float, WithinRange(0.0, 120.0)] = Injection.arrival_s
    seed: Annotated[int, WithinRange(0, 2**31 - 1)] = 0
    samples: Annotated[int, WithinRange(1, 16)] = 1
    loop: bool = True
    speed: Speed = Speed.MEDIUM
    subtraction: bool = False
    projection: bool = False
    overlay: OverlayChoice = OverlayChoice.NONE
    regionNode: RegionNode
    tissueNode: RegionNode
    mode: CurveMode = CurveMode.MEAN
    followRegion: bool = True
    bandOf: BandOf = BandOf.SIGNAL
    comparedWith: ComparedWith = ComparedWith.EARLY
    earlyTime: Annotated[float, WithinRange(10.0, 600.0)] = Settings.t_e_s
    lateTime: Annotated[float, WithinRange(0.0, 3600.0)] = 0.0
    seriesArrival: Annotated[float, WithinRange(0.0, 600.0)] = 0.0
    noise: Annotated[float, WithinRange(0.0, 1e6)] = 0.0
    band: Annotated[float, WithinRange(0.0, 50.0)] = Settings.band_percent
    gate: Annotated[float, WithinRange(0.0, 500.0)] = Settings.gate_percent
    exportPhases: bool = True
    exportResults: bool = True
    exportMaps: bool = False


def key_times(parameters: Parameters) -> tuple[float, ...]:
    """The times that are asked for.

    Raises:
        CEKWorldError: the list cannot be read.
    """
    if parameters.preset is Preset.LIST:
        return parse_times(parameters.times)
    return default_times(parameters.arrival, parameters.preset.anatomy)


def curve_settings(parameters: Parameters, arrival_s: float | None) -> Settings:
    """How curves are judged.

    Args:
        parameters: the user's choices.
        arrival_s: bolus arrival where it is known, as of a synthesis.
    """
    return Settings(
        definition=parameters.bandOf.definition,
        reference=parameters.comparedWith.reference,
        t_e_s=parameters.earlyTime,
        t_l_s=parameters.lateTime or None,
        band_percent=parameters.band,
        gate_percent=parameters.gate,
        arrival_s=arrival_s if arrival_s is not None else parameters.seriesArrival or None,
        noise_sd=parameters.noise or None,
    )
