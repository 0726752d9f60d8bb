"""report.md: what a pull-request comment needs. No answer and no passage is in it: a pull request has more readers than the documents."""

from __future__ import annotations

import re
from collections.abc import Sequence

from eval.gate_result import GateResult, MetricResult
from eval.gates import Gates
from eval.report import table
from eval.reports.changes import Change, changed, changes, loss, moved, outcome_words
from eval.reports.model import Context, Question
from eval.reports.texts import clip, figure
from eval.reports.words import headline, settling

MOST_CHARACTERS = 60_000
"""Comments hold 65,536 on GitHub."""

_MARK = {"PASS": "✅", "FAIL": "❌", "INCONCLUSIVE": "❔"}

_MOST_METRICS = 40
_MOST_WORST = 15

_REFERENCE = re.compile(r"([@#!~%&$^*])(?=[\w\"])|(:)(?=//)|(\bwww)(?=\.)|(\bGH)(?=-\d)", re.IGNORECASE)
"""What GitHub and GitLab turn into mentions, references, commands and links, also where Markdown has it escaped."""


def report_markdown(result: GateResult, questions: Sequence[Question], context: Context) -> str:
    """Return report.md, verdict first, of fewer than `MOST_CHARACTERS`; whatever is cut is named and is in report.html."""
    rows = [(question, changes(question, context.gates)) for question in questions]
    different = [(question, row) for question, row in rows if changed(question, row)]
    worst = sorted(
        ((question, row) for question, row in different if loss(row, context.gates) > 0),
        key=lambda pair: -loss(pair[1], context.gates),
    )
    for most in range(_MOST_WORST, -1, -5):
        text = "\n".join(
            [*_head(result, context), *_metrics(result, context.gates), *_worst(worst, len(different), most)]
        )
        if len(text) < MOST_CHARACTERS:
            return text
    return text[: MOST_CHARACTERS - 200].rsplit("\n", 1)[0] + "\n\nThe rest is in report.html.\n"


def escape(text: str, most: int = 300) -> str:
    """Return text on one line that Markdown shows as it is: no markup, HTML, mention, reference, command or link."""
    line = _REFERENCE.sub(lambda found: found.group(0) + "\u200b", clip(text, most))
    line = re.sub(r"([\\`*_{}\[\]~])", r"\\\1", line.replace("&", "&amp;"))
    return line.replace("<", "&lt;").replace(">", "&gt;")


def code(text: str, most: int = 80) -> str:
    """Return text as a code span, in which nothing is markup."""
    return "`" + (clip(text, most).replace("`", "'") or " ") + "`"


def _head(result: GateResult, context: Context) -> list[str]:
    verdict = str(result.verdict)
    lines = [f"## {_MARK[verdict]} {verdict}: {escape(headline(result))}\n"]
    if reasons := [f"- {escape(reason, 400)}" for reason in result.reasons[:10]]:
        lines.append("\n".join(reasons) + "\n")
    if len(result.reasons) > 10:
        lines.append(f"{len(result.reasons) - 10} more reasons are in report.html.\n")
    if settle := settling(result):
        lines.append(f"**{settle}**\n")
    lines.append(f"Candidate {code(result.candidate)} against {code(result.baseline)} on {code(result.dataset)}.\n")
    fields = [
        (code(name), escape(str(before), 100), escape(str(after), 100))
        for name, (before, after) in list(context.diff.items())[:15]
    ]
    if fields:
        lines.append(table(("differs in", "baseline", "candidate"), fields))
    return lines


def _metrics(result: GateResult, gates: Gates) -> list[str]:
    header = (
        "metric",
        "verdict",
        "baseline",
        "candidate",
        "difference",
        f"{1 - gates.alpha:.0%} interval",
        "mde",
        "judged",
    )
    metrics = list(result.metrics.values())
    lines = [table(header, [_metric(metric) for metric in metrics[:_MOST_METRICS]])]
    if len(metrics) > _MOST_METRICS:
        lines.append(f"{len(metrics) - _MOST_METRICS} more metrics are in report.html.\n")
    return lines


def _metric(metric: MetricResult) -> tuple[str, ...]:
    interval = " to ".join(figure(end, sign=True) for end in metric.interval) if metric.interval else "-"
    verdict = str(metric.verdict)
    return (
        code(metric.metric),
        f"{_MARK[verdict]} {verdict}",
        figure(metric.baseline),
        figure(metric.candidate),
        figure(metric.difference, sign=True),
        interval,
        figure(metric.mde),
        f"{metric.coverage:.1%} of {metric.questions}",
    )


def _worst(worst: Sequence[tuple[Question, list[Change]]], different: int, most: int) -> list[str]:
    lines = [f"{different} questions changed, {len(worst)} of them for the worse.\n"]
    shown = [
        (code(question.id, 40), escape(question.question, 160), code(question.principal, 40), outcome_words(question),
         ", ".join(_scores(row)))
        for question, row in worst[:most]
    ]  # fmt: skip
    if shown:
        lines += ["### The worst\n", table(("id", "question", "asked by", "answer", "scores"), shown)]
    lines.append("Answers, passages and plots are in report.html.\n")
    return lines


def _scores(rows: Sequence[Change]) -> list[str]:
    losses = [row for row in moved(rows) if row.gain is None or row.gain < 0]
    return [f"{code(row.metric, 40)} {figure(row.baseline)} → {figure(row.candidate)}" for row in losses[:6]]
