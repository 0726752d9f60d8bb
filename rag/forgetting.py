"""Forget: rows, vectors, words, links and history of items are deleted in one transaction; what was derived from them falls too.

A fact whose sources are all gone is deleted. One that keeps some is deleted and derived anew from those, since its words may be those of
the one that is gone. What a deleted fact had closed holds again; copies that were shared of a deleted item are deleted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from indexes.access import AccessFilter
from indexes.batches import batched
from indexes.dialects import Sql
from indexes.memory_rows import MemoryRow, delete, find, raise_epoch
from rag.deciding import undo_others
from rag.lore.clock import read_time, to_micros
from rag.lore.items import Kind
from rag.lore.scopes import SESSION, scope_of
from rag.memory_rooms import MemoryRooms

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

    from indexes.vocabulary import Principal

_CONSEQUENT = ("close", "retract", "conflict")
"""Decisions about a fact that follow from another one, or from an episode."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was deleted: every version of every item, and the episodes from which facts are to be derived anew."""

    rows: tuple[MemoryRow, ...]
    anew: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)


def forget_items(rooms: MemoryRooms, item_ids: Iterable[str]) -> Forgotten:
    """Delete items with all that follows from them, in one transaction. Whether the caller may is the caller's to check."""
    with rooms.catalog.write() as db:
        return forget_in(db, item_ids)


def forget_in(db: Connection, item_ids: Iterable[str]) -> Forgotten:
    """As `forget_items`, in the caller's transaction."""
    doomed = set(item_ids)
    anew: set[str] = set()
    fresh = doomed
    while fresh:  # a copy may have been shared on
        followers, rests = _followers(db, fresh)
        anew |= rests
        fresh = followers - doomed
        doomed |= fresh
    anew -= doomed
    rows = _versions(db, doomed)
    if not rows:
        return Forgotten(())
    touched = _undo(db, doomed) | {row.class_id for row in rows}
    delete(db, rows)
    _unlink(db, doomed)
    for class_id in sorted(touched):
        raise_epoch(db, class_id, gone=True)
    _derive_anew(db, anew)
    counts = Counter(row.kind for row in rows if row.retired is None)
    return Forgotten(tuple(rows), tuple(sorted(anew)), dict(sorted(counts.items())))


def _followers(db: Connection, item_ids: set[str]) -> tuple[set[str], set[str]]:
    """Return the facts and copies that rest on the items, and the other episodes that those facts rest on."""
    from sqlalchemy import select

    from indexes.tables import memory_items, memory_sources

    facts: set[str] = set()
    copies: set[str] = set()
    for batch in batched(item_ids):
        resting = select(memory_sources.c.item_id).where(memory_sources.c.episode_id.in_(batch))
        facts.update(db.execute(resting).scalars())
        copies.update(db.execute(select(memory_items.c.id).where(memory_items.c.shared_from.in_(batch))).scalars())
    rests: set[str] = set()
    for batch in batched(facts - item_ids):
        rests.update(
            db.execute(select(memory_sources.c.episode_id).where(memory_sources.c.item_id.in_(batch))).scalars()
        )
    return facts | copies, rests


def _versions(db: Connection, item_ids: Iterable[str]) -> list[MemoryRow]:
    from indexes.tables import memory_items as items

    return [row for batch in batched(item_ids) for row in find(db, items.c.id.in_(batch))]


def _undo(db: Connection, item_ids: set[str]) -> set[int]:
    """Undo what decisions did to other items that were about one of these as well; return the classes of those."""
    from sqlalchemy import select

    from indexes.tables import memory_events as table

    events: list[str] = []
    for batch in batched(item_ids):
        query = select(table.c.event_id).where(table.c.item_id.in_(batch), table.c.undone.is_(None))
        query = query.where(table.c.action.in_(_CONSEQUENT)).order_by(table.c.seq.desc())
        events += db.execute(query).scalars()
    touched: set[int] = set()
    for event_id in dict.fromkeys(events):
        touched |= undo_others(db, event_id, gone=item_ids)
    return touched


