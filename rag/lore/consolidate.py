"""Tidying a scope: what is a duplicate, what has had its time, which old sessions want a summary. Decides; a store acts.

Idempotent: what a plan asks for, once done, is not asked for again. Episodes are never merged: they are what was said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from indexes.errors import ConfigError
from indexes.vocabulary import digest
from rag.facts import facts
from rag.lore.items import Kind, MemoryItem
from rag.lore.summary import Summarise, summarise
from rag.words import content_words

SUMMARY_OF = "summary_of"
"""Key of the metadata of a summary: the session it covers."""
COVERS = "covers"
"""Key of the metadata of a summary: a digest of the episodes it covers."""

_LEAST = datetime.min.replace(tzinfo=UTC)
_MOST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Policy:
    """What consolidation does; None leaves a thing undone.

    Args:
        retention: items whose time is longer ago are expired, whatever they are.
        unused: facts that nobody recalled for so long (never recalled: since they were said) are expired, the important ones excepted.
        important: importance from which on a fact does not decay, in [0, 1].
        most_items: of the scope; beyond it the least valuable facts go, then the oldest episodes.
        summarise_after: sessions whose last word is longer ago get a summary.
        sentences: most of one summary.
        most_changes: of one run; what is left waits for the next.
    Raises:
        ConfigError: a number is out of range, naming it.
    """

    retention: timedelta | None = None
    unused: timedelta | None = None
    important: float = 0.8
    most_items: int | None = None
    summarise_after: timedelta | None = None
    sentences: int = 5
    most_changes: int = 1000

    def __post_init__(self) -> None:
        for name in ("retention", "unused", "summarise_after"):
            span = getattr(self, name)
            if span is not None and span <= timedelta(0):
                raise ConfigError(f"consolidation: {name} is {span}, must be longer than nothing")
        for name, least in (("most_items", 0), ("sentences", 1), ("most_changes", 1)):
            number = getattr(self, name)
            if number is not None and number < least:
                raise ConfigError(f"consolidation: {name} is {number}, must be at least {least}")
        if not 0 <= self.important <= 1:
            raise ConfigError(f"consolidation: important is {self.important}, must lie in 0 to 1")


@dataclass(frozen=True, slots=True)
class Held:
    """An item of the scope, and how often and when it was last recalled."""

    item: MemoryItem
    recalled: int = 0
    last_recalled: datetime | None = None


@dataclass(frozen=True, slots=True)
class Merge:
    """`gone` says what `kept` says; its provenance goes over."""

    kept: str
    gone: str


@dataclass(frozen=True, slots=True)
class Expiry:
    """An item that goes, and why: `retention`, `unused` or `limit`."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Summary:
    """A fact to add for a session: its text, the episodes it rests on, its metadata, and the earlier summary that it replaces."""

    session: str
    text: str
    sources: tuple[str, ...]
    metadata: Mapping[str, str]
    time: datetime
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConsolidationReport:
    """What consolidation found in a scope and did: counts, and the ids that it touched.

    `expired` counts by reason. `more` says that the limit on changes was reached: run it again.
    """

    looked_at: int = 0
    merged: int = 0
    expired: Mapping[str, int] = field(default_factory=dict)
    summarised: int = 0
    more: bool = False
    touched: tuple[str, ...] = ()

    @property
    def changes(self) -> int:
        """How many items were merged, expired or summarised."""
        return self.merged + sum(self.expired.values()) + self.summarised


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in this order: expiries, merges, summaries; each item at most once."""

    looked_at: int
    expiries: tuple[Expiry, ...] = ()
    merges: tuple[Merge, ...] = ()
    summaries: tuple[Summary, ...] = ()
    more: bool = False

    def report(self) -> ConsolidationReport:
        """The report of the plan, once it is carried out."""
        touched = [*(one.id for one in self.expiries), *(one.gone for one in self.merges)]
        touched += [id for one in self.summaries for id in one.replaces]
        return ConsolidationReport(
            looked_at=self.looked_at,
            merged=len(self.merges),
            expired=dict(sorted(Counter(one.reason for one in self.expiries).items())),
            summarised=len(self.summaries),
            more=self.more,
            touched=tuple(touched),
        )


def consolidate(held: Sequence[Held], policy: Policy, *, now: datetime, summarise: Summarise = summarise) -> Plan:
    """Return what is to be done with the items of one scope.

    Args:
        held: all items of the scope that are not retired, in any order.
        summarise: episodes of a session and the most sentences -> a text; `rag.lore.summary.LlmSummariser` asks a model.
    Cost: O(n log n), and one summary for each session that has none yet.
    """
    ordered = sorted(held, key=lambda one: (one.item.time, one.item.id))
    left = policy.most_changes
    expiries = list(_expired(ordered, policy, now))
    gone = {one.id for one in expiries}
    merges = list(_duplicates([one for one in ordered if one.item.id not in gone]))
    gone |= {one.gone for one in merges}
    expiries += _over_limit([one for one in ordered if one.item.id not in gone], policy)
    gone |= {one.id for one in expiries}
    wanted = len(expiries) + len(merges)
    expiries = expiries[:left]
    merges = merges[: left - len(expiries)]
    left -= len(expiries) + len(merges)
    remaining = [one.item for one in ordered if one.item.id not in gone]
    summaries: list[Summary] = []
    more = wanted > policy.most_changes
    for session in _unsummarised(remaining, policy, now):
        if len(summaries) == left:
            more = True
            break
        if policy.most_items is None or len(remaining) + len(summaries) < policy.most_items:
            summaries += _summary(session, remaining, policy, summarise)
    return Plan(len(held), tuple(expiries), tuple(merges), tuple(summaries), more)


def _expired(ordered: Sequence[Held], policy: Policy, now: datetime) -> Iterator[Expiry]:
    for one in ordered:
        if policy.retention is not None and now - one.item.time > policy.retention:
            yield Expiry(one.item.id, "retention")
        elif (
            policy.unused is not None
            and one.item.kind is not Kind.EPISODE
            and one.item.importance < policy.important
            and SUMMARY_OF not in one.item.metadata
            and now - max(one.item.time, one.last_recalled or _LEAST) > policy.unused
        ):
            yield Expiry(one.item.id, "unused")


def _duplicates(ordered: Sequence[Held]) -> Iterator[Merge]:
    """Facts that say the same of overlapping times: the earliest stays. What is marked as a conflict is left alone."""
    kept: dict[object, list[MemoryItem]] = {}
    for one in ordered:
        item = one.item
        if item.kind is Kind.EPISODE or item.conflicts or SUMMARY_OF in item.metadata:
            continue
        same = kept.setdefault(_says(item), [])
        first = next((other for other in same if _overlap(item, other)), None)
        if first:
            yield Merge(first.id, item.id)
        else:
            same.append(item)


def _says(item: MemoryItem) -> object:
    """What makes two texts one: the same words in any order, numbers and denials included."""
    said = facts(item.text)
    return frozenset(content_words(item.text)), frozenset(said.denied), said.dates, said.quantities


def _overlap(one: MemoryItem, other: MemoryItem) -> bool:
    return (one.valid_from or _LEAST) < (other.valid_to or _MOST) and (other.valid_from or _LEAST) < (
        one.valid_to or _MOST
    )


def _over_limit(ordered: Sequence[Held], policy: Policy) -> list[Expiry]:
    """The least valuable beyond the limit: facts that were recalled least and matter least, older first; then the oldest episodes."""
    if policy.most_items is None or len(ordered) <= policy.most_items:
        return []
    ranked = sorted(
        ordered,
        key=lambda one: (
            one.item.kind is Kind.EPISODE, one.recalled, one.item.importance, one.last_recalled or _LEAST, one.item.time, one.item.id,
        ),
    )  # fmt: skip
    return [Expiry(one.item.id, "limit") for one in ranked[: len(ordered) - policy.most_items]]


def _unsummarised(items: Sequence[MemoryItem], policy: Policy, now: datetime) -> list[str]:
    """Sessions that are over long enough, oldest first, and lack a summary of just their episodes."""
    if policy.summarise_after is None:
        return []
    last: dict[str, datetime] = {}
    for item in items:
        if item.kind is Kind.EPISODE and _session(item):
            last[_session(item)] = max(item.time, last.get(_session(item), _LEAST))
    covered = {(item.metadata[SUMMARY_OF], item.metadata.get(COVERS)) for item in items if SUMMARY_OF in item.metadata}
    old = sorted((time, session) for session, time in last.items() if now - time > policy.summarise_after)
    return [session for _, session in old if (session, _covers(session, items)) not in covered]


def _summary(session: str, items: Sequence[MemoryItem], policy: Policy, summarise: Summarise) -> list[Summary]:
    said = [item for item in items if item.kind is Kind.EPISODE and _session(item) == session]
    episodes = [episode for item in said for episode in item.provenance]
    text = summarise(episodes, policy.sentences)
    if not text:
        return []
    earlier = tuple(item.id for item in items if item.metadata.get(SUMMARY_OF) == session)
    metadata = {SUMMARY_OF: session, COVERS: _covers(session, items)}
    return [Summary(session, text, tuple(episode.id for episode in episodes), metadata, said[-1].time, earlier)]


def _session(item: MemoryItem) -> str:
    return item.provenance[0].session if item.provenance else ""


def _covers(session: str, items: Sequence[MemoryItem]) -> str:
    return digest(*(item.id for item in items if item.kind is Kind.EPISODE and _session(item) == session))[:32]
