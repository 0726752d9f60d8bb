"""Erases records of evaluations that repeat what is erased: what was asked for, a summary, an error. Reports hold no text of any document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from indexes.batches import batched
from indexes.catalog import Catalog
from rag.erasure.target import Eraser, Found, Target, strings_in

if TYPE_CHECKING:
    from rag.fingerprints import Finder

_SAID = ("asked", "summary", "error")


class EvaluationEraser(Eraser):
    """Of one tenant."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def find(self, target: Target) -> Found:
        return Found({"evaluations": 0})

    def repeated(self, target: Target, finder: Finder) -> Mapping[str, int]:
        return {"evaluations": len(self._doomed(finder))}

    def erase(self, target: Target, finder: Finder) -> None:
        from sqlalchemy import delete

        from indexes.tables import evaluations

        doomed = self._doomed(finder)
        with self._catalog.write() as db:
            for batch in batched(doomed):
                db.execute(delete(evaluations).where(evaluations.c.seq.in_(batch)))

    def _doomed(self, finder: Finder) -> list[int]:
        from sqlalchemy import select

        from indexes.tables import evaluations

        query = select(*(evaluations.c[name] for name in ("seq", *_SAID)))
        with self._catalog.read() as db:
            return [row.seq for row in db.execute(query) if finder.found(_texts(row))]


def _texts(row: Any) -> list[bytes]:
    """Return a row's texts, each with a border behind it."""
    return [
        text.encode("utf-8", "surrogatepass") + b"\0" for name in _SAID for text in strings_in(getattr(row, name) or {})
    ]
