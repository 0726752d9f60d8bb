"""Figures as coordinates: pure arithmetic, in the units of an SVG's viewBox; the template draws them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from eval.gate_result import MetricResult
from eval.gates import Rule
from eval.reports.model import Curve
from eval.reports.texts import figure

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps [low, high] onto [start, end], linearly."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.start + min(max(share, 0.0), 1.0) * (self.end - self.start), 2)


@dataclass(frozen=True, slots=True)
class IntervalChart:
    """A difference with its interval. `refused`: stretches (x, width) that the gate does not allow; `bounds` their borders."""

    zero: float
    low: float
    high: float
    point: float
    bounds: tuple[float, ...]
    refused: tuple[tuple[float, float], ...]
    mde: float | None
    ticks: tuple[tuple[float, str], ...]
    label: str


INTERVAL_WIDTH = 260


def interval_chart(metric: MetricResult, rule: Rule) -> IntervalChart | None:
    """Return the chart of one metric, None where there is no interval. The bad side is on the left or right, as the figures say."""
    if metric.interval is None or metric.difference is None:
        return None
    low, high = metric.interval
    bad = 1 if rule.lower else -1
    bounds = _bounds(metric, rule)
    mde = bad * metric.mde if metric.mde is not None else None
    shown = [0.0, low, high, *bounds.values()]
    reach = max(map(abs, shown)) or 0.01
    if mde is not None and abs(mde) <= 4 * reach:  # beyond, the interval would shrink to a dot
        shown.append(mde)
    else:
        mde = None
    room = 0.08 * (max(shown) - min(shown) or reach)
    x = Scale(min(shown) - room, max(shown) + room, 0, INTERVAL_WIDTH)
    refused = [
        (0.0, x(bound)) if bad_side < 0 else (x(bound), round(INTERVAL_WIDTH - x(bound), 2))
        for (_, bad_side), bound in bounds.items()
    ]
    ends = [(x(value), figure(value, sign=True)) for value in (low, high)]
    named = "; ".join(f"{name} at {figure(bound, sign=True)}" for (name, _), bound in bounds.items())
    label = (
        f"{metric.metric}: difference {figure(metric.difference, sign=True)}, "
        f"interval {figure(low, sign=True)} to {figure(high, sign=True)}" + (f"; {named}" if named else "")
    )
    return IntervalChart(
        zero=x(0),
        low=x(low),
        high=x(high),
        point=x(metric.difference),
        bounds=tuple(x(bound) for bound in bounds.values()),
        refused=tuple(refused),
        mde=x(mde) if mde is not None else None,
        ticks=tuple(ends),
        label=label,
    )


def _bounds(metric: MetricResult, rule: Rule) -> dict[tuple[str, int], float]:
    """Return the gate's bounds as differences from the baseline, by name and the side that is refused (-1 below, 1 above)."""
    found: dict[tuple[str, int], float] = {}
    if rule.max_drop is not None:
        bad = 1 if rule.lower else -1
        found["max_drop", bad] = bad * rule.max_drop
    if metric.baseline is None:
        return found
    if rule.max_ratio is not None:
        found["max_ratio", 1] = metric.baseline * (rule.max_ratio - 1)
    if rule.min is not None:
        found["min", -1] = rule.min - metric.baseline
    if rule.max is not None:
        found["max", 1] = rule.max - metric.baseline
    return found


@dataclass(frozen=True, slots=True)
class Histogram:
    """Paired differences of the questions that changed in a metric; `bars` are (x, y, width, height, is a gain, questions)."""

    metric: str
    bars: tuple[tuple[float, float, float, float, bool, int], ...]
    zero: float
    low: str
    high: str
    worse: int
    same: int
    better: int
    failed: int
    label: str


HISTOGRAM = (220, 90)
_BINS = 20


