"""What memory is made of, as frozen values.

    episode   what was said or done, verbatim: text, speaker, session, time
    fact      what follows from episodes; holds from `valid_from` to `valid_to`, and was known from `recorded` to `retired`
    profile   a fact about its subject that stays: a preference, a name, a role

Times are aware datetimes in UTC. Two axes: when something was true (valid) and when memory knew it (recorded, retired).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What an item of memory is."""

    EPISODE = "episode"
    FACT = "fact"
    PROFILE = "profile"


class Role(StrEnum):
    """Who produced an episode's text; what a tool or an assistant said is trusted less than what the user said."""

    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Episode:
    """One thing said or done, as it was said.

    Args:
        id: 32 hex digits from scope, session, speaker, time and text: the same episode again is the same.
        speaker: a name as the conversation uses it; empty where unknown.
        session: of the conversation; empty where it belongs to none.
        time: when it happened.
        trust: in [0, 1].
    """

    id: str
    text: str
    speaker: str
    session: str
    time: datetime
    scope: str
    role: Role = Role.USER
    trust: float = 1.0
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MemoryItem:
    """An item as `recall` returns it: data, never instruction.

    `score` orders a recall, higher is better. `trust` is the least over `provenance`. `conflicts` names items that say otherwise where
    nothing decides between them.
    """

    id: str
    kind: Kind
    text: str
    score: float
    scope: str
    time: datetime
    valid_from: datetime | None
    valid_to: datetime | None
    trust: float
    metadata: Mapping[str, Any]
    provenance: tuple[Episode, ...]
    importance: float = 0.5
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FactDraft:
    """A fact that an episode seems to state, before it is compared with what is known.

    Args:
        text: one sentence that stands alone: names in place of pronouns, dates in place of "yesterday".
        subject: whom or what it is about, as a name; the speaker's for "I".
        relation: a short key such as `lives in`, `job`, `prefers`, `birthday`; two facts of one subject and relation may contradict.
        value: what the relation leads to.
        kind: fact or profile.
        single: only one value holds at a time, so that a newer one closes the older one.
        negated: it says that the value does not hold, or holds no longer.
        valid_from, valid_to: when it holds; None is open.
        importance, confidence: in [0, 1].
        sources: ids of the episodes that it rests on.
        event: it happened within valid_from to valid_to; that it did stays true afterwards. What holds at a moment: `rag.lore.reconcile.holds`.
        ended: a denial that says that something held before and does no longer.
        told: when the newest of its sources was said; None where unknown.
        began_by: by when at the latest it began, where valid_from is only the first day of "last week".
        trust: the least of its sources, in [0, 1].
    """

    text: str
    subject: str
    relation: str
    value: str
    sources: tuple[str, ...]
    kind: Kind = Kind.FACT
    single: bool = False
    negated: bool = False
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    importance: float = 0.5
    confidence: float = 0.8
    event: bool = False
    ended: bool = False
    told: datetime | None = None
    began_by: datetime | None = None
    trust: float = 1.0


@dataclass(frozen=True, slots=True)
class Known:
    """A stored fact, as a draft is compared with it."""

    id: str
    draft: FactDraft
    time: datetime
    """Of the newest episode that it rests on."""
    trust: float = 1.0


class Action(StrEnum):
    """What becomes of a draft."""

    ADD = "add"
    REINFORCE = "reinforce"
    """The same fact again: its sources grow, nothing is added."""
    CLOSE = "close"
    """Add it, and end the validity of the facts named."""
    RETRACT = "retract"
    """End the validity of the facts named; the draft itself is only a denial and is not added."""
    CONFLICT = "conflict"
    """Add it, and mark it and the facts named as contradicting each other, undecided."""
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Decision:
    """What `reconcile` decided about a draft, and why; logged, and reversible."""

    action: Action
    draft: FactDraft
    about: tuple[str, ...] = ()
    """Ids of the known facts that it touches."""
    ends: datetime | None = None
    """For close and retract: when the validity of those ends."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MemoryEvent:
    """A decision about an item, as `history` tells it; `restore` undoes it by its id, which the other items that it touched share.

    `before` has what it changed, as it was; empty where the item is new.
    """

    id: str
    item_id: str
    action: str
    at: datetime
    by: str
    """A subject, or `auto`."""
    reason: str
    before: Mapping[str, Any] = field(default_factory=dict)
    undone: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was forgotten: counts by kind, salted digests of what is gone, and when. It holds no text.

    `verify_receipt` says whether it is as it was issued; a scan of the raw files says whether it is true.
    """

    id: str
    at: datetime
    tenant: str
    by: str
    about: str
    counts: Mapping[str, int]
    digests: tuple[str, ...]
    salt: str
    seal: str
    """HMAC over all other fields, under the home's key."""
    notes: tuple[str, ...] = ()
    """What stays where it cannot be reached, a sentence each: a server's log, say."""
