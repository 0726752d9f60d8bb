"""Bad ratings as regression cases: a question that went wrong once is asked in every gate from then on.

A rating is a line of JSON, the answer's own JSON with who asked and what they thought of it:

    {"question": "How long is parental leave?", "answer": "...", "abstained": false, "citations": [{"document_id": "..."}],
     "principal": "alice", "rating": "down", "comment": "that is the old policy", "correction": "It is 20 weeks.",
     "correct_document_ids": ["handbook/leave.md"], "answerable": true}

`question`, `principal` and `rating` ("up" or "down") must be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from eval.answers import words
from eval.datasets import Sample
from eval.jsonl import read_objects
from indexes.errors import DatasetError
from indexes.vocabulary import digest

NEEDS_REFERENCE: Final = "needs-reference"
"""Tag of a case whose rater did not say what the right answer is: somebody must, before a gate can rest on it."""


@dataclass(frozen=True, slots=True)
class Regressions:
    """The cases in the order of their first bad rating; ratings read; questions whose last rating was good."""

    samples: tuple[Sample, ...]
    ratings: int
    settled: int

    def to_json(self) -> dict[str, Any]:
        """Return the counts."""
        waiting = sum(NEEDS_REFERENCE in sample.tags for sample in self.samples)
        return {
            "ratings": self.ratings,
            "cases": len(self.samples),
            "needs_reference": waiting,
            "settled": self.settled,
        }


def read_feedback(path: str | Path) -> Regressions:
    """Return a case for each principal and question whose last rating is bad.

    The right answer comes from the rater (`correction`); what the system said is kept beside it, never taken for right.

    Raises:
        DatasetError: a line is malformed.
    """
    last: dict[tuple[str, str], Mapping[str, Any]] = {}
    corrections: dict[tuple[str, str], Mapping[str, Any]] = {}
    ratings = 0
    for line, row in read_objects(path):
        try:
            key = (_text(row, "principal"), " ".join(words(_text(row, "question"))))
            bad = _is_bad(row)
            sample_of(row)  # a malformed rating is told of even where a later one stands in its place
        except ValueError as error:
            raise DatasetError(str(error), path=str(path), line=line) from error
        ratings += 1
        last[key] = row
        if bad and (row.get("correction") or row.get("answerable") is False):
            corrections[key] = row
    cases = [corrections.get(key, row) for key, row in last.items() if _is_bad(row)]
    return Regressions(tuple(sample_of(row) for row in cases), ratings, len(last) - len(cases))


def sample_of(row: Mapping[str, Any]) -> Sample:
    """Return the case of one bad rating; ValueError says which column is wrong."""
    question, principal, correction = _text(row, "question"), _text(row, "principal"), row.get("correction") or ""
    answerable, documents = row.get("answerable", True), row.get("correct_document_ids") or []
    if not isinstance(correction, str):
        raise ValueError('"correction" must be a string')
    if not isinstance(answerable, bool):
        raise ValueError('"answerable" must be true or false')
    if not isinstance(documents, list) or not all(isinstance(name, str) for name in documents):
        raise ValueError('"correct_document_ids" must be a list of strings')
    tags = ("feedback",) if correction or not answerable else ("feedback", NEEDS_REFERENCE)
    kept = {f"rated_{name}": row[name] for name in ("answer", "comment", "release") if row.get(name)}
    return Sample(
        id=f"fb-{digest(principal, ' '.join(words(question)))[:12]}",
        user_input=question,
        reference=correction if answerable else "",
        reference_document_ids=tuple(documents),
        principal=principal,
        answerable=answerable,
        tags=tags,
        extra=kept,
    )


def _is_bad(row: Mapping[str, Any]) -> bool:
    rating = row.get("rating")
    if rating not in ("up", "down"):
        raise ValueError(f'"rating" must be "up" or "down", got {rating!r}')
    return bool(rating == "down")


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f'"{name}" must be a string that is not empty')
    return value.strip()
