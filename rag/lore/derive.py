"""From episodes to facts, by rules: what people say of themselves, with names in place of pronouns and dates in place of "yesterday".

    message -> sentences -> clauses in the first person -> dates, relation, worth -> one sentence that stands alone

What is not a lasting statement makes no fact: greetings, thanks, compliments, questions, what is only supposed, what repeats the assistant,
and whatever speaks to the memory or to a model. What an assistant, a tool or a system said states nothing about the user.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ingest.injection import tainted_spans
from rag.lore.belongings import set_for, thing_of
from rag.lore.clauses import Clause, clauses, statements_of_things
from rag.lore.dates import Role as MentionRole
from rag.lore.drafting import NOBODY, Said, as_draft, dated, sentence
from rag.lore.english import STATES, UNNAMED
from rag.lore.items import Episode, FactDraft, Kind, Role
from rag.lore.relation import Relation, without_now
from rag.lore.relations import relation_of
from rag.lore.rewrite import third_person
from rag.lore.spans import Grain
from rag.lore.statements import Statement, gushes, read, specific, worth
from rag.words import content_words

_ECHO = 0.8
"""Share of a statement's words in one message of the assistant from which on it only repeats it."""
_AROUND = 8
"""Messages looked at for whom somebody speaks to."""
_LONGEST = 400
_BIRTHDAY = re.compile(r"^(?:my (?P<of>[\w' ]{0,30}?)birthday is (?:on )?|i was born on )", re.IGNORECASE)
_DOING = re.compile(
    r"(?:creating|helping|making|seeing|being|getting|having|giving|bringing|inspiring|sharing|supporting|learning|trying)\b",
    re.IGNORECASE,
)
_HOUR = re.compile(r"((?: (?:at|around|about|from) [\w.: ]{1,20}?)?)(?: now)?(?:,.*)?$", re.IGNORECASE)
_OVER = re.compile(
    r"\b(?:was|were)\b(?! (?:just )?(?:moved|set|planned|postponed|rescheduled|scheduled|booked|changed|pushed back|brought forward))",
    re.IGNORECASE,
)
_DEFINITE = re.compile(r"(?:all )?(?:the|this|that|these|those)\b", re.IGNORECASE)
_TASTES = frozenset({"likes", "dislikes", "plans", "has"})


def derive(episodes: Sequence[Episode], *, context: Sequence[Episode] = ()) -> list[FactDraft]:
    """Return the facts that the episodes state, in the order in which they were said; equal ones of one message once.

    Args:
        episodes: in order; only those that a user said can state anything.
        context: what was said before them, for who speaks to whom and for what an assistant said; it makes no facts itself.
    Cost: well under a millisecond for a message of 30 words.
    """
    said = [*context, *episodes]
    drafts: list[FactDraft] = []
    for at, episode in enumerate(episodes, len(context)):
        if episode.role is Role.USER:
            drafts += _of_one(episode, said[max(0, at - _AROUND) : at], listener(said, at))
    return drafts


def listener(said: Sequence[Episode], at: int) -> str:
    """The nearest other person of the conversation; empty where only an assistant listens."""
    episode = said[at]
    around = [*reversed(said[max(0, at - _AROUND) : at]), *said[at + 1 : at + 1 + _AROUND]]
    others = (
        one.speaker
        for one in around
        if one.session == episode.session and one.role is Role.USER and one.speaker not in {"", episode.speaker}
    )
    return next(others, "")


def _of_one(episode: Episode, before: Sequence[Episode], other: str) -> list[FactDraft]:
    echoed = [set(content_words(turn.text)) for turn in before if turn.role is not Role.USER]
    drafts: dict[tuple[str, str, str], FactDraft] = {}
    for clause in clauses(episode.text, other=other):
        if echoed and _repeats(clause, echoed):
            continue
        for draft in _drafts(clause, episode, other):
            drafts.setdefault((draft.relation, draft.value.casefold(), draft.text), draft)
    for draft in _of_things(episode, echoed):
        drafts.setdefault((draft.relation, draft.value.casefold(), draft.text), draft)
    if drafts and (tainted := tainted_spans(episode.text)):
        said_before = episode.text[: tainted[0][0]]  # what follows may be what the planted sentence wants said
        return _of_one(replace(episode, text=said_before), before, other) if said_before.strip() else []
    return list(drafts.values())


def _repeats(clause: Clause, echoed: Sequence[set[str]]) -> bool:
    words = set(content_words(f"{clause.lead} {clause.text}"))
    return any(len(words & turn) >= _ECHO * len(words) for turn in echoed)


