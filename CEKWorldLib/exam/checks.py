"""What a pre-contrast volume must pass before it is synthesized, and what the user is warned about."""

from __future__ import annotations

import re

import numpy as np
from scipy import ndimage

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.exam.grid import slice_axis
from CEKWorldLib.exam.intensity import body_mask
from CEKWorldLib.exam.protocol import Acquisition
from CEKWorldLib.exam.volume import Volume

MIN_PIXELS = 16  # in-plane; below that there is no anatomy to see
MAX_VOXELS = 512**3 * 2  # 1 GB as float32, twice the largest exam CEKWorld is built for
MAX_SERIES_VOXELS = 4 * MAX_VOXELS  # 4 GB as float32: 512 x 512 x 128 at 32 times

_NEGATIVE = 0.05  # share of all signal that may be negative: interpolation overshoots by 1 %, CT air is over a half
_FEW_VALUES = 8  # a mask or a coarse label map; 8-bit MR has a hundred grey values or more
_FLAT = 0.8  # share of neighbouring body voxels with exactly equal values; 8-bit MR stays below 0.2

_WORDS_POST = re.compile(
    r"""(?<![a-z]) (?:
        post (?! [ _-]? (?: op | proc | surg | rt | treat | chemo ) )
            (?: [ _-]? (?: gd | gad[a-z]* | con(?:trast)? | ce? | km | inj[a-z]* ) )?
        | gd | gad[a-z]* | t1ce? | ce | dce | dyn[a-z]* | contrast | enhanced
        | arterial | (?:portal)? [ _-]? venous | delayed | washout
    ) (?![a-z]) | \+ \s? (?: c | gd | gad[a-z]* | km ) (?![a-z]) | (?<![a-z]) (?: c | gd ) \+""",
    re.VERBOSE,
)
_WORDS_PRE = re.compile(
    r"(?<![a-z])(?:pre(?![a-z])|pre[ _-]?(?:gd|gad|con|ce?(?![a-z]))|non?[ _-]?(?:con|ce)|without|w/o|ohne|nati[vf]"
    r"|plain|unenhanced|un[ _-]enhanced)"
)


def check_volume(volume: Volume, name: str) -> None:
    """Refuses what cannot be a pre-contrast MR volume.

    Args:
        volume: as read, in the file's own scale.
        name: the file or folder, for the message.

    Raises:
        CEKWorldError: empty, too small, too large, placed nowhere, with NaN or infinite values, constant, CT-like, or a
            label map.
    """
    check_image(volume, name)
    if _is_label_map(volume.voxels):
        raise CEKWorldError(
            f"{name} looks like a label map (flat areas of whole numbers), not an image; choose the MR volume itself."
        )


def check_image(volume: Volume, name: str) -> None:
    """As `check_volume`, for volumes that nobody can take for a label map: phases of a series change over time."""
    voxels = volume.voxels
    check_size(voxels.shape, name)
    in_plane = np.delete(voxels.shape, slice_axis(volume))
    if in_plane.min() < MIN_PIXELS:
        raise CEKWorldError(
            f"{name} has slices of only {in_plane[0]} x {in_plane[1]} pixels; CEKWorld needs at least "
            f"{MIN_PIXELS} x {MIN_PIXELS}."
        )
    check_geometry(volume, name)
    invalid = voxels.size - int(np.count_nonzero(np.isfinite(voxels)))
    if invalid:
        raise CEKWorldError(
            f"{name} holds {invalid} NaN or infinite voxels; replace them (0 outside the body) and try again."
        )
    low, high = float(voxels.min()), float(voxels.max())
    if low == high:
        raise CEKWorldError(f"{name} is constant (every voxel is {low:g}); there is no image in it.")
    if np.minimum(voxels, 0).sum(dtype=float) < -_NEGATIVE * np.abs(voxels).sum(dtype=float):
        raise CEKWorldError(
            f"{name} has strongly negative values (down to {low:g}), as CT, phase, subtraction or z-scored images do; "
            "CEKWorld needs MR magnitude in the scanner's own scale."
        )


def check_size(shape: tuple[int, ...], name: str) -> None:
    """Refuses empty and oversized volumes; called on the header too, before memory is asked for.

    Raises:
        CEKWorldError: no voxels, or more than ``MAX_VOXELS``.
    """
    count = int(np.prod(shape, dtype=np.int64))
    if count <= 0:
        raise CEKWorldError(f"{name} holds no voxels; choose another file.")
    if count > MAX_VOXELS:
        size = " x ".join(str(side) for side in reversed(shape))
        raise CEKWorldError(f"{name} is too large ({size} voxels); crop or resample it to 512 slices of 512 x 512.")


