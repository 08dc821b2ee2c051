"""Makes the pictures of docs/real-data.md: ``python docs/real_data.py ../shared/data docs/images``.

Runs ``cekworld synthesize`` on each real volume and keeps its contact sheet; for the breast slice, a measured DCE
series, it also plots the measured lesion curve beside the synthetic one.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from matplotlib.figure import Figure
from scipy import ndimage
from scipy.io import loadmat

from CEKWorldLib.cli.main import main
from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.export.seq_nrrd import read_sequence

# The file gives no field of view; 200 mm over 192 pixels is usual for a sagittal breast.
_BREAST_PIXEL_MM = 1.04
_SAGITTAL = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)  # columns to the back, rows down
_BREAST_ARRIVAL_S = 50.0  # from the measured plasma curve: 0.03 mM at 49 s, 0.6 mM at 66 s

VOLUMES = {
    "abdomen": ("abdomen_pre_real/example_mr_sm.nii.gz", "--anatomy", "abdomen"),
    "brain_dicom": ("dicom_t1_real", "--anatomy", "brain"),
    "brain": ("brain_pre_post_real/TCGA-DU-7294_t1_pre_bet.nii.gz", "--anatomy", "brain"),
}


def synthesize(source: Path, name: str, images: Path, work: Path, *options: str) -> Path:
    """Runs the command and keeps the contact sheet."""
    output = work / f"{name}_out"
    if main(["synthesize", str(source), "--output", str(output), *options]):
        raise SystemExit(f"synthesis of {name} failed")
    shutil.copy(output / "contact_sheet.png", images / f"real_{name}.png")
    return output


def breast(data: Path, images: Path, work: Path) -> None:
    """Synthesizes from the mean of the baseline frames and compares the lesion's curve with the measured one."""
    measured = loadmat(data / "breast_dce_real_2d" / "invivo.mat")
    series, times = measured["DCEdata"], measured["t"].ravel()
    pre = Volume(
        series[:3].mean(0)[None].astype(np.float32),
        (_BREAST_PIXEL_MM, _BREAST_PIXEL_MM, 3.0),
        (0.0, 0.0, 0.0),
        _SAGITTAL,
    )
    lesion = largest_enhancing(series)
    sitk.WriteImage(pre.to_image(), work / "breast.nrrd")
    sitk.WriteImage(pre.like(lesion[None].astype(np.float32)).to_image(), work / "lesion.nrrd")
    options = ("--anatomy", "breast", "--arrival", str(_BREAST_ARRIVAL_S), "--roi", str(work / "lesion.nrrd"))
    key_times = ",".join(f"{t:g}" for t in times)
    output = synthesize(work / "breast.nrrd", "breast", images, work, *options, "--times", key_times)
    synthetic = read_sequence(output / "phases.seq.nrrd")
    frames = np.stack([frame[0] for frame in synthetic.frames])
    plot_curves(images / "real_breast_curve.png", times, series[:, lesion].mean(1), frames[:, lesion].mean(1))


def largest_enhancing(series: np.ndarray) -> np.ndarray:
    """The largest connected region more than 40 % brighter in every frame after 100 s; the noisy heart is not."""
    baseline = series[:3].mean(0)
    tissue = baseline > 0.1 * np.percentile(baseline, 99)
    parts, _ = ndimage.label(tissue & (series[7:].min(0) > 1.4 * baseline))
    return parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])


def plot_curves(path: Path, times: np.ndarray, measured: np.ndarray, synthetic: np.ndarray) -> None:
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for name, curve, style in (("measured", measured, "k.-"), ("SYNTHETIC", synthetic, "C3.-")):
        axes.plot(times, 100.0 * (curve / curve[:3].mean() - 1.0), style, label=name)
    axes.axvline(_BREAST_ARRIVAL_S, color="0.6", linestyle=":", label="bolus arrival")
    axes.set(xlabel="s", ylabel="percent enhancement", title="Real breast lesion, mean of the lesion")
    axes.legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    data, images = map(Path, sys.argv[1:3])
    images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        breast(data, images, Path(folder))
        for label, (source, *options) in VOLUMES.items():
            synthesize(data / source, label, images, Path(folder), *options)
