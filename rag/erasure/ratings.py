"""Erases ratings: a subject's own, and those of answers that rest on an erased document or repeat it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from indexes.batches import batched
from indexes.catalog import Catalog
from rag.erasure.target import Eraser, Found, Target

if TYPE_CHECKING:
    from rag.fingerprints import Finder

_TEXTS = ("question", "answer", "comment", "correction")


class RatingEraser(Eraser):
    """Of one tenant."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def find(self, target: Target) -> Found:
        rows = [row for row in self._rows() if _is_own(target, row)]
        return Found({"ratings": len(rows)}, said=tuple(text for row in rows for text in _texts(row)))

    def others(self, target: Target) -> Iterator[str]:
        return (text for row in self._rows() if not _is_own(target, row) for text in _texts(row))

    def repeated(self, target: Target, finder: Finder) -> Mapping[str, int]:
        return {"ratings": len(self._doomed(target, finder))}

    def erase(self, target: Target, finder: Finder) -> None:
        from sqlalchemy import delete

        from indexes.tables import feedback

        doomed = self._doomed(target, finder)
        with self._catalog.write() as db:
            for batch in batched(doomed):
                db.execute(delete(feedback).where(feedback.c.seq.in_(batch)))

    def _doomed(self, target: Target, finder: Finder) -> list[int]:
        def repeats(row: Any) -> bool:
            return bool(finder.found([text.encode("utf-8", "surrogatepass") + b"\0" for text in _texts(row)]))

        return [row.seq for row in self._rows() if _is_own(target, row) or repeats(row)]

    def _rows(self) -> list[Any]:
        from sqlalchemy import select

        from indexes.tables import feedback

        with self._catalog.read() as db:
            return list(db.execute(select(feedback).order_by(feedback.c.seq)))


def _is_own(target: Target, row: Any) -> bool:
    named = {*(document for _, document in row.citations), *row.correct_document_ids}
    if not named.isdisjoint(target.ids(row.collection)):
        return True
    return bool(target.subject) and target.subject in (row.subject, row.actor)


def _texts(row: Any) -> list[str]:
    return [getattr(row, name) for name in _TEXTS]
