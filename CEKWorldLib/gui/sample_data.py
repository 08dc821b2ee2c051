"""The bundled sample exam in Slicer's Sample Data module."""

from __future__ import annotations

from slicer.i18n import tr as _

from CEKWorldLib.gui.worker_command import LIBRARY

CATEGORY = "CEKWorld"
NAME = "CEKWorldBreast"
FILE = LIBRARY / "Resources" / "sample" / "breast" / "pre.nrrd"
SHA256 = "b443c8980eae1956b030eb8ec33ef677d262f23ae09018b9adccaf215cba196f"
_MODULES = (LIBRARY, LIBRARY / "CEKWorld")  # where the module is: beside the library once installed, else in its folder


def register_sample_data() -> None:
    """Registers the exam: simulated, so nobody's, and there without a network."""
    import SampleData

    logic = SampleData.SampleDataLogic
    thumbnails = [module / "Resources" / "Icons" / f"{NAME}.png" for module in _MODULES]
    if hasattr(logic, "registerCustomSampleDataCategory"):  # Slicer 5.11 and later
        logic.registerCustomSampleDataCategory(CATEGORY, title=_("CEKWorld"))
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=NAME,
        uris=FILE.as_uri(),
        fileNames="CEKWorldBreast.nrrd",
        nodeNames="CEKWorldBreast",
        checksums=f"SHA256:{SHA256}",
        loadFileType="VolumeFile",
        thumbnailFileName=next((str(p) for p in thumbnails if p.is_file()), None),
    )
