"""Rows of memory in the catalog: written in the caller's transaction, read only through the classes that a principal holds.

A row is one version of an item. Each class of a scope has an epoch that every change raises and writes into the rows that it
touches, so that whoever holds a copy of the class in memory (`indexes.memory_index`) asks for what changed since.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from indexes.access import AccessFilter
from indexes.arrays import Float32Matrix
from indexes.batches import batched
from indexes.dialects import Sql

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """One version of an item, as stored; see `indexes.tables.memory_items`. Times are microseconds since 1970, UTC.

    `seq` is 0 before it is written.
    """

    id: str
    class_id: int
    scope: str
    kind: str
    text: str
    time: int
    recorded: int
    stored: int
    by: str
    speaker: str = ""
    role: str = ""
    session: str = ""
    subject: str = ""
    relation: str = ""
    relation_key: str = ""
    value: str = ""
    negated: bool = False
    single: bool = False
    event: bool = False
    retired: int | None = None
    valid_from: int | None = None
    valid_to: int | None = None
    closed: int | None = None
    trust: float = 1.0
    importance: float = 0.5
    confidence: float = 1.0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    conflicts: Sequence[str] = ()
    reinforced: int = 0
    recalled: int | None = None
    shared_from: str | None = None
    seq: int = 0


COLUMNS = tuple(one.name for one in fields(MemoryRow))


def shown(row: Any, *, now: int, as_of: int | None = None) -> bool:
    """Return whether a recall may show a row: what memory says now or, with `as_of`, what held and was known at that moment.

    What has ended is not shown, unless it had already ended when it was said: that is history, which nothing superseded.

    Args:
        row: has `recorded`, `retired`, `valid_from`, `valid_to` and `closed`.
    """
    moment = now if as_of is None else as_of
    if as_of is None:
        known = row.retired is None
    else:
        known = row.recorded <= as_of and (row.retired is None or row.retired > as_of)
        known = known and (row.valid_from is None or row.valid_from <= as_of)
    if not known or row.valid_to is None or row.valid_to > moment:
        return bool(known)
    return bool(row.valid_to <= row.recorded if row.closed is None else row.closed > moment)


_RAISE = Sql(
    "INSERT INTO memory_classes AS c (class_id, epoch, gone) VALUES (?, 1, 0)"
    " ON CONFLICT (class_id) DO UPDATE SET epoch = c.epoch + 1 RETURNING epoch"
)
_GONE = Sql("UPDATE memory_classes SET gone = epoch WHERE class_id = ?")


def raise_epoch(db: Connection, class_id: int, *, gone: bool = False) -> int:
    """Tell every process that items of the class have changed; return the new epoch, from 1.

    Args:
        gone: rows were deleted.
    """
    epoch = db.exec_driver_sql(_RAISE.on(db), (class_id,)).scalar_one()
    if gone:
        db.exec_driver_sql(_GONE.on(db), (class_id,))
    return int(epoch)


def add(
    db: Connection,
    rows: Sequence[MemoryRow],
    vectors: Float32Matrix,
    terms: Sequence[bytes],
    *,
    model_id: str,
    epochs: Mapping[int, int],
) -> list[MemoryRow]:
    """Write rows and what they are found by; return them with their `seq`.

    Args:
        vectors: float32, shape (rows, dim).
        terms: of each row, see `indexes.memory_terms`.
        epochs: of each class that has one of the rows, raised in this transaction.
    """
    if not rows:
        return []
    first = _next_seq(db, len(rows))
    stored = [(seq, epochs[row.class_id], *_cells(row)) for seq, row in enumerate(rows, first)]
    db.exec_driver_sql(_INSERT.on(db), stored)
    found = [
        (seq, model_id, vector.astype("<f4").tobytes(), blob)
        for seq, (vector, blob) in enumerate(zip(vectors, terms, strict=True), first)
    ]
    db.exec_driver_sql(_INSERT_VECTORS.on(db), found)
    return [replace(row, seq=seq) for seq, row in enumerate(rows, first)]


def _next_seq(db: Connection, n: int) -> int:
    """Return the first of `n` numbers in a row that no row has or ever had."""
    if db.dialect.name == "postgresql":  # the sequence, not the rows: those that had the highest may be deleted
        query = "SELECT min(nextval('memory_items_seq_seq')) FROM generate_series(1, %s)"
        return int(db.exec_driver_sql(query, (n,)).scalar_one())
    last = db.exec_driver_sql("SELECT max(seq) FROM sqlite_sequence WHERE name = 'memory_items'").scalar()
    return 1 + (last or 0)


def change(db: Connection, row: MemoryRow, *, epoch: int, **values: Any) -> MemoryRow:
    """Write other values into some columns of a row."""
    from sqlalchemy import update

    from indexes.tables import memory_items

    db.execute(update(memory_items).where(memory_items.c.seq == row.seq).values(changed=epoch, **values))
    return replace(row, **values)


def find(db: Connection, *conditions: ColumnElement[bool], limit: int | None = None) -> list[MemoryRow]:
    """Return the rows that all conditions on `memory_items` hold for, in the order in which they were written."""
    from sqlalchemy import select

    from indexes.tables import memory_items

    query = select(*(memory_items.c[name] for name in COLUMNS)).where(*conditions).order_by(memory_items.c.seq)
    return [MemoryRow(**row._mapping) for row in db.execute(query.limit(limit))]


def current(db: Connection, item_id: str, *, access: AccessFilter) -> MemoryRow | None:
    """Return the present version of an item, None if there is none that `access` may read."""
    from indexes.tables import memory_items as items

    found = find(db, items.c.id == item_id, items.c.retired.is_(None))
    return found[0] if found and found[0].class_id in access.classes else None


_COLUMNS = ", ".join('i."' + name + '"' for name in COLUMNS)
_CONFIRM = Sql(
    f"SELECT {_COLUMNS} FROM each_number(?) AS wanted CROSS JOIN memory_items AS i WHERE i.seq = wanted.value"
)


def confirm(
    db: Connection,
    seqs: Collection[int],
    *,
    access: AccessFilter,
    now: int,
    as_of: int | None = None,
    passes: Callable[[MemoryRow], bool] = lambda row: True,
) -> dict[int, MemoryRow]:
    """Return those of the rows that `access` may read and a recall may show at this moment, by seq.

    This is the last look before text leaves: a right taken away, or an item forgotten, a moment ago holds here, whatever an index
    still says. Cost: one look-up by key a row.

    Args:
        passes: what else was asked for.
    """
    found = {}
    for values in db.exec_driver_sql(_CONFIRM.on(db), (json.dumps([int(seq) for seq in seqs]),)).all():
        row = _row(values)
        if row.class_id in access.classes and shown(row, now=now, as_of=as_of) and passes(row):
            found[row.seq] = row
    return found


_SOURCES = Sql(
    f"SELECT s.item_id, {_COLUMNS} FROM each_text(?) AS wanted"
    " CROSS JOIN memory_sources AS s CROSS JOIN memory_items AS i"
    " WHERE s.item_id = wanted.value AND i.id = s.episode_id AND i.retired IS NULL ORDER BY i.time, i.seq"
)


def sources(db: Connection, item_ids: Collection[str], *, access: AccessFilter) -> dict[str, list[MemoryRow]]:
    """Return the episodes that items rest on, of those that `access` may read, by item id, oldest first."""
    found: dict[str, list[MemoryRow]] = {}
    if not item_ids:
        return found
    for item_id, *values in db.exec_driver_sql(_SOURCES.on(db), (json.dumps(list(item_ids)),)):
        row = _row(values)
        if row.class_id in access.classes:
            found.setdefault(item_id, []).append(row)
    return found


_VECTOR = Sql("SELECT vector FROM memory_vectors WHERE seq = ?")


def vector_of(db: Connection, row: MemoryRow) -> Float32Matrix:
    """Return a row's vector, shape (1, dim)."""
    import numpy as np

    stored = db.exec_driver_sql(_VECTOR.on(db), (row.seq,)).scalar_one()
    return np.frombuffer(stored, "<f4")[None].astype(np.float32)


