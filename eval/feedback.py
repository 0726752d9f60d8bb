"""Bad ratings as regression cases: a question that went wrong once is asked in every gate from then on.

A rating is a line of JSON, the answer's own JSON with who asked and what they thought of it:

    {"question": "How long is parental leave?", "answer": "...", "abstained": false, "citations": [{"document_id": "..."}],
     "principal": "alice", "rating": "down", "comment": "that is the old policy", "correction": "It is 20 weeks.",
     "correct_document_ids": ["handbook/leave.md"], "answerable": true}

`question`, `principal` and `rating` ("up" or "down", or 1 to 5, of which 1 and 2 are bad) must be there. The mill keeps such ratings too
(`Loremill.feedback`); each case of those carries its rater.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from eval.answers import words
from eval.datasets import Sample
from eval.jsonl import read_objects
from indexes.errors import ConfigError, DatasetError
from indexes.ratings import BAD, read_rating
from indexes.vocabulary import Principal, digest

if TYPE_CHECKING:
    from rag.loremill import Loremill

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
    """Return a case for each principal and question whose last rating is bad, of a file.

    The right answer comes from the rater (`correction`); what the system said is kept beside it, never taken for right.

    Raises:
        DatasetError: a line is malformed.
    """

    def checked() -> Iterable[Mapping[str, Any]]:
        for line, row in read_objects(path):
            try:
                _is_bad(row)
                sample_of(row)  # a malformed rating is told of even where a later one stands in its place
            except ValueError as error:
                raise DatasetError(str(error), path=str(path), line=line) from error
            yield row

    return regressions(checked())


def stored_feedback(mill: Loremill, collection: str, *, tenant: str | None = None) -> Regressions:
    """As `read_feedback`, of the ratings that the mill keeps of a collection. For operators: no principal is asked.

    A case is asked as its rater: under the imported name of that subject where there is one, hence with the groups of the day on which it is
    asked; else as the literal of the rater's groups when it rated. Ratings that an administrator gave in somebody's name are that person's.
    """
    names = {(one.principal.tenant, one.principal.subject): one.name for one in mill.directory.list_principals()}

    def rows() -> Iterable[Mapping[str, Any]]:
        for rating in mill.every_rating(collection, tenant=tenant):
            rater = Principal.parse(rating.principal)
            row = rating.to_json() | {"principal": names.get((rater.tenant, rater.subject), rating.principal)}
            yield row

    return regressions(rows())


def regressions(rows: Iterable[Mapping[str, Any]]) -> Regressions:
    """Return a case for each principal and question whose last rating is bad; ValueError says what is wrong with a row."""
    last: dict[tuple[str, str], Mapping[str, Any]] = {}
    corrections: dict[tuple[str, str], Mapping[str, Any]] = {}
    ratings = 0
    for row in rows:
        key = (_text(row, "principal"), " ".join(words(_text(row, "question"))))
        ratings += 1
        last[key] = row
        if _is_bad(row) and (row.get("correction") or row.get("answerable") is False):
            corrections[key] = row
    cases = [corrections.get(key, row) for key, row in last.items() if _is_bad(row)]
    return Regressions(tuple(sample_of(row) for row in cases), ratings, len(last) - len(cases))


def sample_of(row: Mapping[str, Any]) -> Sample:
    """Return the case of one bad rating; ValueError says which column is wrong."""
    question, principal, correction = _text(row, "question"), _text(row, "principal"), row.get("correction") or ""
    answerable, documents = row.get("answerable"), row.get("correct_document_ids") or []
    answerable = True if answerable is None else answerable
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
    try:
        return read_rating(row.get("rating")) in BAD
    except ConfigError as error:
        raise ValueError(str(error)) from error


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f'"{name}" must be a string that is not empty')
    return value.strip()
