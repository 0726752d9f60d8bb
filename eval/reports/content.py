"""report.json: the gate's result, what was compared, and every score. No text of any document and no answer is in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from eval.amounts import is_time
from eval.gate_metrics import worst_of
from eval.gate_result import GateResult, needed_of
from eval.reports.changes import changed, changes, finite
from eval.reports.model import Context, Question, Side
from eval.reports.texts import clean

_DIGITS = 6

_PASSING = ("live", "gate")
"""Fields of a release's description that say what became of it, not what it is."""


def report_json(result: GateResult, questions: Sequence[Question], context: Context) -> str:
    """Return report.json: equal input gives equal bytes, and what differs between two runs is in `times` at its end.

    The contract puts gated latencies into the head, where they may decide; `timeless` is what is left without them, and `digest` is of that:
    the same in every run of the same releases, dataset and gates, whatever the concurrency.
    """
    report = result.to_json()
    report["gate"] = {
        "alpha": context.gates.alpha,
        "power": context.gates.power,
        "resamples": context.gates.resamples,
        "seed": context.gates.seed,
        "metrics": {rule.metric: _without_none(asdict(rule)) for rule in context.gates.rules},
    }
    report["releases"] = {
        "baseline": _lasting(context.baseline),
        "candidate": _lasting(context.candidate),
        "diff": {name: list(values) for name, values in context.diff.items()},
    }
    report["per_question"] = [_row(question, context) for question in questions]
    report["digest"] = hashlib.sha256(json.dumps(timeless(report), default=str).encode()).hexdigest()
    report["times"] = {
        "created": context.created,
        "seconds": {stage: round(seconds, 3) for stage, seconds in context.seconds.items()},
        "questions": {
            question.id: {"baseline": _times(question.baseline), "candidate": _times(question.candidate)}
            for question in questions
        },
    }
    return clean(json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False, default=str)) + "\n"


def timeless(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two runs of the same releases, dataset and gates have in common: the report as if no time had been gated."""
    rest = {name: value for name, value in report.items() if name not in ("times", "digest")}
    metrics = {name: value for name, value in report["metrics"].items() if not is_time(name)}
    verdict = worst_of([metric["verdict"] for metric in metrics.values()])
    needed = needed_of([(metric["needed"], metric["questions"]) for metric in metrics.values()], report["questions"])
    reasons = [f"{name}: {metric['reason']}" for name, metric in metrics.items() if metric["verdict"] == verdict]
    return rest | {"verdict": verdict.value, "reasons": reasons, "needed": needed, "metrics": metrics}


def _row(question: Question, context: Context) -> dict[str, Any]:
    return {
        "id": question.id,
        "principal": question.principal,
        "tags": list(question.tags),
        "changed": changed(question, changes(question, context.gates)),
        "baseline": _side(question.baseline),
        "candidate": _side(question.candidate),
    }


def _side(side: Side) -> dict[str, Any]:
    scores = {name: _rounded(value) for name, value in sorted(side.scores.items()) if not is_time(name)}
    return {"abstained": side.abstained, "failed": bool(side.error), "scores": scores}


def _times(side: Side) -> dict[str, float | None]:
    scores = {name: _rounded(value) for name, value in sorted(side.scores.items()) if is_time(name)}
    return {"latency_ms": _rounded(side.latency_ms)} | scores


def _lasting(release: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in release.items() if name not in _PASSING}


def _without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None and name != "metric"}


def _rounded(value: float | None) -> float | None:
    value = finite(value)
    return None if value is None else round(value, _DIGITS) + 0.0