def delete(db: Connection, rows: Iterable[MemoryRow]) -> None:
    """Delete rows with what they were found by."""
    from sqlalchemy import delete

    from indexes.tables import memory_items, memory_pending, memory_vectors

    for batch in batched(row.seq for row in rows):
        for table in (memory_items, memory_vectors, memory_pending):
            db.execute(delete(table).where(table.c.seq.in_(batch)))


_JSON = {COLUMNS.index(name): name for name in ("metadata", "conflicts")}
_FLAGS = tuple(COLUMNS.index(name) for name in ("negated", "single", "event"))


def _row(values: Sequence[Any]) -> MemoryRow:
    """Return the row of what the driver gives; that of SQLite knows neither JSON nor booleans."""
    cells = list(values)
    for place in _JSON:
        if isinstance(cells[place], str):
            cells[place] = json.loads(cells[place])
    for place in _FLAGS:
        cells[place] = bool(cells[place])
    return MemoryRow(*cells)


def _cells(row: MemoryRow) -> list[Any]:
    """Return what the driver takes for a row's columns but `seq`."""
    cells = [getattr(row, name) for name in COLUMNS[:-1]]
    for place, name in _JSON.items():
        cells[place] = json.dumps(dict(row.metadata) if name == "metadata" else list(row.conflicts))
    return cells


_INSERT = Sql(
    "INSERT INTO memory_items (seq, changed, "
    + ", ".join('"' + name + '"' for name in COLUMNS[:-1])
    + f") VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"
)
_INSERT_VECTORS = Sql("INSERT INTO memory_vectors (seq, model_id, vector, terms) VALUES (?, ?, ?, ?)")