def histogram(metric: str, differences: Sequence[float | None], *, lower: bool) -> Histogram | None:
    """Return the histogram of candidate - baseline over the questions that changed; None where the metric is about none.

    Args:
        differences: one a question; None is a judgement that failed on either side.
    """
    if not differences:
        return None
    known = [value for value in differences if value is not None]
    moved = [value for value in known if value]
    worse = sum((value > 0) == lower for value in moved)
    reach = max(map(abs, moved), default=1.0)
    width, height = HISTOGRAM
    counts = [0] * _BINS
    for value in moved:
        counts[min(int((value / reach + 1) / 2 * _BINS), _BINS - 1)] += 1
    tallest = max(counts) or 1
    wide = width / _BINS
    bars = [
        (round(place * wide + 0.5, 2), round(height * (1 - count / tallest), 2), round(wide - 1, 2),
         round(height * count / tallest, 2), (place >= _BINS // 2) != lower, count)
        for place, count in enumerate(counts) if count
    ]  # fmt: skip
    same, failed = len(known) - len(moved), len(differences) - len(known)
    better = len(moved) - worse
    return Histogram(
        metric=metric,
        bars=tuple(bars),
        zero=width / 2,
        low=figure(-reach, sign=True),
        high=figure(reach, sign=True),
        worse=worse,
        same=same,
        better=better,
        failed=failed,
        label=f"{metric}: {worse} questions worse, {same} the same, {better} better, {failed} not judged",
    )


@dataclass(frozen=True, slots=True)
class Line:
    """A named polyline; `points` as an SVG attribute; `end` is its last point."""

    name: str
    points: str
    end: Point


@dataclass(frozen=True, slots=True)
class LineChart:
    """Lines over common axes; ticks are (position, text)."""

    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    label: str


LINES = (420, 180)


def risk_coverage_chart(curves: Mapping[str, Curve]) -> LineChart | None:
    """Return risk (share of wrong answers among those given) over coverage (share of questions answered)."""
    curves = {name: curve for name, curve in curves.items() if curve}
    if not curves:
        return None
    width, height = LINES
    most = max(risk for curve in curves.values() for _, risk in curve) or 0.01
    x, y = Scale(0, 1, 0, width), Scale(0, most, height, 0)
    lines = [_line(name, [(x(coverage), y(risk)) for coverage, risk in curve]) for name, curve in curves.items()]
    x_ticks = [(x(share), f"{share:.0%}") for share in (0, 0.25, 0.5, 0.75, 1)]
    y_ticks = [(y(share * most), f"{share * most:.1%}") for share in (0, 0.5, 1)]
    return LineChart(tuple(lines), tuple(x_ticks), tuple(y_ticks), "Risk over coverage: " + ", ".join(curves))


def latency_chart(milliseconds: Mapping[str, Iterable[float]]) -> LineChart | None:
    """Return the share of questions answered within so many milliseconds, on a logarithmic axis; questions without a time are left out."""
    sorted_times = {name: sorted(value for value in values if value > 0) for name, values in milliseconds.items()}
    sorted_times = {name: values for name, values in sorted_times.items() if values}
    if not sorted_times:
        return None
    width, height = LINES
    low = math.floor(math.log10(min(values[0] for values in sorted_times.values())))
    high = max(low + 1, math.ceil(math.log10(max(values[-1] for values in sorted_times.values()))))
    x, y = Scale(low, high, 0, width), Scale(0, 1, height, 0)
    lines = []
    for name, values in sorted_times.items():
        step = max(1, len(values) // 200)
        places = [*range(0, len(values) - 1, step), len(values) - 1]
        lines.append(_line(name, [(x(math.log10(values[place])), y((place + 1) / len(values))) for place in places]))
    x_ticks = [(x(power), _milliseconds(10.0**power)) for power in range(low, high + 1)]
    y_ticks = [(y(share), f"{share:.0%}") for share in (0, 0.5, 0.95)]
    return LineChart(tuple(lines), tuple(x_ticks), tuple(y_ticks), "Latency: " + ", ".join(sorted_times))


def _line(name: str, points: Sequence[Point]) -> Line:
    return Line(name, " ".join(f"{x:g},{y:g}" for x, y in points), points[-1])


def _milliseconds(value: float) -> str:
    return f"{value / 1000:g} s" if value >= 1000 else f"{value:g} ms"
