"""report.html: one file that asks for nothing beyond itself. Everything is escaped by the template; a strict policy backs that."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from eval.amounts import row_name
from eval.gate_result import GateResult, MetricResult
from eval.gates import LOWER_IS_BETTER, Gates, Rule
from eval.reports import charts
from eval.reports.changes import Change, changed, changes, is_amount, loss, lower_is_better, moved, outcome_words
from eval.reports.model import Context, Question, Side
from eval.reports.texts import Pieces, chance, clean, compared, figure, marked
from eval.reports.words import headline, settling

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A line of the metric table; `bounds` in the words of gates.yaml."""

    result: MetricResult
    bounds: str
    chart: charts.IntervalChart | None


@dataclass(frozen=True, slots=True)
class PassageView:
    """A passage as shown; `pieces` is None where the baseline's column shows the same one already."""

    rank: int
    document_id: str
    title: str
    where: str
    pieces: Pieces | None
    cited: bool
    alone: bool


@dataclass(frozen=True, slots=True)
class SideView:
    """One column of a question."""

    name: str
    side: Side
    answer: Pieces
    passages: tuple[PassageView, ...]


@dataclass(frozen=True, slots=True)
class QuestionView:
    """A question as shown; one column where both sides are the same. `worse`, `better` are JSON lists of metrics, for the filter."""

    question: Question
    changed: bool
    outcome: str
    rows: tuple[Change, ...]
    moved: tuple[Change, ...]
    worse: str
    better: str
    failed: bool
    sides: tuple[SideView, ...]


def report_html(result: GateResult, questions: Sequence[Question], context: Context) -> str:
    """Return report.html: verdict, metrics, plots, then every question, worst first and else in the dataset's order."""
    gates = context.gates
    rows = [changes(question, gates) for question in questions]
    order = sorted(range(len(questions)), key=lambda place: (-max(0.0, loss(rows[place], gates)), place))
    views = [_question(questions[place], rows[place]) for place in order]
    rules = {rule.metric: rule for rule in gates.rules}
    return render(
        "report.html",
        result=result,
        context=context,
        headline=headline(result),
        settling=settling(result),
        confidence=f"{1 - gates.alpha:.0%}",
        metrics=[_metric(metric, rules.get(metric.metric)) for metric in result.metrics.values()],
        histograms=_histograms(rows, gates),
        latency=charts.latency_chart(
            {
                "baseline": [question.baseline.latency_ms for question in questions],
                "candidate": [question.candidate.latency_ms for question in questions],
            }
        ),
        risk=charts.risk_coverage_chart(context.risk_coverage),
        seconds=_shares(context.seconds),
        questions=views,
        changed=sum(view.changed for view in views),
        principals=sorted({question.principal for question in questions}),
        tags=sorted({tag for question in questions for tag in question.tags}),
        moving=sorted({row.metric for view in views for row in view.moved}),
    )


def render(template: str, **values: Any) -> str:
    """Fill a template of `eval/templates`; its style and script are named in the content policy by their hashes."""
    from markupsafe import Markup

    style, script = _resource("report.css"), _resource("report.js")
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    page = _environment().get_template(template)
    return page.render(policy=policy, style=Markup(style), script=Markup(script), **values)  # files of ours, no input


def _resource(name: str) -> str:
    source, _, _ = _environment().loader.get_source(_environment(), name)  # type: ignore[union-attr]
    return source


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("eval", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: clean(value) if type(value) is str else value,
    )
    environment.filters |= {
        "figure": figure,
        "chance": chance,
        "json": lambda value: json.dumps(value, ensure_ascii=False, default=str),
    }
    environment.globals |= {
        "INTERVAL_WIDTH": charts.INTERVAL_WIDTH,
        "HISTOGRAM": charts.HISTOGRAM,
        "LINES": charts.LINES,
    }
    return environment


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _metric(metric: MetricResult, rule: Rule | None) -> MetricRow:
    if rule is None:
        return MetricRow(metric, "", None)
    bounds = [
        f"{name} {value:g}"
        for name in ("min", "max", "max_drop", "max_ratio")
        if (value := getattr(rule, name)) is not None
    ]
    return MetricRow(metric, ", ".join(bounds), charts.interval_chart(metric, rule))


def _histograms(rows: Sequence[Sequence[Change]], gates: Gates) -> list[charts.Histogram]:
    lower = lower_is_better(gates)
    names = list(dict.fromkeys(row.metric for question in rows for row in question))
    names.sort(key=lambda name: list(lower).index(name) if name in lower else len(lower))
    found = []
    for name in names:
        differences = [_difference(row) for question in rows for row in question if row.metric == name]
        down = lower.get(name, name in LOWER_IS_BETTER or is_amount(name))
        if plot := charts.histogram(name, differences, lower=down):
            found.append(plot)
    return found


def _difference(row: Change) -> float | None:
    return row.candidate - row.baseline if row.candidate is not None and row.baseline is not None else None


def _shares(seconds: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """Return (stage, seconds, share of the longest stage)."""
    longest = max(seconds.values(), default=0.0)
    return [(stage, value, value / longest if longest else 0.0) for stage, value in seconds.items()]


def _question(question: Question, rows: Sequence[Change]) -> QuestionView:
    moves = moved(rows)
    return QuestionView(
        question=question,
        changed=changed(question, rows),
        outcome=outcome_words(question),
        rows=tuple(rows),
        moved=tuple(moves),
        worse=_names(row for row in moves if (row.gain is None and row.candidate is None) or (row.gain or 0) < 0),
        better=_names(row for row in moves if (row.gain is None and row.candidate is not None) or (row.gain or 0) > 0),
        failed=bool(question.baseline.error or question.candidate.error) or any(row.gain is None for row in rows),
        sides=_sides(question, moves),
    )


def _names(rows: Iterable[Change]) -> str:
    return json.dumps([row_name(row.metric) for row in rows], ensure_ascii=False)


def _sides(question: Question, moves: Sequence[Change]) -> tuple[SideView, ...]:
    before, after = question.baseline, question.candidate
    first, second = marked(before.answer, ()), marked(after.answer, ())
    if before.abstained == after.abstained:
        first, second = compared(before.answer, after.answer)
    if not moves and (before.answer, before.error, before.passages) == (after.answer, after.error, after.passages):
        return (SideView("both", after, second, _passages(after, None, repeat=True)),)
    return (
        SideView("baseline", before, first, _passages(before, after, repeat=True)),
        SideView("candidate", after, second, _passages(after, before, repeat=False)),
    )


def _passages(side: Side, other: Side | None, *, repeat: bool) -> tuple[PassageView, ...]:
    """Show a side's passages; without `repeat` the text of those that the other column shows in full is left out."""
    theirs = other.passages if other else ()
    places = {(passage.document_id, passage.start, passage.end) for passage in theirs}
    return tuple(
        PassageView(
            rank=rank,
            document_id=passage.document_id,
            title=passage.title,
            where=f"{passage.start}-{passage.end}",
            pieces=marked(passage.text, passage.support)
            if repeat or passage.cited or passage.support or not _shown(passage.text, theirs)
            else None,
            cited=passage.cited,
            alone=other is not None and (passage.document_id, passage.start, passage.end) not in places,
        )
        for rank, passage in enumerate(side.passages, start=1)
    )


def _shown(text: str, theirs: Iterable[Any]) -> bool:
    return any(passage.text == text for passage in theirs)
