"""From a relation that was read to a draft: the sentence that stands alone, its dates, and when it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from rag.lore.dates import Mention, find_dates
from rag.lore.english import AHEAD
from rag.lore.items import Episode, FactDraft
from rag.lore.relation import Relation
from rag.lore.statements import Statement
from rag.lore.validity import validity

NOBODY = "The user"
"""Stands for a speaker who has no name."""

_IMPLIED, _SAID = 0.4, 0.8
_PREPOSITION = re.compile(
    r"\s*\b(?:on|in|at|since|until|till|til|by|from|to|for|of|during|around|about|before|after)(?: the(?: end| start| beginning| middle) of)?"
    r"(?: (?:early|late|mid|the|back))?\s*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Said:
    """A statement with its times taken apart: `reads` names them as dates, `bare` is without them and without what stood in front."""

    reads: str
    bare: str
    mentions: tuple[Mention, ...]


def dated(text: str, at: datetime, *, lead: str = "", ahead: bool | None = None) -> Said:
    """Put dates in place of relative times, and take all times out of what is compared.

    Args:
        lead: an adverbial in front, which `reads` keeps and `bare` does not.
        ahead: a bare "on Friday" is the coming one; None decides by the words.
    """
    whole = f"{lead}, {text}" if lead else text
    start = len(whole) - len(text)
    mentions = tuple(find_dates(whole, at, ahead=bool(AHEAD.search(whole)) if ahead is None else ahead))
    reads, bare, last = "", "", 0
    for mention in mentions:
        reads += whole[last : mention.start] + mention.reads
        if mention.start > start:
            bare += _PREPOSITION.sub("", whole[max(last, start) : mention.start]) + " "
        last = mention.end
    reads += whole[last:]
    bare += whole[max(last, start) :]
    return Said(" ".join(reads.split()), " ".join(bare.split()).strip(" ,"), mentions)


def sentence(text: str) -> str:
    """The text as a sentence: a capital first, one full stop."""
    text = re.sub(r"\s+([,.;:])", r"\1", text).strip(" ,;:-.")
    return f"{text[:1].upper()}{text[1:]}."


def as_draft(relation: Relation, statement: Statement, said: Said, episode: Episode, *, text: str) -> FactDraft:
    """Return the draft of a relation whose names already stand in place of pronouns; `text` is the fact's sentence."""
    held = validity(relation, statement, said.mentions, episode.time)
    return FactDraft(
        text=text,
        subject=episode.speaker or NOBODY,
        relation=relation.name,
        value=relation.value,
        sources=(episode.id,),
        kind=relation.kind,
        single=relation.single,
        negated=relation.negated,
        valid_from=held.start,
        valid_to=held.end,
        importance=relation.importance,
        confidence=_IMPLIED if relation.implied else _SAID,
        event=relation.event,
        ended=relation.ended and relation.negated,
        told=episode.time,
        began_by=held.began_by,
        trust=episode.trust,
    )
