"""An oblique phantom and a session on it, for the tests of the scene layer."""

from __future__ import annotations

import numpy as np

from CEKWorldLib.exam.volume import Volume
from CEKWorldLib.scene.provenance import Provenance
from CEKWorldLib.scene.scene_session import SceneSession

TURN = np.deg2rad(20.0)
OBLIQUE = (np.cos(TURN), -np.sin(TURN), 0.0, np.sin(TURN), np.cos(TURN), 0.0, 0.0, 0.0, 1.0)
PROVENANCE = Provenance("closed form", "5" * 64, 7)
ARRIVAL_S = 20.0
TIMES_S = (60.0, 90.0, 180.0, 360.0)


def oblique(shape=(6, 20, 24)) -> Volume:
    voxels = np.random.default_rng(3).uniform(100, 200, shape).astype(np.float32)
    return Volume(voxels, (0.7, 0.9, 3.3), (-101.5, 33.25, 7.125), OBLIQUE)


def frame_at(volume: Volume, time_s: float) -> np.ndarray:
    """Plain wash-in: twice the signal at 200 s."""
    return volume.voxels * np.float32(1 + time_s / 200)


def open_session(scene, volume: Volume, **settings) -> SceneSession:
    session = SceneSession(scene, **settings)
    fill(session, volume)
    return session


def fill(session: SceneSession, volume: Volume) -> None:
    session.open_exam("T1", volume, PROVENANCE, ARRIVAL_S, brightest=2.0)
    for time_s in TIMES_S:
        session.put_frame(time_s, frame_at(volume, time_s))