def _unlink(db: Connection, item_ids: Iterable[str]) -> None:
    """Delete links and history of the items."""
    from sqlalchemy import delete, or_

    from indexes.tables import memory_events, memory_sources

    for batch in batched(item_ids):
        db.execute(
            delete(memory_sources).where(
                or_(memory_sources.c.item_id.in_(batch), memory_sources.c.episode_id.in_(batch))
            )
        )
        db.execute(delete(memory_events).where(memory_events.c.item_id.in_(batch)))


_DERIVE_ANEW = Sql(
    "INSERT INTO memory_pending (seq, attempts, error) SELECT i.seq, 0, '' FROM each_text(?) AS wanted"
    " CROSS JOIN memory_items AS i WHERE i.id = wanted.value AND i.retired IS NULL ON CONFLICT DO NOTHING"
)


def _derive_anew(db: Connection, episode_ids: Iterable[str]) -> None:
    for batch in batched(episode_ids):
        db.exec_driver_sql(_DERIVE_ANEW.on(db), (json.dumps(batch),))


def matching(rows: Sequence[MemoryRow], query: str) -> list[MemoryRow]:
    """Return the rows that hold every word of the query, by stem."""
    from indexes.memory_terms import terms_of
    from rag.memory_rooms import spoken

    wanted = set(terms_of(query).tolist())
    return [row for row in rows if wanted and wanted <= set(terms_of(spoken(row.text, row.speaker)).tolist())]


def with_sources(db: Connection, rows: Iterable[MemoryRow]) -> set[str]:
    """Return the items' ids and those of the episodes that they rest on."""
    from sqlalchemy import select

    from indexes.tables import memory_sources

    found = {row.id for row in rows}
    for batch in batched([row.id for row in rows if row.kind != Kind.EPISODE]):
        found.update(
            db.execute(select(memory_sources.c.episode_id).where(memory_sources.c.item_id.in_(batch))).scalars()
        )
    return found


def check_conditions(given: Mapping[str, Any], principal: Principal, *, max_query_chars: int) -> dict[str, Any]:
    """Return the conditions of `Memory.forget` as they are compared.

    Raises:
        ConfigError, TooLarge: one is malformed.
    """
    from rag.recalling import check_query
    from rag.remembering import check_session

    checks: dict[str, Callable[[Any], Any]] = {
        "query": lambda text: check_query(text, max_query_chars),
        "session": lambda name: check_session(name, SESSION),
        "scope": lambda text: scope_of(text, principal).text,
        "before": lambda time: to_micros(read_time(time, "before")),
    }
    return {name: checks[name](value) if name in checks else value for name, value in given.items()}


def select_items(
    rooms: MemoryRooms, given: Mapping[str, Any], *, access: AccessFilter, administrator: bool = False
) -> set[str]:
    """Return the ids of the items that all conditions hold for and that the principal may read and write.

    Args:
        given: conditions, checked.
        administrator: the principal may write in every scope; what it may not read stays.
    """
    from sqlalchemy import func

    from indexes.tables import memory_items as items

    conditions: list[ColumnElement[bool]] = [items.c.class_id.in_(sorted(access.classes)), items.c.retired.is_(None)]
    conditions += [items.c[name] == given[name] for name in ("id", "session", "scope") if name in given]
    if "before" in given:
        conditions.append(items.c.time < given["before"])
    if "subject" in given:
        about = str(given["subject"]).casefold()
        conditions.append(
            func.lower(items.c.subject).in_([about])
            | func.lower(items.c.speaker).in_([about])
            | (items.c.by == given["subject"])
        )
    with rooms.catalog.read() as db:
        rows = find(db, *conditions)
        if "query" in given:
            rows = matching(rows, given["query"])
        names = {row.id for row in rows}
        if "query" in given or "subject" in given:
            names = with_sources(db, rows)
        mine = [row for row in _versions(db, names) if row.class_id in access.classes]
        return {row.id for row in mine if administrator or rooms.may_write(row, access)}
