"""A small exam for the tests of the command line, and the command that synthesizes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from tiny_model import tiny_model

from CEKWorldLib.cli.main import main
from CEKWorldLib.models.bundle import save_model


def body_volume() -> sitk.Image:
    """Three slices of something a reader takes for a body, 12-bit as scanners write it."""
    k, j, i = np.mgrid[:3, :64, :64]
    inside = ((i - 32) / 25) ** 2 + ((j - 32) / 22) ** 2 < 1
    noise = np.random.default_rng(0).normal(0, 12, inside.shape)
    image = sitk.GetImageFromArray(
        np.abs(np.where(inside, 900 + 120 * np.sin(i / 5) + 40 * k, 0) + noise).astype(np.int16)
    )
    image.SetSpacing((3.0, 3.0, 4.0))
    image.SetOrigin((-90.0, -80.0, 12.5))
    return image


def written_exam(folder: Path) -> Path:
    path = folder / "native.nrrd"
    sitk.WriteImage(body_volume(), str(path))
    return path


def saved_model(folder: Path) -> str:
    facts = {"description": "for tests", "trained_on_simulated_data": True}
    save_model(tiny_model(), folder / "tiny", facts, "A model for tests.")
    return str(folder / "tiny")


def synthesize(exam: Path, output: Path, model: str, *more: str) -> int:
    return main(["synthesize", str(exam), "--output", str(output), "--model", model, "--device", "cpu", *more])


def left_behind(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name.startswith("."))
