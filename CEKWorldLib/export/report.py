"""The report: one HTML page that holds everything, to read, print and file."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

from CEKWorldLib import __version__
from CEKWorldLib.exam.time_series import TimeSeries
from CEKWorldLib.export.atomic import replacing
from CEKWorldLib.export.kinetic_plot import write_kinetic_plot
from CEKWorldLib.export.region_picture import write_region_picture
from CEKWorldLib.export.sample_picture import write_sample_picture
from CEKWorldLib.export.style import ACQUIRED, CAUTION, RESEARCH, SYNTHETIC
from CEKWorldLib.export.type_colours import Palette
from CEKWorldLib.kinetics.curve_type import CurveType
from CEKWorldLib.kinetics.quantities import QUANTITIES
from CEKWorldLib.kinetics.roi import RoiResult
from CEKWorldLib.kinetics.uncertainty import MapUncertainty

# Nothing is loaded from anywhere, and no script runs: the page is safe to open and the same for ever.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_MODEL_FACTS = {"model": "Model", "model_sha256": "Weights (sha256)", "seed": "Seed"}
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, "Segoe UI", Roboto, sans-serif; color: #222; background: #fff;
       max-width: 1080px; margin: 0 auto; padding: 24px; }
header { border-bottom: 3px solid var(--mark); padding-bottom: 10px; }
h1 { font-size: 24px; margin: 0 0 6px; } h2 { font-size: 18px; margin: 28px 0 8px; } p { margin: 6px 0; }
.mark { display: inline-block; background: var(--mark); color: #fff; font-weight: 700; letter-spacing: .06em;
        padding: 2px 10px; border-radius: 3px; margin-right: 8px; }
.synthetic { --mark: #c4460a; } .acquired { --mark: #44546a; }
img { max-width: 100%; display: block; margin: 8px 0; }
table { border-collapse: collapse; font-size: 13.5px; margin: 8px 0; }
th, td { border-bottom: 1px solid #ddd; padding: 3px 14px 3px 0; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
footer { margin-top: 32px; border-top: 1px solid #bbb; padding-top: 8px; font-size: 13px; color: #555; }
@media print {
  @page { size: A4; margin: 14mm; } body { padding: 0; font-size: 11pt; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  section, figure, tr, img { break-inside: avoid; } h2 { break-after: avoid; } .wide { overflow: visible; }
}
"""


