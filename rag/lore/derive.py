"""From episodes to facts, by rules: what people say of themselves, with names in place of pronouns and dates in place of "yesterday".

    message -> sentences -> clauses in the first person -> dates, relation, worth -> one sentence that stands alone

What is not a lasting statement makes no fact: greetings, thanks, compliments, questions, what is only supposed, what repeats the assistant,
and whatever speaks to the memory or to a model. What an assistant, a tool or a system said states nothing about the user.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from ingest.injection import tainted_spans
from rag.lore.clauses import Clause, clauses
from rag.lore.dates import Mention, find_dates
from rag.lore.dates import Role as DateRole
from rag.lore.english import DOWN_TO, STATES
from rag.lore.items import Episode, FactDraft, Kind, Role
from rag.lore.relations import Relation, relation_of
from rag.lore.rewrite import third_person
from rag.lore.spans import Grain
from rag.lore.statements import Statement, gushes, read, specific, worth
from rag.words import content_words

NOBODY = "The user"
"""Stands for a speaker who has no name."""

_ECHO = 0.8
"""Share of a statement's words in one message of the assistant from which on it only repeats it."""

_PREPOSITION = re.compile(
    r"\s*\b(?:on|in|at|since|until|till|til|by|from|to|for|of|during|around|about|before|after)(?: the(?: end| start| beginning| middle) of)?"
    r"(?: (?:early|late|mid|the|back))?\s*$",
    re.IGNORECASE,
)
_PROFILES = frozenset(["lives in", "job", "works at", "likes", "dislikes", "is from"])


def derive(episodes: Sequence[Episode], *, context: Sequence[Episode] = ()) -> list[FactDraft]:
    """Return the facts that the episodes state, in the order in which they were said; equal ones of one message once.

    Args:
        episodes: in order; only those that a user said can state anything.
        context: what was said before them, for who speaks to whom and for what an assistant said; it makes no facts itself.
    Cost: about a third of a millisecond for a message of 30 words.
    """
    said = [*context, *episodes]
    first = len(context)
    drafts: list[FactDraft] = []
    for at, episode in enumerate(episodes, first):
        if episode.role is Role.USER:
            drafts += _of_one(episode, said[max(0, at - 6) : at], _listener(said, at))
    return drafts


def _listener(said: Sequence[Episode], at: int) -> str:
    """The nearest other person of the conversation; empty where only an assistant listens."""
    episode = said[at]
    around = [*reversed(said[max(0, at - 8) : at]), *said[at + 1 : at + 9]]
    return next(
        (
            other.speaker
            for other in around
            if other.session == episode.session
            and other.role is Role.USER
            and other.speaker not in {"", episode.speaker}
        ),
        "",
    )


def _of_one(episode: Episode, before: Sequence[Episode], other: str) -> list[FactDraft]:
    drafts: dict[tuple[str, str, str], FactDraft] = {}
    echoed = [set(content_words(turn.text)) for turn in before if turn.role is not Role.USER]
    for clause in clauses(episode.text, other=other):
        for draft in _drafts(clause, episode, other):
            words = set(content_words(f"{clause.lead} {clause.text}"))
            if not any(words and len(words & turn) >= _ECHO * len(words) for turn in echoed):
                drafts.setdefault((draft.relation, draft.value.casefold(), draft.text), draft)
    if drafts and (tainted := tainted_spans(episode.text)):
        return list(_clean(drafts.values(), episode, tainted[0][0], other))
    return list(drafts.values())


def _clean(drafts: object, episode: Episode, start: int, other: str) -> Iterator[FactDraft]:
    """Only what was said before the first sentence that speaks to a model."""
    from dataclasses import replace

    yield from _of_one(replace(episode, text=episode.text[:start]), (), other) if episode.text[:start].strip() else ()


@dataclass(frozen=True, slots=True)
class _Said:
    """A clause with its dates taken apart: as it reads in a fact, and as it is compared."""

    reads: str
    bare: str
    mentions: tuple[Mention, ...]


def _drafts(clause: Clause, episode: Episode, other: str) -> Iterator[FactDraft]:
    said = _dated(clause, episode.time)
    statement = read(said.bare)
    if statement is None:
        return
    speaker = episode.speaker or NOBODY
    text = _sentence(third_person(said.reads, speaker=speaker, other=other))
    if len(text) > 400:
        return
    found = _birthday(said) or [
        relation for relation in relation_of(said.bare) if _enough(relation, statement, said, other)
    ]
    if not found and worth(statement, dated=bool(said.mentions), other=other):
        found = [_by_verb(statement)]
    for relation in found:
        value = third_person(relation.value, speaker=speaker, other=other).strip()
        valid_from, valid_to, began_by = _validity(relation, statement, said.mentions, episode.time)
        yield FactDraft(
            text=text,
            subject=speaker,
            relation=third_person(relation.name, speaker=speaker, other=other),
            value=value,
            sources=(episode.id,),
            kind=relation.kind,
            single=relation.single,
            negated=relation.negated,
            valid_from=valid_from,
            valid_to=valid_to,
            importance=relation.importance,
            confidence=0.4 if relation.implied else 0.8,
            event=relation.event,
            ended=relation.ended and relation.negated,
            told=episode.time,
            began_by=began_by,
            trust=episode.trust,
        )