def check_series_size(shape: tuple[int, int, int, int], name: str) -> None:
    """Refuses a time series (T, slices, rows, columns) that is empty, too large, or one volume; needs only the header.

    Raises:
        CEKWorldError: no voxels, one phase, a phase of more than ``MAX_VOXELS`` or a series of more than
            ``MAX_SERIES_VOXELS``.
    """
    check_size(shape[1:], name)
    if shape[0] < 2:
        raise CEKWorldError(f"{name} holds one phase only, no time series; choose a file with all phases.")
    if int(np.prod(shape, dtype=np.int64)) > MAX_SERIES_VOXELS:
        raise CEKWorldError(
            f"{name} is too large ({shape[0]} phases of {shape[3]} x {shape[2]} x {shape[1]} voxels); crop it or leave "
            "phases out."
        )


def check_geometry(volume: Volume, name: str) -> None:
    """Refuses volumes that lie nowhere, or whose axes are not at right angles.

    Raises:
        CEKWorldError: either of both.
    """
    matrix = np.asarray(volume.direction, float).reshape(3, 3)
    if not (np.isfinite(volume.origin).all() and np.isfinite(volume.spacing).all() and min(volume.spacing) > 0):
        raise CEKWorldError(f"{name} has no valid spacing or origin in its header; convert it again from the scanner.")
    if not np.allclose(matrix.T @ matrix, np.eye(3), atol=1e-3):
        raise CEKWorldError(
            f"{name} has axes that are not at right angles; resample it to a rectangular grid and try again."
        )


def _is_label_map(voxels: np.ndarray) -> bool:
    sample = voxels[np.linspace(0, len(voxels) - 1, min(len(voxels), 16)).astype(int)]
    if not np.array_equal(sample, np.rint(sample)):
        return False
    if len(np.unique(sample)) <= _FEW_VALUES:
        return True
    left, right = sample[:, :, :-1], sample[:, :, 1:]
    body = (left != 0) & (right != 0)
    return bool(body.any()) and float((left == right)[body].mean()) > _FLAT


def protocol_warnings(acquisition: Acquisition) -> tuple[str, ...]:
    """Warns about sequences that are not T1-weighted gradient echo: TR over 50 ms or TE over 12 ms."""
    tr, te = acquisition.repetition_time_ms, acquisition.echo_time_ms
    unusual = [
        f"{key} {value:g} ms" for key, value, limit in (("TR", tr, 50), ("TE", te, 12)) if value and value > limit
    ]
    if not unusual:
        return ()
    return (
        f"{' and '.join(unusual)}: not a T1-weighted spoiled gradient-echo sequence, the only kind the model was "
        "trained on; expect wrong enhancement.",
    )


def post_contrast_word(text: str) -> str | None:
    """The word in a description or file name that says contrast was given, or None; "pre" and "without" overrule it."""
    text = text.lower()
    if _WORDS_PRE.search(text):
        return None
    found = _WORDS_POST.search(text)
    return found.group().strip(" _-") if found else None


def contrast_warnings(volume: Volume, texts: tuple[str, ...] = (), agent: bool = False) -> tuple[str, ...]:
    """Warns when the volume seems to hold contrast already. At most one sentence: the best evidence there is.

    Args:
        volume: a checked volume.
        texts: series description, protocol name or file name.
        agent: whether the header names a contrast agent.
    """
    word = next(filter(None, map(post_contrast_word, texts)), None)
    if agent:
        evidence = "its header names a contrast agent"
    elif word:
        evidence = f'its name or description says "{word}"'
    elif _has_bright_vessels(volume):
        evidence = "bright vessels run through it"
    else:
        return ()
    return (f"Looks already contrast-enhanced ({evidence}); CEKWorld expects a volume from before the injection.",)


def _has_bright_vessels(volume: Volume) -> bool:
    """Whether many small structures, in most slices, are far brighter than any large tissue.

    Voxels above 1.4 times the body's 98th percentile: enhanced vessels on a post-contrast T1 reach 1.7 times it (0.1 %
    of the body, in 100 pieces), native tissue including fat 1.2 times. Inflow makes arteries as bright without contrast
    but in a few large pieces near the edge the blood enters by (four fifths of the bright voxels in two carotids);
    so there must be ten pieces, in half the slices, the two largest less than half of all. Fewer than eight slices
    cannot tell. Made not to cry wolf: it finds enhanced brains, and seldom an enhanced breast or abdomen.
    """
    stack = np.moveaxis(volume.voxels, slice_axis(volume), 0)
    if len(stack) < 8:
        return False
    body = body_mask(stack)
    bright = body & (stack > 1.4 * np.percentile(stack[body], 98))
    labels, count = ndimage.label(bright, np.ones((3, 3, 3), bool))
    if count < 10:
        return False
    sizes = np.bincount(labels.ravel())[1:]
    # Pieces of under 4 voxels are noise.
    pieces = np.sort(sizes[sizes >= 4])
    slices = np.isin(labels, np.flatnonzero(sizes >= 4) + 1).any((1, 2))
    return bool(
        len(pieces) >= 10
        and pieces.sum() > 3e-4 * body.sum()
        and pieces[-2:].sum() < 0.5 * pieces.sum()
        and slices.sum() >= 0.5 * body.any((1, 2)).sum()
    )
