"""Erases a subject's memory: what it wrote and what lies in its own scopes, with every version, the facts that rest on it, shared copies and history.

A fact that also rests on what others said is deleted too, and derived anew from that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from indexes.batches import batched
from indexes.catalog import Catalog
from rag.erasure.target import Eraser, Found, Target, strings_in

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from indexes.memory_rows import MemoryRow
    from rag.fingerprints import Finder


class _Undone(Exception):
    """Takes back what was done to see what it would do."""


class MemoryEraser(Eraser):
    """Of one tenant."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def find(self, target: Target) -> Found:
        rows, vectors = self._doomed(target)
        strings: list[str | bytes] = [vector[:32] for vector in vectors]
        for row in rows:
            strings += [row.text, *strings_in(row.metadata)]
        kinds = {"episode": 0, "fact": 0, "profile": 0}
        for row in rows:
            kinds[row.kind] = kinds.get(row.kind, 0) + 1
        return Found({f"memory_{kind}s": count for kind, count in kinds.items()}, tuple(strings))

    def kept(self, target: Target) -> Iterator[str]:
        from sqlalchemy import select

        from indexes.tables import memory_items as items

        going = {row.seq for row in self._doomed(target)[0]}
        query = select(items.c.seq, items.c.text, items.c.metadata)
        with self._catalog.read() as db:
            for row in db.execution_options(yield_per=1000).execute(query):
                if row.seq not in going:
                    yield "\n".join((row.text, *strings_in(row.metadata)))

    def erase(self, target: Target, _finder: Finder) -> None:
        from rag.forgetting import forget_in

        if target.subject:
            with self._catalog.write() as db:
                forget_in(db, _own(db, target.subject))

    def _doomed(self, target: Target) -> tuple[tuple[MemoryRow, ...], list[bytes]]:
        """Return the rows that go, and the vectors of texts that no other row has.

        The rows are deleted to see what follows from it, and that is taken back.
        """
        from sqlalchemy import select

        from indexes.tables import memory_items as items
        from indexes.tables import memory_vectors
        from rag.forgetting import Forgotten, forget_in

        gone = Forgotten(())
        if not target.subject:
            return gone.rows, []
        try:
            with self._catalog.write() as db:
                gone = forget_in(db, _own(db, target.subject))
                raise _Undone
        except _Undone:
            pass
        going = {row.seq for row in gone.rows}
        vectors: list[bytes] = []
        with self._catalog.read() as db:
            for batch in batched(gone.rows):
                same = select(items.c.seq, items.c.text).where(items.c.text.in_({row.text for row in batch}))
                shared = {row.text for row in db.execute(same) if row.seq not in going}  # these have vectors like ours
                wanted = memory_vectors.c.seq.in_([row.seq for row in batch if row.text not in shared])
                vectors += db.execute(select(memory_vectors.c.vector).where(wanted)).scalars()
        return gone.rows, vectors


def _own(db: Connection, subject: str) -> list[str]:
    """Return the ids of the items that the subject wrote, or that nobody but it may read."""
    from sqlalchemy import select

    from indexes.tables import acl_classes
    from indexes.tables import memory_items as items

    classes = select(acl_classes.c.class_id, acl_classes.c.allow)
    alone = [row.class_id for row in db.execute(classes) if row.allow == [subject]]
    own = (items.c.by == subject) | items.c.class_id.in_(alone)
    return list(db.execute(select(items.c.id).where(own).distinct()).scalars())
