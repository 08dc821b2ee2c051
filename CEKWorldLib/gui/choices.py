"""What the user chooses from: enumerations whose ``label`` the parameter node's combo boxes show."""

from __future__ import annotations

from enum import Enum

from slicer.i18n import tr as _

from CEKWorldLib.exam.protocol import Anatomy
from CEKWorldLib.kinetics.settings import Definition, Mode, Reference


class Preset(Enum):
    """Which times are synthesized; a preset also names the body region to the model."""

    BREAST = "breast"
    ABDOMEN = "abdomen"
    BRAIN = "brain"
    LIST = "list"

    def label(self) -> str:
        return {
            Preset.BREAST: _("Breast"),
            Preset.ABDOMEN: _("Abdomen"),
            Preset.BRAIN: _("Brain"),
            Preset.LIST: _("List of times"),
        }[self]

    @property
    def anatomy(self) -> Anatomy | None:
        regions: dict[Preset, Anatomy] = {
            Preset.BREAST: "breast",
            Preset.ABDOMEN: "abdomen",
            Preset.BRAIN: "brain",
        }
        return regions.get(self)


class Device(Enum):
    """Where the model runs."""

    AUTO = "auto"
    CUDA = "cuda"
    CPU = "cpu"

    def label(self) -> str:
        return {Device.AUTO: _("GPU if there is one"), Device.CUDA: _("GPU (CUDA)"), Device.CPU: _("CPU")}[self]


class OverlayChoice(Enum):
    """What lies over the images."""

    NONE = "none"
    CURVE_TYPES = "curve types"
    UNCERTAINTY = "uncertainty"

    def label(self) -> str:
        return {
            OverlayChoice.NONE: _("None"),
            OverlayChoice.CURVE_TYPES: _("Curve types"),
            OverlayChoice.UNCERTAINTY: _("Uncertainty"),
        }[self]


class Speed(Enum):
    """Seconds of the series in a second."""

    LIFE = 1.0
    SLOW = 10.0
    MEDIUM = 30.0
    FAST = 60.0

    def label(self) -> str:
        return _("{speed} x").format(speed=f"{self.value:g}")


class CurveMode(Enum):
    """Of which voxels of a region a curve is made."""

    MEAN = "mean"
    HOTTEST = "hottest"
    WORST = "worst"

    def label(self) -> str:
        return {
            CurveMode.MEAN: _("All voxels"),
            CurveMode.HOTTEST: _("Hottest 3x3 window"),
            CurveMode.WORST: _("Worst cluster"),
        }[self]

    @property
    def mode(self) -> Mode:
        return self.value


class BandOf(Enum):
    """What the plateau's band is a percentage of."""

    SIGNAL = "signal"
    ENHANCEMENT = "enhancement"

    def label(self) -> str:
        return {BandOf.SIGNAL: _("the signal"), BandOf.ENHANCEMENT: _("the enhancement")}[self]

    @property
    def definition(self) -> Definition:
        return self.value


class ComparedWith(Enum):
    """The sample the delayed phase is compared with."""

    EARLY = "t_e"
    PEAK = "peak"

    def label(self) -> str:
        return {ComparedWith.EARLY: _("the early time"), ComparedWith.PEAK: _("the early peak")}[self]

    @property
    def reference(self) -> Reference:
        return self.value
