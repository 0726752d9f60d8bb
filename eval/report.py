"""Reports as Markdown. Figures keep their counts, so a reader sees how much each one rests on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table that ends in a newline; floats get three decimals, None a dash, bars are escaped."""
    lines = [_row(header), _row(["---"] * len(header)), *(_row([_cell(value) for value in row]) for row in rows)]
    return "\n".join(lines) + "\n"


def answers_markdown(summary: Mapping[str, Any], wrong: Sequence[Mapping[str, Any]]) -> str:
    """Return report.md of an answer run.

    Args:
        summary: the JSON of an AnswerReport.
        wrong: the records that did not come out right, in dataset order.
    """
    figures = [(name, _count(figure), figure["value"]) for name, figure in summary["figures"].items()]
    tags = [(name, _count(figure), figure["value"]) for name, figure in summary["right_by_tag"].items()]
    parts = [
        f"# Answers: {summary['dataset']}\n",
        f"{summary['questions']} questions to collection `{summary['collection']}`.\n",
        table(("figure", "count", "share"), figures),
        table(("mean over answerable", "value"), summary["means"].items()),
        table(("latency", "ms"), summary["latency_ms"].items()),
    ]
    if tags:
        parts += ["## Right, by tag\n", table(("tag", "count", "share"), tags)]
    if wrong:
        columns = ("id", "principal", "question", "outcome")
        parts += [
            "## Not right\n",
            table(columns, [(*(row[name] for name in columns[:3]), _outcome(row)) for row in wrong]),
        ]
    return "\n".join(parts)


def _outcome(record: Mapping[str, Any]) -> str:
    if record["error"]:
        return f"failed: {record['error']}"
    if record["abstained"]:
        return "abstained"
    if not record["answerable"]:
        return "answered, should have abstained"
    return f"{record['facts_present']} of {record['facts']} facts"


def _count(figure: Mapping[str, Any]) -> str:
    return f"{figure['count']}/{figure['of']}"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
