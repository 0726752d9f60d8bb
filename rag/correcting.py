"""Corrections of memory by hand: another text, a decision undone, a copy in another scope, who may write where; and what was decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from indexes.access import AccessFilter
from indexes.dialects import Sql
from indexes.errors import AccessDenied, MemoryNotFound
from indexes.memory_rows import MemoryRow, add, change, current, find, raise_epoch, sources, vector_of
from indexes.vocabulary import Acl, digest
from rag.deciding import NEW, Deciding, rows_of_event, source_ids, undo
from rag.lore.clock import from_micros, now_micros
from rag.lore.items import Kind, MemoryEvent, MemoryItem
from rag.lore.scopes import SESSION, scope_of
from rag.memory_rooms import MemoryRooms, item_of, terms_of_row
from rag.remembering import NOTE_PENDING

if TYPE_CHECKING:
    from sqlalchemy import Connection

_NOT_FOUND = "no such item of memory"
_NO_LONGER_PENDING = Sql("DELETE FROM memory_pending WHERE seq = ?")


def update(
    rooms: MemoryRooms,
    item_id: str,
    text: str,
    metadata: Mapping[str, Any] | None,
    *,
    access: AccessFilter,
    administrator: bool = False,
) -> MemoryItem:
    """See `Memory.update`. The version before is retired, the new one has the same id."""
    with rooms.catalog.read() as db:
        seen = _readable(db, item_id, access)
    _check_writable(rooms, seen, access, administrator)
    vector = rooms.embed([text], [seen.speaker])
    with rooms.catalog.write() as db:
        row = _readable(db, item_id, access)
        new = replace(row, text=text, metadata=row.metadata if metadata is None else metadata)
        if row.kind != Kind.EPISODE and text != row.text:
            new = replace(new, value=text)
        return item_of(*_replaced(rooms, db, row, new, vector, by=access.principal.subject, access=access))


def _replaced(
    rooms: MemoryRooms,
    db: Connection,
    row: MemoryRow,
    new: MemoryRow,
    vector: Any,
    *,
    by: str,
    access: AccessFilter,
    anew: bool = True,
) -> tuple[MemoryRow, list[MemoryRow]]:
    """Retire a version and write the next; return that with its sources.

    Args:
        anew: facts are to be derived from the new text.
    """
    now, epoch = now_micros(), raise_epoch(db, row.class_id)
    deciding = Deciding(db, now, by)
    before = {
        name: getattr(row, name) for name in ("text", "metadata", "value") if getattr(row, name) != getattr(new, name)
    }
    if not before:
        return row, sources(db, [row.id], access=access).get(row.id, [])
    deciding.add(row.id, "update", before, "")
    change(db, row, epoch=epoch, retired=now)
    (new,) = add(
        db, [replace(new, recorded=now, stored=now, seq=0)], vector, [terms_of_row(new.text, new.speaker)],
        model_id=rooms.embedder.model_id, epochs={row.class_id: epoch},
    )  # fmt: skip
    if row.kind == Kind.EPISODE and "text" in before:
        for fact in resting(db, row.id):
            deciding.touch(fact, "update", "its source was changed", epoch=raise_epoch(db, fact.class_id), retired=now)
        db.exec_driver_sql(_NO_LONGER_PENDING.on(db), (row.seq,))  # nothing follows from the text before
        if anew:
            db.exec_driver_sql(NOTE_PENDING.on(db), (new.seq,))
    deciding.log()
    return new, sources(db, [row.id], access=access).get(row.id, [])


def resting(db: Connection, episode_id: str) -> list[MemoryRow]:
    """Return the facts that rest on an episode and were derived from it, not shared."""
    from sqlalchemy import select

    from indexes.tables import memory_items as items
    from indexes.tables import memory_sources

    ids = select(memory_sources.c.item_id).where(memory_sources.c.episode_id == episode_id)
    return find(db, items.c.id.in_(ids), items.c.retired.is_(None), items.c.shared_from.is_(None))


def history(rooms: MemoryRooms, item_id: str, *, access: AccessFilter) -> list[MemoryEvent]:
    """Return the decisions about an item, oldest first; none where no version of it may be read."""
    from sqlalchemy import select

    from indexes.tables import memory_events as table
    from indexes.tables import memory_items as items

    with rooms.catalog.read() as db:
        if not any(row.class_id in access.classes for row in find(db, items.c.id == item_id)):
            return []
        rows = db.execute(select(table).where(table.c.item_id == item_id).order_by(table.c.seq)).all()
    return [
        MemoryEvent(
            id=row.event_id,
            item_id=row.item_id,
            action=row.action,
            at=from_micros(row.at),
            by=row.by,
            reason=row.reason,
            before=row.before or {},
            undone=row.undone is not None,
        )
        for row in rows
    ]


def restore(rooms: MemoryRooms, event_id: str, *, access: AccessFilter, administrator: bool = False) -> MemoryItem:
    """See `Memory.restore`."""
    from indexes.tables import memory_items as items

    by, now = access.principal.subject, now_micros()
    with rooms.catalog.read() as db:
        told = rows_of_event(db, event_id)
        touched = {row.id: row for row in find(db, items.c.id.in_({event.item_id for event in told}))}
    if not any(row.class_id in access.classes for row in touched.values()):
        raise MemoryNotFound("no such decision of memory")
    for row in touched.values():
        _check_writable(rooms, row, access, administrator)
    texts = {e.item_id: e.before["text"] for e in told if e.before and "text" in e.before}
    vectors = {name: rooms.embed([text], [touched[name].speaker]) for name, text in texts.items()}
    underived = len(touched) == 1  # no fact rested on it then: it may have been changed before any was derived
    with rooms.catalog.write() as db:

        def rewrite(row: MemoryRow, before: Mapping[str, Any]) -> MemoryRow:
            new, vector = replace(row, **before), vectors.get(row.id)
            if vector is None:
                vector = vector_of(db, row)
            return _replaced(rooms, db, row, new, vector, by=by, access=access, anew=underived)[0]

        standing = undo(db, event_id, at=now, by=by, rewrite=rewrite)
        main = next((row for row in standing if row.id == told[0].item_id), None) or standing[0]
        return item_of(main, sources(db, [main.id], access=access).get(main.id, ()))


def share(
    rooms: MemoryRooms, item_id: str, scope: object, *, access: AccessFilter, administrator: bool = False
) -> tuple[MemoryItem, str]:
    """See `Memory.share`; returns the copy, and the scope that the item is of."""
    by, now = access.principal.subject, now_micros()
    with rooms.catalog.read() as db:
        seen = _readable(db, item_id, access)
    target = rooms.writable(scope, access=access, administrator=administrator)
    vector = rooms.embed([seen.text], [seen.speaker])
    copy_id = digest("shared", seen.id, str(target.class_id), target.scope.text)[:32]
    session = seen.session if target.scope.text == SESSION else ""
    with rooms.catalog.write() as db:
        row = _readable(db, item_id, access)
        if (known := current(db, copy_id, access=_with(access, target.class_id))) is None:
            epoch = raise_epoch(db, target.class_id)
            copied = replace(
                row, id=copy_id, class_id=target.class_id, scope=target.scope.text, session=session, stored=now,
                recorded=now, by=by, shared_from=row.id, conflicts=(), reinforced=0, recalled=None, seq=0,
            )  # fmt: skip
            (known,) = add(
                db, [copied], vector, [terms_of_row(row.text, row.speaker)], model_id=rooms.embedder.model_id,
                epochs={target.class_id: epoch},
            )  # fmt: skip
            deciding = Deciding(db, now, by)
            deciding.link(copy_id, source_ids(db, [row.id])[row.id])
            deciding.add(copy_id, "share", NEW, "")
            deciding.log()
        return item_of(known, sources(db, [copy_id], access=access).get(copy_id, ())), row.scope


def grant(rooms: MemoryRooms, scope: str, to: str, *, revoke: bool = False) -> None:
    """See `Memory.grant`."""
    from sqlalchemy import delete

    from indexes.dialects import insert_new
    from indexes.tables import memory_writers as table
    from indexes.vocabulary import Principal

    text = scope_of(scope, Principal(rooms.catalog.tenant, "service:loremill")).text
    (name,) = Acl((to,)).allow
    with rooms.catalog.write() as db:
        if revoke:
            db.execute(delete(table).where(table.c.scope == text, table.c.name == name))
        else:
            db.execute(insert_new(db, table), {"scope": text, "name": name})


def _with(access: AccessFilter, class_id: int) -> AccessFilter:
    """Return the filter that also sees the scope into which the principal may write, for its own copy."""
    return replace(access, classes=access.classes | {class_id})


def _readable(db: Connection, item_id: str, access: AccessFilter) -> MemoryRow:
    row = current(db, item_id, access=access)
    if row is None:
        raise MemoryNotFound(_NOT_FOUND)
    return row


def _check_writable(rooms: MemoryRooms, row: MemoryRow, access: AccessFilter, administrator: bool) -> None:
    """Refuse who may read an item but not write where it is; who may not even read it learns nothing."""
    if not administrator and not rooms.may_write(row, access):
        if row.class_id not in access.classes:
            raise MemoryNotFound(_NOT_FOUND)
        raise AccessDenied(access.principal, f"{access.principal.subject} may not write in the scope {row.scope!r}")
