"""Consolidation of a scope, carried out: what `rag.lore.consolidate` plans, in one transaction, and only if nothing has changed since it was read.

What expires is forgotten for good. What is merged or summarised anew is retired, and `history` and `restore` know of it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from indexes.access import AccessFilter
from indexes.dialects import Sql
from indexes.errors import Busy
from indexes.memory_rows import MemoryRow, add, find, raise_epoch, sources
from indexes.vocabulary import digest
from rag.deciding import NEW, SOURCES, Deciding, source_ids
from rag.forgetting import forget_in
from rag.lore.clock import from_micros, now_micros, to_micros
from rag.lore.consolidate import ConsolidationReport, Held, Merge, Plan, Policy, Summary, consolidate
from rag.lore.items import Kind
from rag.lore.scopes import SESSION
from rag.memory_rooms import MemoryRooms, Written, item_of, terms_of_row

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from indexes.arrays import Float32Matrix

DEFAULT = Policy(summarise_after=timedelta(days=30))
_TRIES = 5


def consolidate_scope(
    rooms: MemoryRooms, written: Written, policy: Policy, *, access: AccessFilter
) -> ConsolidationReport:
    """Tidy one scope, and report what was done.

    Raises:
        Busy: others write into it all the time; nothing has changed.
    Cost: reads the whole scope, and embeds one text for each new summary.
    """
    rooms.flush_recalled()
    for _ in range(_TRIES):
        now = now_micros()
        with rooms.catalog.read() as db:
            epoch = _epoch(db, written.class_id)
            rows = {row.id: row for row in _rows(db, written)}
            told = sources(db, [row.id for row in rows.values() if row.kind != Kind.EPISODE], access=access)
        held = [
            Held(item_of(row, told.get(row.id, ())), int(row.recalled is not None), from_micros(row.recalled))
            for row in rows.values()
        ]
        plan = consolidate(held, policy, now=from_micros(now))
        vectors = rooms.embed([one.text for one in plan.summaries], [""] * len(plan.summaries))
        with rooms.catalog.write() as db:
            if _epoch(db, written.class_id) == epoch:
                if plan.report().changes:
                    _CarryingOut(db, rooms, written, rows, now, access.principal.subject).all(plan, vectors)
                return plan.report()
    raise Busy("the scope is being written into; consolidate it again later")


_EPOCH = Sql("SELECT epoch FROM memory_classes WHERE class_id = ?")


def _epoch(db: Connection, class_id: int) -> int:
    found = db.exec_driver_sql(_EPOCH.on(db), (class_id,)).scalar()
    return int(found or 0)


def _rows(db: Connection, written: Written) -> list[MemoryRow]:
    from indexes.tables import memory_items as items

    own = items.c.class_id == written.class_id, items.c.scope == written.scope.text
    return find(db, *own, items.c.retired.is_(None))


class _CarryingOut:
    """A plan as it becomes true, in the caller's transaction."""

    def __init__(
        self, db: Connection, rooms: MemoryRooms, written: Written, rows: dict[str, MemoryRow], now: int, by: str
    ) -> None:
        self._db, self._rooms, self._written, self._rows, self._now, self._by = db, rooms, written, rows, now, by
        self._epoch = raise_epoch(db, written.class_id)

    def all(self, plan: Plan, vectors: Float32Matrix) -> None:
        for merge in plan.merges:
            self._merge(merge)
        for place, summary in enumerate(plan.summaries):
            self._add(summary, vectors[place : place + 1])
        forget_in(self._db, [one.id for one in plan.expiries])

    def _merge(self, merge: Merge) -> None:
        kept, gone = self._rows[merge.kept], self._rows[merge.gone]
        deciding = Deciding(self._db, self._now, self._by)
        resting = source_ids(self._db, [kept.id, gone.id])
        deciding.add(kept.id, "merge", {SOURCES: resting[kept.id]}, "a duplicate was merged into it")
        deciding.link(kept.id, resting[gone.id])
        reinforced = kept.reinforced + gone.reinforced + 1
        self._rows[kept.id] = deciding.touch(
            kept, "merge", "a duplicate was merged into it", epoch=self._epoch, reinforced=reinforced,
            trust=min(kept.trust, gone.trust), time=max(kept.time, gone.time),
        )  # fmt: skip
        deciding.touch(gone, "merge", "says what another item says", epoch=self._epoch, retired=self._now)
        deciding.log()

    def _add(self, summary: Summary, vector: Float32Matrix) -> None:
        deciding = Deciding(self._db, self._now, self._by)
        for name in summary.replaces:
            deciding.touch(self._rows[name], "summary", "a newer summary", epoch=self._epoch, retired=self._now)
        scope = self._written.scope.text
        parts = (str(self._written.class_id), scope, summary.session, str(self._now), *summary.sources)
        row = MemoryRow(
            id=digest("summary", *parts)[:32],
            class_id=self._written.class_id,
            scope=scope,
            kind=Kind.FACT.value,
            text=summary.text,
            time=to_micros(summary.time),
            recorded=min(to_micros(summary.time), self._now),
            stored=self._now,
            by=self._by,
            session=summary.session if scope == SESSION else "",
            trust=min(self._rows[name].trust for name in summary.sources),
            metadata=dict(summary.metadata),
        )
        (row,) = add(
            self._db, [row], vector, [terms_of_row(row.text, "")], model_id=self._rooms.embedder.model_id,
            epochs={row.class_id: self._epoch},
        )  # fmt: skip
        deciding.link(row.id, summary.sources)
        deciding.add(row.id, "summary", NEW, "an old session was summarised")
        deciding.log()
