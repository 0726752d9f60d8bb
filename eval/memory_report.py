"""What an evaluation of memory found, by category and conversation, as JSON and as Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from eval.measures import latency
from eval.memory import BUDGET, BUDGETS, MemoryRun, Outcome
from eval.reports.write import write_files

Row = dict[str, Any]

_KEYS = [f"{name}@{budget}" for budget in BUDGETS for name in ("text", "prompt")] + ["turns"]
ANSWERABLE = "answerable"
"""All categories whose questions have an answer, together; in LoCoMo 1 to 4."""


def report(run: MemoryRun, *, name: str) -> dict[str, Any]:
    """Return the figures: `evidence` pools the evidence turns of a group, `per_question` is the mean of each question's share.

    Shares are None where there is nothing to count. Questions without evidence count in answers only.
    """
    return {
        "file": name,
        "conversations": len(run.stored),
        "questions": len(run.outcomes),
        "unknown_evidence": sum(one.question.unknown for one in run.outcomes),
        "evidence": {group: _evidence(some) for group, some in _groups(run.outcomes).items()},
        "per_question": {group: _per_question(some) for group, some in _groups(run.outcomes).items()},
        "by_conversation": {
            one.conversation: _evidence([o for o in run.outcomes if o.conversation == one.conversation and o.question.answerable])
            for one in run.stored
        },
        "answers": {group: _answers(some) for group, some in _groups(run.outcomes).items()},
        "facts": _facts(run),
        "latency_ms": _latency(run),
        "stored": [asdict(one) for one in run.stored],
    }  # fmt: skip


def _groups(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    groups: dict[str, list[Outcome]] = {ANSWERABLE: []}
    for one in sorted(outcomes, key=lambda o: o.question.category):
        if one.question.answerable:
            groups[ANSWERABLE].append(one)
        groups.setdefault(one.question.category, []).append(one)
    return groups


def _evidence(outcomes: Sequence[Outcome]) -> Row:
    judged = [one for one in outcomes if one.question.evidence]
    turns = sum(len(one.question.evidence) for one in judged)
    return {"turns": turns} | {f"in_{key}": _share(sum(one.found[key] for one in judged), turns) for key in _KEYS}


def _per_question(outcomes: Sequence[Outcome]) -> Row:
    judged = [one for one in outcomes if one.question.evidence]
    return {"questions": len(judged)} | {
        f"in_{key}": _mean(judged, lambda one: one.found[key] / len(one.question.evidence)) for key in _KEYS  # noqa: B023
    }  # fmt: skip


def _answers(outcomes: Sequence[Outcome]) -> Row:
    gold = [one for one in outcomes if one.question.answers]
    said = [one for one in gold if one.answer is not None]
    tried = [one for one in outcomes if one.answer is not None]
    return {
        "questions": len(outcomes),
        f"told_in_{BUDGET}": _mean(gold, lambda one: float(one.told)),
        "contained": _mean(said, lambda one: float(one.contained)),
        "token_f1": _mean(said, lambda one: one.f1),
        "abstained": _mean(tried, lambda one: float(not one.answer)),
    }


def _facts(run: MemoryRun) -> Row:
    stored = run.stored
    turns, facts = sum(one.turns for one in stored), sum(one.facts for one in stored)
    newest = [one.newest_first for one in run.outcomes if one.newest_first is not None]
    return {
        "turns": turns,
        "facts": facts,
        "per_100_turns": _share(100 * facts, turns),
        "duplicate_share": _share(sum(one.duplicates for one in stored), facts),
        "doubtful_share": _share(sum(one.doubtful for one in stored), facts),
        "closed": sum(one.closed for one in stored),
        "conflicts": sum(one.conflicts for one in stored),
        "new_after_the_same_again": sum(one.again for one in stored),
        "newest_before_outdated": _share(sum(newest), len(newest)),
    }


def _latency(run: MemoryRun) -> Row:
    found: Row = {f"recall_{key}": value for key, value in latency([one.ms for one in run.outcomes]).items()}
    for one in sorted(run.stored, key=lambda one: one.turns + one.facts):
        found[f"{one.conversation}: recall / embedding at {one.turns + one.facts} items"] = (
            f"{one.recall_ms:.1f} / {one.embed_ms:.1f}"
        )
    return found


def written(run: MemoryRun, folder: Path, *, name: str) -> None:
    """Write report.json, report.md and questions.jsonl: all of them or none, readable by their owner alone."""
    found = report(run, name=name)
    rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in question_rows(run))
    files = {"report.json": json.dumps(found, indent=2) + "\n", "report.md": markdown(found), "questions.jsonl": rows}
    write_files(folder, files)


def question_rows(run: MemoryRun) -> list[Row]:
    """Return one row a question, for a file of JSON Lines; it holds the questions' and the answers' text."""
    return [
        {
            "conversation": one.conversation,
            "id": one.question.id,
            "category": one.question.category,
            "question": one.question.text,
            "evidence": list(one.question.evidence),
            "found": dict(one.found),
            "answer": one.answer,
            "answers": list(one.question.answers),
            "ms": round(one.ms, 2),
        }
        for one in run.outcomes
    ]


def markdown(found: Mapping[str, Any]) -> str:
    """Return the report's groups as Markdown tables."""
    parts = [f"# Memory on {found['file']}", f"{found['conversations']} conversations, {found['questions']} questions."]
    for name in ("evidence", "per_question", "by_conversation", "answers"):
        group: Mapping[str, Row] = found[name]
        keys = list(next(iter(group.values()), {}))
        parts += [
            f"## {name.replace('_', ' ').capitalize()}",
            _table(["", *keys], [[key, *row.values()] for key, row in group.items()]),
        ]
    for name in ("facts", "latency_ms"):
        parts += [
            f"## {name.replace('_', ' ').capitalize()}",
            _table(["", ""], [list(pair) for pair in found[name].items()]),
        ]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value).replace("|", "\\|")


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(outcomes: Sequence[Outcome], value: Callable[[Outcome], float]) -> float | None:
    return fmean(map(value, outcomes)) if outcomes else None
