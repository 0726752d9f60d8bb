"""When a statement holds: from the times that it names, its tense, and the moment it was said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rag.lore.dates import Mention, Role
from rag.lore.relation import Relation
from rag.lore.statements import Statement


@dataclass(frozen=True, slots=True)
class Validity:
    """From when, until when (None is open), and by when at the latest it began, where only a stretch is known."""

    start: datetime | None
    end: datetime | None
    began_by: datetime | None = None


def validity(relation: Relation, statement: Statement, mentions: Sequence[Mention], told: datetime) -> Validity:
    """Return when it holds.

    What is said in the present holds from then on: nobody said since when. What is over ended, at the latest, when it was told.
    """
    lasting = {Role.SINCE, Role.LASTED} if statement.tense in {"perfect", "progressive"} else {Role.SINCE}
    when = next((mention.span for mention in mentions if mention.role is Role.WHEN), None)
    since = next((mention.span.start for mention in mentions if mention.role in lasting), None)
    until = next((mention.until for mention in mentions if mention.until), None)
    if relation.name == "plans":
        return Validity(told, when.end if when else until)
    if relation.event:
        span = Validity(when.start, when.end) if when else None
        return _event(span, since, until, told, over=statement.tense in {"past", "perfect"})
    if relation.negated and relation.ended:
        return Validity(min(since or (when.start if when else told), told), None)
    if relation.ended or (statement.tense == "past" and not relation.began):
        start, end = (since, told) if since or not when else (when.start, when.end)
        return Validity(start, min(until or end, told))
    if since is None and relation.began and when:
        return Validity(when.start, until, when.end if when.start > told else min(when.end, told))
    return Validity(since or told, until)


def _event(
    when: Validity | None, since: datetime | None, until: datetime | None, told: datetime, *, over: bool
) -> Validity:
    if when:
        return when
    if since or until:
        return Validity(since, until or (told if over else None))
    return Validity(None, told) if over else Validity(told, None)
