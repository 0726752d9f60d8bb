"""trend.html: one line a metric over past gates."""

from __future__ import annotations

from dataclasses import dataclass

from eval.reports.charts import Point, Scale
from eval.reports.page import render
from eval.reports.texts import figure
from eval.trend import Run, Trend

WIDTH, HEIGHT = 420.0, 110.0


@dataclass(frozen=True, slots=True)
class Dot:
    """One run of a metric; `low`, `high` are the ends of its interval."""

    at: Point
    low: float
    high: float
    verdict: str
    label: str


@dataclass(frozen=True, slots=True)
class MetricLine:
    """A metric's values by run. One polyline for each stretch of runs on the same dataset version: others do not compare."""

    metric: str
    lines: tuple[str, ...]
    dots: tuple[Dot, ...]
    low: str
    high: str
    last: str


def trend_html(trend: Trend) -> str:
    """Return the page: the table of runs, and the lines. It holds figures and names only."""
    lines = [line for metric in trend.metrics if (line := _line(metric, trend))]
    return render("trend.html", trend=trend, lines=lines, width=WIDTH, height=HEIGHT)


def _line(metric: str, trend: Trend) -> MetricLine | None:
    known = [
        (place, run, value.candidate, value.interval or (value.candidate, value.candidate), value.verdict)
        for place, run in enumerate(trend.runs)
        if (value := run.metrics.get(metric)) is not None and value.candidate is not None
    ]
    if not known:
        return None
    low = min(min(candidate, ends[0]) for _, _, candidate, ends, _ in known)
    high = max(max(candidate, ends[1]) for _, _, candidate, ends, _ in known)
    x, y = Scale(0, len(trend.runs) - 1, 6, WIDTH - 6), Scale(low, high, HEIGHT, 0)
    dots: list[Dot] = []
    stretches: dict[str, list[str]] = {}
    for place, run, candidate, ends, verdict in known:
        at = (x(place), y(candidate))
        dots.append(Dot(at, y(ends[0]), y(ends[1]), verdict, _label(run, candidate, verdict)))
        stretches.setdefault(run.dataset, []).append(f"{at[0]:g},{at[1]:g}")
    lines = tuple(" ".join(points) for points in stretches.values() if len(points) > 1)
    return MetricLine(metric, lines, tuple(dots), figure(low), figure(high), figure(known[-1][2]))


def _label(run: Run, candidate: float, verdict: str) -> str:
    return f"{run.created}: {figure(candidate)}, {verdict}, {run.candidate} on {run.dataset}"
