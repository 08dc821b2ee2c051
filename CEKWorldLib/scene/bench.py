"""How fast the scene layer is, and whether it grows: ``python -m CEKWorldLib.scene.bench``."""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import slicer

from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.kinetics.settings import Settings
from CEKWorldLib.scene.geometry import matrix_of, world_to_ijk
from CEKWorldLib.scene.images import image_of
from CEKWorldLib.scene.provenance import Provenance
from CEKWorldLib.scene.regions import from_segment
from CEKWorldLib.scene.scene_session import SceneSession
from CEKWorldLib.scene.standalone import StandaloneScene

_TIMES_S = (30.0, 60.0, 90.0, 180.0, 360.0)
_PROVENANCE = Provenance("bench", "0" * 64, 0)
_SMALL = (24, 256, 256)
_SCRUBS, _CLOSES = 200, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(160, 320, 320), metavar=("SLICES", "ROWS", "COLUMNS"))
    parser.add_argument("--repeats", type=int, default=50)
    arguments = parser.parse_args()
    shape = tuple(arguments.shape)
    print(f"{'x'.join(map(str, shape))} float32, {arguments.repeats} repeats")
    print(f"{'what':<48}{'wall p50/p95':>14}{'CPU ms':>10}{'bar':>8}")
    _speed(shape, arguments.repeats)
    _growth(_SMALL)


def _speed(shape: tuple[int, ...], repeats: int) -> None:
    session = _open(SceneSession(StandaloneScene().scene), shape)
    times = np.resize(_TIMES_S, repeats).tolist()
    _report("slider to voxels in the node, cached time", 2, lambda n: session.show(times[n]), repeats)
    _report("interpolated preview", 40, lambda n: session.show(times[n] + 7.0), repeats)
    session.subtracted = True
    _report("subtraction, cached time", None, lambda n: session.show(times[n]), repeats)
    segments = [_segment(session.output, radius) for radius in (8, 9)]

    def edit(n: int) -> None:
        session.measure([from_segment(*segments[n % 2], session.output)])

    _report("curve of an edited segment, 3000 voxels", 50, edit, repeats)


def _growth(shape: tuple[int, ...]) -> None:
    standalone = StandaloneScene()
    scene, process = standalone.scene, psutil.Process()
    session = SceneSession(scene)

    def round_trip() -> None:
        _open(session, shape)
        for n in range(_SCRUBS // _CLOSES):
            session.show(30.0 + 11.0 * n)
        scene.Clear(0)
        gc.collect()

    for _ in range(5):  # the allocator settles
        round_trip()
    nodes, memory = scene.GetNumberOfNodes(), process.memory_info().rss
    for _ in range(_CLOSES):
        round_trip()
    print(
        f"{_SCRUBS} scrub steps, {_CLOSES} scene closes: {scene.GetNumberOfNodes() - nodes:+d} nodes, "
        f"{(process.memory_info().rss - memory) / 2**20:+.1f} MiB"
    )


def _open(session: SceneSession, shape: tuple[int, ...]) -> SceneSession:
    pre = np.random.default_rng(0).uniform(50.0, 150.0, shape).astype(np.float32)
    session.settings = Settings(arrival_s=20.0)
    session.open_exam("bench", Volume(pre), _PROVENANCE, arrival_s=20.0, brightest=2.0)
    for time_s in _TIMES_S:
        session.put_frame(time_s, pre * np.float32(1 + time_s / 200))
    return session


def _segment(volume: Any, radius: int) -> tuple[Any, str]:
    """A ball in the middle of a volume, drawn in a segmentation node of its own."""
    shape = volume.GetImageData().GetDimensions()[::-1]
    offsets = np.indices(shape) - np.reshape([side // 2 for side in shape], (3, 1, 1, 1))
    ball = slicer.vtkOrientedImageData()
    ball.ShallowCopy(image_of(((offsets**2).sum(0) <= radius**2).astype(np.uint8)))
    ball.SetGeometryFromImageToWorldMatrix(matrix_of(np.linalg.inv(world_to_ijk(volume))))
    segmentation = volume.GetScene().AddNewNodeByClass("vtkMRMLSegmentationNode")
    return segmentation, segmentation.AddSegmentFromBinaryLabelmapRepresentation(ball, "ball")


def _report(what: str, bar_ms: float | None, act: Callable[[int], object], repeats: int) -> None:
    wall, processor = [], []
    act(0)
    for n in range(repeats):
        begun, used = time.perf_counter(), time.process_time()
        act(n)
        wall.append(1e3 * (time.perf_counter() - begun))
        processor.append(1e3 * (time.process_time() - used))
    low, high = np.percentile(wall, (50, 95))
    bar = "-" if bar_ms is None else f"<= {bar_ms:g}"
    print(f"{what:<48}{f'{low:.2f} / {high:.2f}':>14}{np.median(processor):>10.2f}{bar:>8}")


if __name__ == "__main__":
    main()
