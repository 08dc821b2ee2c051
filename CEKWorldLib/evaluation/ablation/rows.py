"""The rows of the ablation: which parts of the method each is trained with.

Every row with a flow trains the same number of steps, in two halves, from the same weights. "Official" is what the
authors' code computes, "ours" our reading of the text; ``training.alignment`` and ``training.difference`` say how they
differ. Weights are the authors' (6 and 1) but for LDL in latents, which has another unit: 50 makes it about a tenth of
the velocity's error in the shipped flow (0.005 against 3 from noise, 0.002 against 1 from the mean). None was tuned on
a score. LAL above what the truth has (``above_truth``) is no row: it was zero in all batches looked at, for what a
model predicts varies less with time than the truth does.

The flow's error weighs all pixels alike, but for two rows: weights that follow the truth make samples too bright.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.models.configuration import TimeEncoding
from CEKWorldLib.models.sampler import Start
from CEKWorldLib.training.consistency import Consistency
from CEKWorldLib.training.weighting import Weighting


@dataclass(frozen=True)
class Beginning:
    """What rows can have in common before the halves of their own.

    Attributes:
        start: where the flow starts.
        weighted: whether the flow's error weighs pixels by what the truth did.
        time: how the network is told the time; the regression is another with each.
    """

    start: Start = "noise"
    weighted: bool = False
    time: TimeEncoding = "continuous"

    @property
    def name(self) -> str:
        """Of its files."""
        return f"flow-{self.start}{'-weighted' if self.weighted else ''}{'-text' if self.time == 'text' else ''}"


@dataclass(frozen=True)
class Row:
    """One row that is trained.

    Attributes:
        name: key on the command line and in files.
        title: in tables.
        halves: consistency learning in the first and in the second half.
        beginning: what it goes on from.
        weighting: how the terms add up.
    """

    name: str
    title: str
    halves: tuple[Consistency, Consistency]
    beginning: Beginning = Beginning()
    weighting: Weighting = "sum"


REGRESSION: dict[TimeEncoding, str] = {"continuous": "regression", "text": "regression-text"}
"""The row of the regression by itself, and its files."""
NOTHING, ORACLE = "no-enhancement", "oracle"
WITHOUT_FLOW = {
    NOTHING: "no enhancement",
    REGRESSION["continuous"]: "regression only",
    REGRESSION["text"]: "regression only, time as text",
    ORACLE: "oracle: mean of what the pre-contrast image leaves open",
}
_PLAIN = Consistency()
_LAL_OFFICIAL = Consistency(alignment=6.0, axis="channel")
_LDL_OFFICIAL = Consistency(difference=1.0, mode="official")
_LAL = Consistency(alignment=6.0, axis="region")
_LDL = Consistency(difference=50.0, mode="latent")
_MEAN, _TEXT = Beginning(start="mean"), Beginning(time="text")
BOTH = replace(_LDL, alignment=_LAL.alignment, axis=_LAL.axis)


def _with_points(points: int) -> tuple[Consistency, Consistency]:
    return _LAL, replace(_LDL, points=points)


ROWS: tuple[Row, ...] = (
    Row("baseline", "ControlNet-like baseline", (_PLAIN, _PLAIN)),
    Row("lal-official", "+ LAL (official: channels)", (_LAL_OFFICIAL, _LAL_OFFICIAL)),
    Row("ldl-official", "+ LDL (official)", (_LDL_OFFICIAL, _LDL_OFFICIAL)),
    Row("two-stage-official", "LAL, then LDL (official)", (_LAL_OFFICIAL, _LDL_OFFICIAL)),
    Row("lal", "+ LAL (ours: regions)", (_LAL, _LAL)),
    Row("ldl", "+ LDL (ours: latents)", (_LDL, _LDL)),
    Row("ldl-free-ends", "+ LDL (ours), no end-point fix", (replace(_LDL, ends=False),) * 2),
    Row("two-stage", "LAL, then LDL (ours, K = 2)", _with_points(2)),
    Row("two-stage-k1", "LAL, then LDL (ours, K = 1)", _with_points(1)),
    Row("two-stage-k4", "LAL, then LDL (ours, K = 4)", _with_points(4)),
    Row("joint-scheduled", "LAL and LDL jointly, scheduled weights", (BOTH, BOTH), weighting="scheduled"),
    Row(
        "joint-learned",
        "LAL and LDL jointly, learned weights",
        (replace(BOTH, difference_share=1.0),) * 2,  # a term in every step, as its log variance is
        weighting="learned",
    ),
    Row("mean-start", "start at the mean", (_PLAIN, _PLAIN), _MEAN),
    Row("mean-start-two-stage", "start at the mean; LAL, then LDL (ours)", _with_points(2), _MEAN),
    Row("baseline-weighted", "baseline, weighted error", (_PLAIN, _PLAIN), Beginning(weighted=True)),
    Row("mean-start-weighted", "start at the mean, weighted error", (_PLAIN, _PLAIN), replace(_MEAN, weighted=True)),
    Row("baseline-text", "baseline, time as text", (_PLAIN, _PLAIN), _TEXT),
    Row("two-stage-official-text", "LAL, then LDL (official), time as text", (_LAL_OFFICIAL, _LDL_OFFICIAL), _TEXT),
    Row("two-stage-text", "LAL, then LDL (ours), time as text", _with_points(2), _TEXT),
    Row("mean-start-text", "start at the mean, time as text", (_PLAIN, _PLAIN), replace(_MEAN, time="text")),
)


def choose_rows(names: list[str] | None) -> tuple[Row, ...]:
    """The rows of these names, all when None.

    Raises:
        CEKWorldError: a name that is no row.
    """
    known = {row.name: row for row in ROWS}
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise CEKWorldError(f"The benchmark has no row {', '.join(unknown)}; choose from {', '.join(known)}.")
    return ROWS if names is None else tuple(known[name] for name in known if name in names)