def _drafts(clause: Clause, episode: Episode, other: str) -> Iterator[FactDraft]:
    said = dated(clause.text, episode.time, lead=clause.lead)
    statement = read(said.bare)
    if statement is None:
        return
    found = _birthday(said)
    if not found and (due := _due(clause, episode)):
        found, said = due
    found = found or [one for one in relation_of(said.bare) if _enough(one, statement, said, other)]
    if not found and worth(statement, dated=bool(said.mentions), other=other):
        found = [_by_verb(statement)]
    if not found:
        return
    speaker = episode.speaker or NOBODY
    text = sentence(third_person(said.reads, speaker=speaker, other=other))
    for relation in found if len(text) <= _LONGEST else ():
        name, value = (
            third_person(part, speaker=speaker, other=other).strip() for part in (relation.name, relation.value)
        )
        yield as_draft(replace(relation, name=name, value=value), statement, said, episode, text=text)


def _enough(relation: Relation, statement: Statement, said: Said, other: str) -> bool:
    """Whether a relation that was read leads to something concrete."""
    if relation.implied or relation.negated:
        return True
    if statement.subject.lower() not in {"i", "we"}:
        return not gushes(relation.value)
    if relation.name in _TASTES:
        concrete = specific(relation.value, other)
        if (
            relation.name != "plans"
            and _DEFINITE.match(relation.value)
            and not any(word[:1].isupper() for word in concrete)
        ):
            return len(concrete) >= 3  # "the colours": of what stands in another message
        least = (2 if relation.name == "plans" or _DOING.match(relation.value) else 1) + len(
            UNNAMED.findall(relation.value)
        )
        return bool(concrete) and len(concrete) + bool(said.mentions) >= least
    return bool(relation.value)


def _birthday(said: Said) -> list[Relation]:
    """A birthday is a day of the year: here the date is the value."""
    when = next((mention.span for mention in said.mentions if mention.span.grain is Grain.DAY), None)
    if when is None or not (match := _BIRTHDAY.match(said.reads)):
        return []
    of = match["of"] or ""
    return [Relation(f"{of} birthday".strip().lower(), when.label.rsplit(" ", 1)[0], True, importance=0.9)]


def _due(clause: Clause, episode: Episode) -> tuple[list[Relation], Said] | None:
    """The time of something that the speaker has ahead: "my flight is on 3 March at ten"."""
    before, date, said = _set(clause, episode)
    found = set_for(before, date) if date else None
    return ([found], said) if found else None


def _of_things(episode: Episode, echoed: Sequence[set[str]]) -> Iterator[FactDraft]:
    """The times of things: "the release of 4.2 moves to 10 April" is told by the speaker, and about the release."""
    for clause in statements_of_things(episode.text):
        before, date, said = _set(clause, episode)
        if date and (thing := thing_of(before)) and not (echoed and _repeats(clause, echoed)):
            relation = Relation("date", date, single=True, kind=Kind.FACT, importance=0.6, began=True)
            stated = Statement(thing, "be", "present", negated=False, rest=date)
            yield replace(as_draft(relation, stated, said, episode, text=sentence(said.reads)), subject=thing)


def _set(clause: Clause, episode: Episode) -> tuple[str, str, Said]:
    """Return what stands before a clause's only time, and that time with its hour; empty where the clause says more than that.

    The time is what is stated, and does not say how long that holds: it is no mention of what is returned.
    """
    said = dated(clause.text, episode.time, ahead=_OVER.search(clause.text) is None)
    held = replace(said, mentions=())
    if clause.lead or len(said.mentions) != 1 or said.mentions[0].span.grain is Grain.VAGUE:
        return "", "", held
    (when,) = said.mentions
    after = _HOUR.match(clause.text, when.end)
    if after is None or when.role is not MentionRole.WHEN:
        return "", "", held
    return clause.text[: when.start].rstrip() + " ", f"{when.span.label}{after[1]}", held


def _by_verb(statement: Statement) -> Relation:
    """The relation that a statement has by its verb alone."""
    mine = statement.subject if statement.subject.lower() not in {"i", "we"} else ""
    event = statement.tense != "present" and not (statement.tense == "perfect" and statement.verb in STATES)
    return Relation(
        f"{mine} {statement.verb}".strip(),
        without_now(statement.rest),
        negated=statement.negated,
        kind=Kind.FACT,
        importance=0.5,
        event=event and not statement.negated,
    )