def write_report(
    path: Path | str,
    series: TimeSeries,
    results: Sequence[RoiResult],
    facts: Mapping[str, str] | None = None,
    palette: Palette = "standard",
    spread: MapUncertainty | None = None,
) -> None:
    """Writes curves, pictures, statistics and settings of regions.

    The page holds nothing of the patient but what the images show; whoever wants a name on it gives it as a fact.

    Args:
        path: HTML to write.
        series: what was measured.
        results: one per region, under one settings object.
        facts: what else is to be said of the series, by the words to show.
        palette: colours of the curve types.
        spread: maps of several samples with the enhancement at t_e; None draws none.

    Raises:
        CEKWorldError: the file cannot be written.
    """
    with TemporaryDirectory(prefix="cekworld-report-") as folder:
        plot = Path(folder, "curves.png")
        write_kinetic_plot(plot, results, series.synthetic)
        curves = _picture(plot, "Percent enhancement of each region over time")
        regions = "".join(
            _region(result, _region_pictures(Path(folder), series, result, palette, spread)) for result in results
        )
    word = SYNTHETIC if series.synthetic else ACQUIRED
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{word}: enhancement kinetics</title>
<style>{_STYLE}</style>
</head>
<body class="{word.lower()}">
<header>
<h1>Enhancement kinetics</h1>
<p><span class="mark">{word}</span>{escape(CAUTION if series.synthetic else RESEARCH)}</p>
</header>
<section><h2>Series</h2>{_table(_series_rows(series, facts or {}, _zero(results[0])))}{_list(series.notes)}</section>
<section><h2>Curves</h2>{curves}</section>
{regions}
<section><h2>Definitions</h2>{_definitions(results[0])}</section>
<section><h2>Curve values</h2>{_curve_values(results)}</section>
<footer>{word}. CEKWorld {__version__}, {datetime.now():%Y-%m-%d %H:%M}. Research software, not a medical device;
not for diagnosis or treatment. It makes no statement on whether a lesion is benign or malignant.</footer>
</body>
</html>
"""
    with replacing(Path(path)) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _region(result: RoiResult, picture: str) -> str:
    shares = ", ".join(f"{kind.name.lower()} {share:.0f} %" for kind, share in result.type_shares.items())
    rows = [
        ("Initial phase", result.initial_phase.name.lower() if result.initial_phase else "not evaluable"),
        ("Delayed phase", _judgement(result)),
        (
            "Voxels",
            f"{result.voxels} ({_number(result.volume_mm3, 'mm³')})" if result.voxel_mm3 > 0 else f"{result.voxels}",
        ),
        ("Curve", f"{result.mode} of {result.curve_voxels} voxels"),
        ("Voxels above the gate", f"{result.enhancing_voxels}: {shares}" if result.enhancing_voxels else "none"),
        ("Worst type of a voxel", _type(result.worst_type)),
    ]
    numbers = result.statistics.numbers()
    for name, (label, unit) in QUANTITIES.items():
        if not result.from_injection:
            label = label.replace("after injection", f"after {_zero(result)}")
        rows.append((label[0].upper() + label[1:], _number(numbers[name], unit) + _spread(result, name, unit)))
    if result.reference:
        rows.append((f"Enhancement relative to {result.reference}", _number(result.relative_enhancement, "")))
    return f"<section><h2>{escape(result.name)}</h2>{picture}{_table(rows)}{_list(result.notes)}</section>"


def _judgement(result: RoiResult) -> str:
    """The type of the curve; where there are samples of it, the share of each type instead of one of them."""
    if result.uncertainty is None:
        return _type(result.curve_type)
    shares = sorted(result.uncertainty.type_shares.items(), key=lambda item: -item[1])
    named = ", ".join(f"{_type(kind)} in {share:.0f} %" for kind, share in shares if share > 0)
    return f"{named} of {result.uncertainty.samples} samples"


def _spread(result: RoiResult, name: str, unit: str) -> str:
    """Mean and standard deviation of a quantity over the samples, where there are some."""
    if result.uncertainty is None:
        return ""
    mean, sd = (_number(values[name], unit) for values in (result.uncertainty.mean, result.uncertainty.sd))
    return f" (samples: {mean}, sd {sd})"


def _region_pictures(
    folder: Path, series: TimeSeries, result: RoiResult, palette: Palette, spread: MapUncertainty | None
) -> str:
    path = folder / "region.png"
    write_region_picture(path, series, result, palette)
    pictures = _picture(path, f"{result.name}: before contrast, at t_e, at t_l, curve types")
    if spread:
        write_sample_picture(path, series, result, spread)
        pictures += _picture(path, f"{result.name}: mean and sd of {spread.samples} samples, shares of curve types")
    return pictures


def _zero(result: RoiResult) -> str:
    """What times count from."""
    return "the start of the injection" if result.from_injection else "the first phase"


def _series_rows(series: TimeSeries, facts: Mapping[str, str], zero: str) -> list[tuple[str, str]]:
    times, acquisition = series.times_s, series.acquisition
    columns_mm, rows_mm, slices_mm = series.grid.spacing
    rows = list(facts.items())
    rows += [(_MODEL_FACTS[name], value) for name, value in series.made_by.items() if name in _MODEL_FACTS]
    rows.append(("Phases", f"{len(times)}, from {times[0]:.4g} s to {times[-1]:.4g} s after {zero}"))
    if sources := dict.fromkeys(series.time_sources):
        rows.append(("Times from", ", ".join(sources)))
    rows.append(("Voxels", f"{' x '.join(map(str, series.grid.shape))} (slices x rows x columns)"))
    rows.append(("Voxel size", f"{slices_mm:.3g} x {rows_mm:.3g} x {columns_mm:.3g} mm"))
    for label, value, unit in (
        ("TR", acquisition.repetition_time_ms, "ms"),
        ("TE", acquisition.echo_time_ms, "ms"),
        ("Flip angle", acquisition.flip_angle_deg, "°"),
        ("Field strength", acquisition.field_strength_t, "T"),
    ):
        if value is not None:
            rows.append((label, _number(value, unit)))
    return rows


def _definitions(result: RoiResult) -> str:
    text = f"<p>{escape(result.settings.description())}.</p><p>Enhancement is 100 (S - S0) / S0, S0 the mean "
    text += f"signal before contrast; times count from {_zero(result)}.</p>"
    values = {name: "not given" if v is None else str(v) for name, v in result.settings.as_dict().items()}
    return text + _table(values.items())


def _curve_values(results: Sequence[RoiResult]) -> str:
    head = "<th>time (s)</th>" + "".join(
        f"<th>{escape(result.name)}: signal</th><th>enhancement (%)</th>" for result in results
    )
    rows = []
    for index, time in enumerate(results[0].times_s):
        cells = [f"{time:.6g}"]
        for result in results:
            cells += [_number(float(result.signal[index]), ""), _number(float(result.enhancement[index]), "")]
        rows.append("<tr>" + "".join(f'<td class="number">{cell}</td>' for cell in cells) + "</tr>")
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "<table>" + "".join(f"<tr><th>{escape(a)}</th><td>{escape(b)}</td></tr>" for a, b in rows) + "</table>"


def _list(sentences: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>{items}</ul>" if items else ""


def _picture(path: Path, description: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<img alt="{escape(description)}" src="data:image/png;base64,{data}">'


def _number(value: float, unit: str) -> str:
    if not math.isfinite(value):
        return "not defined"
    return f"{value:.4g} {unit}".strip() if abs(value) < 1e4 else f"{value:.0f} {unit}".strip()


def _type(kind: CurveType) -> str:
    return "not evaluable" if kind == CurveType.NONE else kind.name.lower()
