"""Decisions about items: carried out in one transaction, logged with what was before, and undone by their id.

A decision may touch several items; each has a row in the log, with the columns that it changed as they were. The links of a fact to its
sources count as one more column, `sources`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from indexes.batches import batched
from indexes.dialects import Sql
from indexes.errors import ConfigError
from indexes.memory_rows import MemoryRow, change, find, raise_epoch

if TYPE_CHECKING:
    from sqlalchemy import Connection

AUTO = "auto"
NEW: None = None
"""What was before an item that a decision brought."""
SOURCES = "sources"
TEXTS = frozenset({"text", "metadata", "value"})
"""What another version of an item has; other columns change in place."""
_LINK = Sql("INSERT INTO memory_sources (item_id, episode_id) VALUES (?, ?) ON CONFLICT DO NOTHING")
_UNLINK = Sql("DELETE FROM memory_sources WHERE item_id = ? AND episode_id = ?")


@dataclass(slots=True)
class Deciding:
    """One decision as it is carried out: `touch` each item, then `log` it."""

    db: Connection
    at: int
    by: str = AUTO
    event_id: str = field(default_factory=lambda: secrets.token_hex(16))
    _rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, item_id: str, action: str, before: Mapping[str, Any] | None, reason: str) -> None:
        """Note what an item was before; `NEW` where there was none."""
        self._rows.append(
            {
                "event_id": self.event_id,
                "item_id": item_id,
                "action": action,
                "at": self.at,
                "by": self.by,
                "reason": reason,
                "before": None if before is None else dict(before),
            }
        )

    def touch(self, row: MemoryRow, action: str, reason: str, *, epoch: int, **values: Any) -> MemoryRow:
        """Change some columns of an item, and note what they were."""
        self.add(row.id, action, {name: getattr(row, name) for name in values}, reason)
        return change(self.db, row, epoch=epoch, **values)

    def link(self, item_id: str, episode_ids: Iterable[str]) -> None:
        """Let a fact rest on episodes, too."""
        for episode_id in episode_ids:
            self.db.exec_driver_sql(_LINK.on(self.db), (item_id, episode_id))

    def log(self) -> str:
        """Write the decision down, and return its id."""
        from sqlalchemy import insert

        from indexes.tables import memory_events

        if self._rows:
            self.db.execute(insert(memory_events), self._rows)
        return self.event_id


def source_ids(db: Connection, item_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the ids of the episodes that each item rests on, sorted."""
    from sqlalchemy import select

    from indexes.tables import memory_sources as table

    found: dict[str, list[str]] = {name: [] for name in item_ids}
    for batch in batched(item_ids):
        for item_id, episode_id in db.execute(
            select(table.c.item_id, table.c.episode_id).where(table.c.item_id.in_(batch))
        ):
            found[item_id].append(episode_id)
    return {name: sorted(ids) for name, ids in found.items()}


def rows_of_event(db: Connection, event_id: str) -> list[Any]:
    """Return the log's rows of one decision, in order."""
    from sqlalchemy import select

    from indexes.tables import memory_events as table

    return list(db.execute(select(table).where(table.c.event_id == event_id).order_by(table.c.seq)))


def undo(
    db: Connection, event_id: str, *, at: int, by: str, rewrite: Callable[[MemoryRow, Mapping[str, Any]], MemoryRow]
) -> list[MemoryRow]:
    """Put back what a decision changed: columns as they were, items that it brought are retired. Returns the items as they are now.

    Args:
        rewrite: writes another version of an item, since a text is never changed in place.
    Raises:
        ConfigError: it is undone already, nothing is to be undone, or something decided later has changed the same.
    """
    from sqlalchemy import update

    from indexes.tables import memory_events as table
    from indexes.tables import memory_items as items

    told = [row for row in rows_of_event(db, event_id) if row.undone is None]
    if not told:
        raise ConfigError("this decision is undone already")
    deciding, standing = Deciding(db, at, by), []
    for event in sorted(told, key=lambda event: not (event.before and "text" in event.before)):
        present = find(db, items.c.id == event.item_id, items.c.retired.is_(None))
        if event.before is None:
            if present:
                epoch = raise_epoch(db, present[0].class_id)
                standing.append(deciding.touch(present[0], "undo", "", epoch=epoch, retired=at))
            continue
        row = present[0] if present else _last(db, event.item_id)
        if row is None or not event.before:
            continue
        if _changed_since(db, event):
            raise ConfigError("something was decided later about the same; undo that first (history tells its id)")
        texts = event.before.keys() & TEXTS
        standing.append(rewrite(row, event.before) if texts else _put_back(deciding, row, event.before))
    if not standing:
        raise ConfigError("this decision changed nothing that could be put back")
    db.execute(update(table).where(table.c.event_id == event_id).values(undone=at))
    deciding.log()
    return standing


def undo_others(db: Connection, event_id: str, *, gone: Collection[str]) -> set[int]:
    """Put back what a decision changed in items that are not `gone`, where nothing decided later has changed it; clear its reason.

    Returns the classes of those items.
    """
    from sqlalchemy import update

    from indexes.tables import memory_events as table
    from indexes.tables import memory_items as items

    classes = set()
    for event in reversed(rows_of_event(db, event_id)):
        if event.item_id in gone or not event.before or event.undone is not None or _changed_since(db, event):
            continue
        for row in find(db, items.c.id == event.item_id, items.c.retired.is_(None)):
            kept = {name: value for name, value in event.before.items() if name != SOURCES}
            change(db, row, epoch=raise_epoch(db, row.class_id), **kept)
            classes.add(row.class_id)
    db.execute(update(table).where(table.c.event_id == event_id).values(reason="", undone=event_at(db, event_id)))
    return classes


def event_at(db: Connection, event_id: str) -> int:
    """Return when a decision was made."""
    from sqlalchemy import func, select

    from indexes.tables import memory_events as table

    return int(db.execute(select(func.max(table.c.at)).where(table.c.event_id == event_id)).scalar_one())


def _put_back(deciding: Deciding, row: MemoryRow, before: Mapping[str, Any]) -> MemoryRow:
    db, epoch = deciding.db, raise_epoch(deciding.db, row.class_id)
    values = {name: value for name, value in before.items() if name != SOURCES}
    was = {name: getattr(row, name) for name in values}
    if SOURCES in before:
        was[SOURCES] = source_ids(db, [row.id])[row.id]
        for episode_id in set(was[SOURCES]) - set(before[SOURCES]):
            db.exec_driver_sql(_UNLINK.on(db), (row.id, episode_id))
        deciding.link(row.id, before[SOURCES])
    deciding.add(row.id, "undo", was, "")
    return change(db, row, epoch=epoch, **values)


def _last(db: Connection, item_id: str) -> MemoryRow | None:
    from indexes.tables import memory_items as items

    versions = find(db, items.c.id == item_id)
    return versions[-1] if versions else None


def _changed_since(db: Connection, event: Any) -> bool:
    """Return whether a later decision that stands has changed one of the same columns of the item."""
    from sqlalchemy import select

    from indexes.tables import memory_events as table

    later = select(table.c.before).where(
        table.c.item_id == event.item_id,
        table.c.seq > event.seq,
        table.c.undone.is_(None),
        table.c.event_id != event.event_id,
    )
    return any(before and not event.before.keys().isdisjoint(before) for before in db.execute(later).scalars())
