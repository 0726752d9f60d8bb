"""A new fact against what is known: the same again, newer, older, a denial, or a contradiction that nothing decides.

Nothing is deleted: validity ends. Who was told what first does not matter; what was true when does:

    newer than what is known        closes it, from its own beginning on
    older, told late                takes its place in the past, up to the beginning of what is known
    of the same moment, or undated  both stay, marked as a conflict
    less trusted than what is known never closes it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from rag.lore.items import Action, Decision, FactDraft, Known
from rag.lore.normal import contradict, relation_key, same_value, value_key

_LEAST = datetime.min.replace(tzinfo=UTC)
_MOST = datetime.max.replace(tzinfo=UTC)
_IMPLIED = 0.5
"""A denial with less confidence only follows from something else that was said, and is no fact of its own."""


def holds(draft: FactDraft, at: datetime) -> bool:
    """Return whether the fact is true at the moment: a state within its validity, an event from when it began on.

    An event whose beginning is unknown counts from the end of the time in which it must have happened.
    """
    if draft.event:
        return (draft.valid_from or draft.valid_to or _LEAST) <= at
    return (draft.valid_from or _LEAST) <= at < (draft.valid_to or _MOST)


def reconcile(draft: FactDraft, known: Sequence[Known], *, now: datetime) -> Decision:
    """Decide what becomes of a fact, given what is known in its scope.

    Args:
        known: facts of the same scope, closed ones too; others than of the draft's subject and relation are passed over.
        now: stands in for when the draft was said, where it does not say.
    Returns:
        The decision; its draft may have a shorter validity than the one given. `ends` is set for close and retract.
    Cost: O(len(known)).
    """
    told = draft.told or now
    related = [one for one in known if _related(draft, one)]
    if again := _again(draft, related):
        return Decision(Action.REINFORCE, draft, (again.id,), reason="the same fact again")
    if draft.event and not draft.negated:
        return Decision(Action.ADD, draft, reason="an event that was not known")
    if draft.negated:
        return _deny(draft, related, told)
    against = [one for one in related if _against(draft, one)]
    return _settle(draft, against, told)


def _related(draft: FactDraft, one: Known) -> bool:
    return one.draft.subject.casefold() == draft.subject.casefold() and (
        relation_key(one.draft.relation) == relation_key(draft.relation)
        or contradict(one.draft.relation, draft.relation)
    )


def _same(draft: FactDraft, one: Known) -> bool:
    return (
        relation_key(one.draft.relation) == relation_key(draft.relation)
        and one.draft.negated == draft.negated
        and same_value(one.draft.value, draft.value)
    )


def _against(draft: FactDraft, one: Known) -> bool:
    """Whether both cannot be true at once."""
    equal = same_value(one.draft.value, draft.value)
    if one.draft.event:
        return False
    if contradict(one.draft.relation, draft.relation):
        return equal and not one.draft.negated
    return equal if one.draft.negated else draft.single and not equal


def _again(draft: FactDraft, related: Sequence[Known]) -> Known | None:
    """The known fact that the draft repeats."""
    for one in related:
        if not _same(draft, one):
            continue
        if set(draft.sources) <= set(one.draft.sources):
            return one
        if draft.event:
            undated = not _dated(draft) or not _dated(one.draft)
            if undated or _overlap(draft, one.draft):
                return one
        elif _overlap(draft, one.draft) and not any(
            _between(other, draft, one) for other in related if _against(draft, other)
        ):
            return one
    return None


def _dated(draft: FactDraft) -> bool:
    return draft.valid_from is not None and draft.valid_from != draft.told


def _between(other: Known, draft: FactDraft, one: Known) -> bool:
    """Whether something else held between the two times at which the same was said."""
    first, last = sorted((_start(draft), _start(one.draft)))
    return first < _start(other.draft) < last


def _overlap(one: FactDraft, other: FactDraft) -> bool:
    return _start(one) < _end(other) and _start(other) < _end(one)


def _start(draft: FactDraft) -> datetime:
    return draft.valid_from or _LEAST


def _end(draft: FactDraft) -> datetime:
    return draft.valid_to or _MOST


# Denials.


def _deny(draft: FactDraft, related: Sequence[Known], told: datetime) -> Decision:
    moment = draft.valid_from or told
    meant = [one for one in related if _denied(draft, one)]
    held = [one for one in meant if _start(one.draft) <= moment < _end(one.draft)]
    implied = draft.confidence < _IMPLIED or not value_key(draft.value)
    if not held:
        if implied or any(one.draft.valid_to is not None and _end(one.draft) <= moment for one in meant):
            return Decision(Action.IGNORE, draft, reason="denies what is not held")
        later = min((_start(one.draft) for one in meant if _start(one.draft) > moment), default=None)
        return Decision(
            Action.ADD, replace(draft, valid_to=later or draft.valid_to), reason="a denial of nothing known"
        )
    ids = tuple(one.id for one in held)
    if doubt := _doubt(draft, held, moment, told):
        return Decision(Action.IGNORE if implied else Action.CONFLICT, draft, ids, reason=doubt)
    if draft.ended:
        return Decision(Action.RETRACT, draft, ids, ends=moment, reason="holds no longer")
    return Decision(Action.CLOSE, draft, ids, ends=moment, reason="denied since")


def _denied(draft: FactDraft, one: Known) -> bool:
    if one.draft.negated or contradict(one.draft.relation, draft.relation):
        return False
    if one.draft.event and relation_key(draft.relation) != "plans":
        return False
    wanted, value = value_key(draft.value), value_key(one.draft.value)
    return wanted <= value


def _doubt(draft: FactDraft, held: Sequence[Known], moment: datetime, told: datetime) -> str:
    if any(draft.trust < one.trust for one in held):
        return "less trusted than what it denies"
    if any(one.time > max(moment, told) for one in held):
        return "what it denies was said again later"
    if not draft.ended and any(_start(one.draft) == moment for one in held):
        return "said and denied at the same time"
    wanted = value_key(draft.value)
    if wanted and any(wanted < value_key(one.draft.value) and _several(one.draft.value) for one in held):
        return "denies a part of it"
    return ""


def _several(value: str) -> bool:
    return " and " in value or "," in value


# Values that exclude each other.


@dataclass(frozen=True, slots=True)
class _Place:
    """What a contradiction asks for: `close` the known one at a moment, end the draft at `until`, or neither: a conflict."""

    close: datetime | None = None
    until: datetime | None = None
    conflict: str = ""


def _settle(draft: FactDraft, against: Sequence[Known], told: datetime) -> Decision:
    closes: list[str] = []
    conflicts: list[tuple[str, str]] = []
    began = _start(draft)
    until = draft.valid_to
    for one in sorted(against, key=lambda one: _start(one.draft)):
        if not _overlap(replace(draft, valid_to=until), one.draft):
            continue
        place = _place(draft, one, told)
        if place.conflict:
            conflicts.append((one.id, place.conflict))
        elif place.until:
            until = min(place.until, until or _MOST)
        elif place.close:
            closes.append(one.id)
            began = max(began, place.close)
    settled = replace(draft, valid_from=began if began != _start(draft) else draft.valid_from, valid_to=until)
    if conflicts:
        return Decision(Action.CONFLICT, settled, tuple(id for id, _ in conflicts), reason=conflicts[0][1])
    if closes:
        return Decision(Action.CLOSE, settled, tuple(closes), ends=began, reason="a newer value")
    late = until != draft.valid_to
    return Decision(Action.ADD, settled, reason="told late: it held before what is known" if late else "not known")


def _place(draft: FactDraft, one: Known, told: datetime) -> _Place:
    starts, known = _start(draft), _start(one.draft)
    if starts < known and draft.valid_from is None and draft.valid_to is not None:
        return _Place(until=known)  # "used to": it ended some time before it was told
    if starts > known and one.draft.valid_from is None and one.draft.valid_to is not None:
        return _Place(close=starts)
    if starts == known:
        return _Place(conflict="two values of the same time")
    if starts > known:
        if draft.trust < one.trust:
            return _Place(conflict="less trusted than what it would close")
        if one.time > max(starts, told):
            return _Place(conflict="what it would close was said again later")
        return _Place(close=starts)
    if one.trust < draft.trust:
        return _Place(conflict="what is newer is less trusted")
    if told > one.time:
        if draft.trust < one.trust:
            return _Place(conflict="less trusted than what it would close")
        if draft.began_by and draft.began_by > known:
            return _Place(close=draft.began_by)
        return _Place(conflict="says otherwise of a time that is known")
    return _Place(until=known)
