"""The object a viewer holds: prepare an exam, synthesize key times, read any time, save and load."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from CEKWorldLib import __version__
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.exam import Exam
from CEKWorldLib.exam.protocol import Injection
from CEKWorldLib.synthesis.archive import read_archive, write_archive
from CEKWorldLib.synthesis.cache import DiskCache, cache_key
from CEKWorldLib.synthesis.engine import Engine
from CEKWorldLib.synthesis.model import SynthesisModel
from CEKWorldLib.synthesis.prepared import Prepared
from CEKWorldLib.synthesis.progress import Cancel, Progress, ProgressCallback
from CEKWorldLib.synthesis.scheduling import synthesize_slices
from CEKWorldLib.synthesis.series import Series, masked_slices
from CEKWorldLib.synthesis.storage import exam_facts, exam_from, fill_from, series_tensors
from CEKWorldLib.synthesis.times import checked_times

_MEMORY_LIMIT = 2 * 2**30
_EXACT_TIMES = 16  # synthesized together by an exact curve


class Session:
    """Synthesizes one exam after another and keeps the latest.

    Times are seconds after injection start, arrays are in the source volume's order, geometry and intensity scale.

    Args:
        model: a loaded world model.
        device: ``auto``, ``cpu``, ``cuda``.
        steps: sampler steps; None takes the model's default.
        seed: of the exam's noise field; the same seed gives the same series.
        memory_limit_bytes: for latents and decoded key frames; slices beyond it are decoded again when looked at.
        disk_cache: folder in which finished series are kept, or a configured cache.

    Attributes:
        notices: sentences for the user: warnings about the exam, memory that ran out, a cache that failed.
    """

    def __init__(
        self,
        model: SynthesisModel,
        device: str = "auto",
        steps: int | None = None,
        seed: int = 0,
        memory_limit_bytes: int = _MEMORY_LIMIT,
        disk_cache: DiskCache | Path | None = None,
    ) -> None:
        self.model = model
        self.seed = seed
        self.memory_limit_bytes = memory_limit_bytes
        self.notices: list[str] = []
        self._cache = DiskCache(disk_cache) if isinstance(disk_cache, Path) else disk_cache
        self._engine = Engine(model, device, steps, self.notices.append)
        self._prepared_exam: Prepared | None = None
        self._series: Series | None = None

    def prepare(self, exam: Exam, injection: Injection | None = None) -> None:
        """Takes an exam and a virtual injection; forgets the one before.

        Raises:
            CEKWorldError: the bolus would arrive after all times the model knows.
        """
        injection = injection or Injection()
        last = self.model.time_range_s[1]
        if not injection.arrival_s < last:
            raise CEKWorldError(
                f"The bolus arrives at {injection.arrival_s:g} s, but the model knows times up to {last:g} s only; "
                "choose an earlier arrival."
            )
        self._series = None
        self.notices[:] = exam.warnings
        self._prepared_exam = Prepared.of(exam, injection, self.model, self.seed)

    def synthesize(
        self,
        times: Sequence[float],
        first_slice: int | None = None,
        progress: ProgressCallback | None = None,
        cancel: Cancel | None = None,
        extrapolate: bool = False,
    ) -> None:
        """Synthesizes the key times of all slices, nearest to ``first_slice`` first.

        Slices can be read as soon as ``progress`` has named them. With the times of a run that was cancelled, goes on
        from where it stopped.

        Args:
            times: key times.
            first_slice: the slice a viewer shows, by default the middle one.
            progress: called after every batch.
            cancel: asked before every batch.
            extrapolate: allow times outside the model's range; they are marked in ``metadata``.

        Raises:
            Cancelled: finished slices stay readable.
            CEKWorldError: no exam, bad times, or not enough memory for one slice at one time.
        """
        key_times = self._allowed(checked_times(times), extrapolate)
        series = self._series
        if series is None or series.times_s != key_times:
            series = self._series = self._new_series(key_times)
        begun = time.perf_counter()
        if not series.ready.any() and self._restore_from_cache(series):
            if progress:
                slices = tuple(range(len(series.ready)))
                progress(Progress(len(slices), len(slices), slices, time.perf_counter() - begun, 0.0))
            return
        synthesize_slices(series, self._engine, first_slice, progress, cancel)
        self._store_in_cache(series)

    @property
    def exam(self) -> Exam:
        return self._prepared.exam

    @property
    def injection(self) -> Injection:
        return self._prepared.injection

    @property
    def times(self) -> tuple[float, ...]:
        """The key times."""
        return self._current.times_s

    @property
    def ready_slices(self) -> np.ndarray:
        """Per slice, whether it can be read; a copy. All False before ``synthesize``."""
        return np.zeros(self._prepared.slices, bool) if self._series is None else self._series.ready.copy()

    @property
    def is_complete(self) -> bool:
        return bool(self.ready_slices.all())

    @property
    def intensity_scale(self) -> float:
        """Source intensity that is 1 to the model; one for all times."""
        return self._prepared.scale

    @property
    def device(self) -> str:
        """Where the model runs now: ``cpu`` after a fallback."""
        return self._engine.device.type

    def is_extrapolated(self, t: float) -> bool:
        """Whether t lies outside the times the model was trained on, or after the last key time."""
        first, last = self.model.time_range_s
        return not first <= t <= last or t > max(self.times[-1], self.injection.arrival_s)

    def frame(
        self, t: float, out: np.ndarray | None = None, partial: bool = False, extrapolate: bool = False
    ) -> np.ndarray:
        """The volume at t, interpolated between key frames; exactly the source up to bolus arrival.

        Args:
            t: time.
            out: a float32 array of the volume's shape to write to; saves a viewer the allocation.
            partial: show the source in slices that are not synthesized yet, instead of refusing.
            extrapolate: past the last key time hold its frame, instead of refusing.

        Raises:
            CEKWorldError: t or a slice is not available.
        """
        return self._current.frame(self._readable(t, extrapolate), out, partial)

    def slice(
        self, t: float, index: int, axis: int = 0, partial: bool = False, extrapolate: bool = False
    ) -> np.ndarray:
        """The plane ``index`` along an array axis of ``frame(t)``, without computing the rest."""
        size = self.exam.pre.shape[axis]
        if not 0 <= index < size:
            raise CEKWorldError(f"There is no slice {index} along axis {axis}; choose 0 to {size - 1}.")
        return self._current.slice(self._readable(t, extrapolate), index, axis, partial)

    def curve(
        self, mask: np.ndarray, times: Sequence[float], exact: bool = False, extrapolate: bool = False
    ) -> np.ndarray:
        """Mean signal inside a mask.

        Args:
            mask: of the volume's shape; voxels that are not zero count.
            times: when.
            exact: synthesize the mask's slices at these very times instead of interpolating.
            extrapolate: as in ``frame``.

        Returns:
            (len(times),) float64.

        Raises:
            CEKWorldError: the mask is empty or of another shape, or a time is not available.
        """
        mask = np.asarray(mask) != 0
        if mask.shape != self.exam.pre.shape:
            raise CEKWorldError(f"The mask is {mask.shape}, the volume {self.exam.pre.shape}; draw it on this volume.")
        if not mask.any():
            raise CEKWorldError("The mask is empty; mark at least one voxel.")
        if exact:
            return self._exact_curve(mask, self._allowed(times, extrapolate))
        return self._current.curve(mask, [self._readable(t, extrapolate) for t in times])

    def exact(self, t: float, k: int, extrapolate: bool = False) -> np.ndarray:
        """Slice k synthesized at t itself, without interpolation."""
        (t,) = self._allowed([t], extrapolate)
        return self._in_slice(k, self._enhancement_at(k, [t])[0] if t > self.injection.arrival_s else None)

    def decoded(self, t: float, k: int, extrapolate: bool = False) -> np.ndarray:
        """Slice k decoded from latents interpolated to t: nearer to ``exact`` than ``slice``, and without sampling."""
        series, t = self._current, self._readable(t, extrapolate)
        if not series.ready[k]:
            raise CEKWorldError(f"Slice {k} is not synthesized yet; let the synthesis finish.")
        if series.base.weights(t) is None:
            return self._in_slice(k, None)
        latents = series.latents[k].float()
        pairs = torch.stack([latents, series.base.slopes(latents)], 1)
        between = series.base.evaluate(pairs, [t])[None]
        return self._in_slice(k, self._engine.enhancement(self._prepared, [k], between)[0, 0])

    def metadata(self) -> dict[str, Any]:
        """What a reader of the output must know: how it was made, and that it is synthetic."""
        return {
            "synthetic": True,
            "software": f"CEKWorld {__version__}",
            "model": self.model.name,
            "model_sha256": self.model.sha256,
            "seed": self.seed,
            "steps": self._engine.steps,
            "times_s": list(self.times),
            "extrapolated_times_s": [t for t in self.times if self.is_extrapolated(t)],
            "injection": self.injection.as_dict(),
            "intensity_scale": self.intensity_scale,
            "notices": list(self.notices),
        }

    def save(self, path: Path) -> None:
        """Writes the exam, the series and how it was made into one file.

        Raises:
            CEKWorldError: the synthesis is not finished, or the file cannot be written.
        """
        if not self.is_complete:
            raise CEKWorldError("The synthesis is not finished; let it finish before saving.")
        series = self._current
        tensors = {"voxels": torch.from_numpy(self.exam.pre.voxels), **series_tensors(series)}
        write_archive(Path(path), tensors, {**self.metadata(), "exam": exam_facts(self.exam)})

    @classmethod
    def load(cls, path: Path, model: SynthesisModel, **settings: Any) -> Session:
        """A session as it was saved.

        Args:
            path: what ``save`` wrote.
            model: the model it was made with.
            settings: ``device``, ``memory_limit_bytes`` and ``disk_cache`` of the new session.

        Raises:
            CEKWorldError: no such file, not a session, damaged, or made with another model.
        """
        tensors, facts = read_archive(Path(path))
        if facts.get("model_sha256") != model.sha256:
            raise CEKWorldError(
                f"{path} was made with the model '{facts.get('model')}', not with '{model.name}' as it is here; load "
                "that model, or synthesize the exam again."
            )
        session = cls(model, steps=facts["steps"], seed=facts["seed"], **settings)
        session.prepare(exam_from(facts["exam"], tensors["voxels"]), Injection(**facts["injection"]))
        session._series = session._new_series(tuple(facts["times_s"]))
        if not fill_from(session._series, tensors):
            raise CEKWorldError(f"{path} was saved by another version of CEKWorld; synthesize the exam again.")
        return session

    @property
    def _prepared(self) -> Prepared:
        if self._prepared_exam is None:
            raise CEKWorldError("There is no exam yet; prepare one first.")
        return self._prepared_exam

    @property
    def _current(self) -> Series:
        if self._series is None:
            raise CEKWorldError("Nothing is synthesized yet; synthesize the exam first.")
        return self._series

    def _new_series(self, times: tuple[float, ...]) -> Series:
        prepared = self._prepared
        shape = self.model.latent_shape(*prepared.grid.shape[1:])
        return Series(
            prepared,
            times,
            shape,
            self.memory_limit_bytes,
            lambda k, latents: self._engine.enhancement(prepared, [k], latents[None])[0],
        )

    def _cache_key(self, series: Series) -> str:
        return cache_key(
            exam=series.prepared.fingerprint(),
            model=[self.model.name, self.model.sha256],
            steps=self._engine.steps,
            seed=self.seed,
            times=series.times_s,
        )

    def _restore_from_cache(self, series: Series) -> bool:
        if self._cache is None or not self.model.sha256:
            return False
        tensors = self._cache.load(self._cache_key(series))
        return tensors is not None and fill_from(series, tensors)

    def _store_in_cache(self, series: Series) -> None:
        """Keeps a finished series; a cache that fails costs the next run its head start, not this one its result."""
        if self._cache is None:
            return
        if not self.model.sha256:
            self.notices.append("The model has no checksum, so its results are not kept in the cache.")
            return
        try:
            self._cache.store(self._cache_key(series), series_tensors(series))
        except CEKWorldError as error:
            self.notices.append(f"The result was not kept in the cache. {error}")

    def _allowed(self, times: Sequence[float], extrapolate: bool) -> tuple[float, ...]:
        """Times the model may be asked for."""
        first, last = self.model.time_range_s
        outside = [t for t in times if not first <= t <= last]
        if outside and not extrapolate:
            raise CEKWorldError(
                f"{outside[0]:g} s is outside the {first:g} to {last:g} s the model '{self.model.name}' was trained "
                "on; choose times inside, or allow extrapolation."
            )
        return tuple(float(t) for t in times)

    def _readable(self, t: float, extrapolate: bool) -> float:
        """A time that can be read from the key frames."""
        last = self.times[-1]
        self._allowed([t], extrapolate or t in self.times)
        if t > max(last, self.injection.arrival_s) and not extrapolate:
            raise CEKWorldError(f"{t:g} s is after the last synthesized time, {last:g} s; synthesize a later time.")
        return float(t)

    def _exact_curve(self, mask: np.ndarray, times: tuple[float, ...]) -> np.ndarray:
        prepared = self._prepared
        boxed = prepared.to_stack(mask)[:, prepared.rows, prepared.columns]
        after = [n for n, t in enumerate(times) if t > self.injection.arrival_s]
        enhancement = np.zeros(len(times))
        for k in masked_slices(boxed):
            where = torch.from_numpy(boxed[k])
            for start in range(0, len(after), _EXACT_TIMES):
                chunk = after[start : start + _EXACT_TIMES]
                planes = self._enhancement_at(k, [times[n] for n in chunk])
                enhancement[chunk] += planes[:, where].double().sum(1).numpy()
        return prepared.resting_signal(mask) + self.intensity_scale * enhancement / mask.sum()

    def _enhancement_at(self, k: int, times: Sequence[float]) -> torch.Tensor:
        """(T, rows, columns) of slice k in the body box, synthesized at these times."""
        latents = self._engine.latents(self._prepared, [k], times)
        return self._engine.enhancement(self._prepared, [k], latents)[0]

    def _in_slice(self, k: int, enhancement: torch.Tensor | None) -> np.ndarray:
        """The source slice k with an enhancement added."""
        prepared = self._prepared
        plane = np.array(prepared.to_stack(prepared.exam.pre.voxels)[k], np.float32)
        if enhancement is not None:
            plane[prepared.rows, prepared.columns] += prepared.scale * enhancement.numpy()
        return plane