def _enough(relation: Relation, statement: Statement, said: _Said, other: str) -> bool:
    if relation.implied or relation.negated:
        return True
    if statement.subject.lower() not in {"i", "we"} and statement.verb == "be":
        return not gushes(relation.value)
    if relation.name in {"likes", "dislikes", "plans", "has"}:
        return len(specific(relation.value, other)) + bool(said.mentions) >= (
            2 if relation.name == "plans" else 1
        ) and not re.search(r"\byou\b|\byour\b", relation.value)
    return bool(relation.value)


def _birthday(said: _Said) -> list[Relation]:
    """A birthday is a day of the year: here the date is the value."""
    when = next((mention.span for mention in said.mentions if mention.span.grain is Grain.DAY), None)
    if when is None or not (match := _BIRTHDAY.match(said.reads)):
        return []
    of = match["of"] or ""
    return [Relation(f"{of} birthday".strip().lower(), when.label.rsplit(" ", 1)[0], True, importance=0.9)]


_BIRTHDAY = re.compile(r"^(?:my (?P<of>[\w' ]{0,30}?)birthday is (?:on )?|i was born on )", re.IGNORECASE)


def _by_verb(statement: Statement) -> Relation:
    """The relation that a statement has by its verb alone."""
    mine = statement.subject if statement.subject.lower() not in {"i", "we"} else ""
    habitual = statement.tense in {"present", "perfect"} and statement.verb in STATES
    event = not habitual
    value = f"{statement.rest}".strip(" ,.")
    name = f"{mine} {statement.verb}".strip()
    return Relation(
        name, value, negated=statement.negated, kind=Kind.FACT, importance=0.5, event=event and not statement.negated
    )


def _dated(clause: Clause, at: datetime) -> _Said:
    """Put dates in place of relative times, and take all times out of what is compared."""
    whole = f"{clause.lead}, {clause.text}" if clause.lead else clause.text
    start = len(whole) - len(clause.text)
    mentions = tuple(find_dates(whole, at, ahead=bool(DOWN_TO.search(whole))))
    reads, bare, last = "", "", 0
    for mention in mentions:
        piece = whole[last : mention.start]
        reads += piece + mention.reads
        bare += _PREPOSITION.sub("", whole[max(last, start) : mention.start]) + " " if mention.start > start else ""
        last = mention.end
    reads += whole[last:]
    bare += whole[max(last, start) :]
    return _Said(" ".join(reads.split()), " ".join(bare.split()).strip(" ,"), mentions)


def _sentence(text: str) -> str:
    text = re.sub(r"\s+([,.;:])", r"\1", text).strip(" ,;:-")
    return f"{text[:1].upper()}{text[1:]}."


def _validity(
    relation: Relation, statement: Statement, mentions: Sequence[Mention], told: datetime
) -> tuple[datetime | None, datetime | None, datetime | None]:
    """Return from when, until when, and by when at the latest it began."""
    when = next((m.span for m in mentions if m.role is DateRole.WHEN), None)
    since = next(
        (
            m.span
            for m in mentions
            if m.role is DateRole.SINCE or (m.role is DateRole.LASTED and statement.tense in {"perfect", "progressive"})
        ),
        None,
    )
    until = next((m.span for m in mentions if m.role is DateRole.UNTIL), None)
    ends = (
        None
        if until is None
        else until.end
        if until.grain in {Grain.DAY, Grain.WEEKEND} or "the end of" in ""
        else until.start
    )
    if relation.name == "plans":
        span = when or until
        return told, (span.end if span else None), None
    if relation.event:
        if when:
            return when.start, when.end, None
        if since or until:
            return (since.start if since else None), (ends or (told if statement.tense == "past" else None)), None
        return (None, told, None) if statement.tense in {"past", "perfect"} else (told, None, None)
    if relation.negated and relation.ended:
        began = when or since
        return (began.start if began and began.start < told else told), None, None
    if relation.ended or (statement.tense == "past" and not relation.began):
        return (
            (since.start if since else when.start if when else None),
            min(ends or (when.end if when and not since else told), told),
            None,
        )
    if since:
        return since.start, ends, None
    if relation.began and when:
        return when.start, ends, max(when.start, when.end) if when.start > told else min(when.end, told)
    return told, ends, None
